"""Show what became of each message, and send it again: `/api/deliveries`."""

from __future__ import annotations

from collections.abc import Collection

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.schemas.subscriptions import (
    DeliveriesQuery,
    DeliveryAnswer,
    DeliveryAnswers,
    ReplayAnswer,
    ReplayBody,
)
from tracker_service.domain.subscriptions import SITE_OWNER
from tracker_service.errors import NotAllowed
from tracker_service.sinks.subscribing import Subscribing


def blueprint(
    credentials: Credentials,
    subscribing: Subscribing,
    *,
    admins: Collection[str],
    overseers: Collection[str],
) -> APIBlueprint:
    """Return the calls with which users see what was sent.

    Args:
        admins: the users who may replay what the routes of the site send.
        overseers: the users who may list it.
    """
    bp = openapi.blueprint("deliveries", "What was sent.", "/api", credentials)

    @bp.get("/deliveries", responses=openapi.answers({200: DeliveryAnswers}, 403))
    def list_deliveries(query: DeliveriesQuery) -> Response:
        """List what was sent to you, or by the site, and what became of it, the newest first."""
        whose = owner(is_of_site=query.site, allowed=overseers)
        found = subscribing.deliveries(whose, query.state, query.before, query.limit)
        return jsonify([DeliveryAnswer.of(each).model_dump(mode="json") for each in found])

    @bp.post("/deliveries/replay", responses=openapi.answers({200: ReplayAnswer}, 403, 415))
    def replay(body: ReplayBody) -> Response:
        """Send again what was given up."""
        count = subscribing.replay(owner(is_of_site=body.site, allowed=admins), body.ids)
        return jsonify(ReplayAnswer(replayed=count).model_dump())

    return bp


def owner(*, is_of_site: bool, allowed: Collection[str]) -> str:
    """Return the owner of what a call is about: the caller, or the site.

    Raises:
        NotAllowed: it is about the site, and the caller is not one of those who are allowed to.
    """
    caller = current_caller().name
    if is_of_site and caller not in allowed:
        raise NotAllowed
    return SITE_OWNER if is_of_site else caller
