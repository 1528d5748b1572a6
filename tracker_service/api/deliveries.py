"""Show what became of each message, and send it again: `/api/deliveries`."""

from __future__ import annotations

from collections.abc import Collection

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, owner_of_call
from tracker_service.api.schemas.subscriptions import (
    DeliveriesQuery,
    DeliveryAnswer,
    DeliveryAnswers,
    ReplayAnswer,
    ReplayBody,
)
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
        whose = owner_of_call(is_of_site=query.site, allowed=overseers)
        found = subscribing.deliveries(whose, query.state, query.before, query.limit)
        return jsonify([DeliveryAnswer.of(each).model_dump(mode="json") for each in found])

    @bp.post("/deliveries/replay", responses=openapi.answers({200: ReplayAnswer}, 403, 415))
    def replay(body: ReplayBody) -> Response:
        """Send again what was given up."""
        count = subscribing.replay(owner_of_call(is_of_site=body.site, allowed=admins), body.ids)
        return jsonify(ReplayAnswer(replayed=count).model_dump())

    return bp
