"""Mute families of failures: `/api/failures/<fingerprint>/mute`, and the links of messages."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from markupsafe import escape

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller, owner_of_call
from tracker_service.api.schemas.subscriptions import (
    FamilyPath,
    MuteBody,
    MutedAnswer,
    MuteLinkPath,
    MuteQuery,
)
from tracker_service.sinks.muting import BY_LINK, Muting

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<h1>{title}</h1>
<p>{text}</p>
{form}
</html>
"""
_FORM = '<form method="post"><button>Mute for {hours:.0f} hours</button></form>'


def blueprint(credentials: Credentials, muting: Muting, admins: Collection[str]) -> APIBlueprint:
    """Return the calls with which users mute families of failures.

    Args:
        admins: the users who may mute the messages of the site.
    """
    bp = openapi.blueprint("muting", "Which failures nobody hears of.", "/api", credentials)

    @bp.post(
        "/failures/<fingerprint>/mute", responses=openapi.answers({200: MutedAnswer}, 403, 415)
    )
    def mute(path: FamilyPath, body: MuteBody) -> Response:
        """Send you no message of a family of failures for a while."""
        length, caller = timedelta(hours=body.hours), current_caller().name
        whose = owner_of_call(is_of_site=body.site, allowed=admins)
        until = muting.mute(whose, path.fingerprint, length, caller)
        return jsonify(MutedAnswer(fingerprint=path.fingerprint, until=until).model_dump())

    @bp.delete("/failures/<fingerprint>/mute", responses=openapi.answers({204: None}, 403))
    def unmute(path: FamilyPath, query: MuteQuery) -> Response:
        """Send you messages of a family of failures again."""
        muting.unmute(owner_of_call(is_of_site=query.site, allowed=admins), path.fingerprint)
        return Response(status=204)

    return bp


def links(muting: Muting) -> APIBlueprint:
    """Return the page of a link in a message; the link is enough to mute."""
    tag = Tag(name="muting", description="Which failures nobody hears of.")
    bp = APIBlueprint("mute-links", __name__, url_prefix="/api/mute", abp_tags=[tag])
    page = openapi.answers({200: openapi.text("a page", "text/html")}, 404, 503)

    @bp.get("/<token>", responses=page)
    def ask(path: MuteLinkPath) -> Response:
        """Ask whether a family of failures is to be muted."""
        family = escape(muting.read(path.token).fingerprint)
        form = _FORM.format(hours=BY_LINK.total_seconds() / 3600)
        text = f"You then get no message of failures of the family {family}."
        return _page("Mute these failures?", text, form)

    @bp.post("/<token>", responses=page)
    def mute(path: MuteLinkPath) -> Response:
        """Mute a family of failures for a day."""
        link = muting.read(path.token)
        until = muting.mute_by(link)
        text = (
            f"Failures of the family {escape(link.fingerprint)}: no message until {until:%c} UTC."
        )
        return _page("Muted", text, "")

    return bp


def _page(title: str, text: str, form: str) -> Response:
    page = _PAGE.format(title=title, text=text, form=form)
    return Response(page, content_type="text/html; charset=utf-8")
