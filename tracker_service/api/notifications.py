"""Take Oozie's notifications, and manage the tokens for them: `/api/notify…`."""

from __future__ import annotations

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from structlog.contextvars import bind_contextvars

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.rate_limit import RateLimit
from tracker_service.api.schemas.notifications import (
    NewTokenAnswer,
    NotifyAnswer,
    NotifyPath,
    NotifyQuery,
    TokenAnswer,
    TokenAnswers,
    TokenPath,
)
from tracker_service.domain.jobs import JobId, coordinator_of
from tracker_service.tracking.notifications import Notifications

_TAG = Tag(name="notifications", description="Faster updates: Oozie notifies.")
PER_MINUTE = 6000  #: of one user; a thousand short jobs send a third of it


def tokens(credentials: Credentials, notifications: Notifications) -> APIBlueprint:
    """Return the calls with which users manage their tokens."""
    bp = openapi.blueprint(
        "notify-tokens", _TAG.description or "", "/api/notify-tokens", credentials
    )

    @bp.post("", responses=openapi.answers({201: NewTokenAnswer}))
    def create() -> tuple[Response, int]:
        """Create a token; the answer has the URL and the job properties for Oozie."""
        new = notifications.new_token(current_caller().name)
        return jsonify(NewTokenAnswer.made(new, request.url_root).model_dump()), 201

    @bp.get("", responses=openapi.answers({200: TokenAnswers}))
    def known() -> Response:
        """List your tokens, without their secret part."""
        found = notifications.tokens(current_caller().name)
        return jsonify([TokenAnswer.of(token).model_dump() for token in found])

    @bp.delete("/<token_id>", responses=openapi.answers({204: None}, 404))
    def revoke(path: TokenPath) -> Response:
        """Revoke a token: notifications with it are refused from now on."""
        notifications.revoke(current_caller().name, path.token_id)
        return Response(status=204)

    return bp


def blueprint(notifications: Notifications, limit: RateLimit) -> APIBlueprint:
    """Return the call that Oozie makes, with a token in place of credentials.

    Oozie repeats a call that is not answered with 200, three times, a minute apart.
    """
    bp = APIBlueprint("notifications", __name__, url_prefix="/api/notify", abp_tags=[_TAG])

    @bp.get("/<token>", responses=openapi.answers({200: NotifyAnswer}, 404, 429, 503))
    def notify(path: NotifyPath, query: NotifyQuery) -> Response:
        """Have a job checked soon because it has changed, if the token's owner tracks it."""
        job_id = JobId(query.id)
        owner = notifications.owner(path.token)
        limit.spend(owner)
        bind_contextvars(job=job_id)
        hinted = notifications.hint(owner, job_id)
        job_id = coordinator_of(job_id)
        message = "It is looked at soon." if hinted else "Nothing is done: this job is not tracked."
        return jsonify(NotifyAnswer(id=job_id, hinted=hinted, message=message).model_dump())

    return bp
