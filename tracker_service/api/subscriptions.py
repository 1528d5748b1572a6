"""Manage who hears of events, and show what became of each message."""

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
    MailBody,
    NewSubscriptionAnswer,
    ReplayAnswer,
    ReplayBody,
    SentTestAnswer,
    SubscriptionAnswer,
    SubscriptionAnswers,
    SubscriptionBody,
    SubscriptionPath,
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
    """Return the calls with which users manage their subscriptions.

    Args:
        admins: the users who may replay what the routes of the site send.
        overseers: the users who may list it.
    """
    bp = openapi.blueprint("subscriptions", "Who hears of what.", "/api", credentials)

    @bp.post("/subscriptions", responses=openapi.answers({201: NewSubscriptionAnswer}, 403, 415))
    def subscribe(body: SubscriptionBody) -> tuple[Response, int]:
        """Subscribe to events. The answer has the secret that signs each request to a webhook."""
        caller, sink = current_caller().name, body.sink
        if isinstance(sink, MailBody):
            new = subscribing.add_mail(caller, sink.to, body.selection)
        else:
            new = subscribing.add(caller, sink.url, sink.secret, body.selection)
        return jsonify(NewSubscriptionAnswer(id=new.name, secret=new.secret).model_dump()), 201

    @bp.get("/subscriptions", responses=openapi.answers({200: SubscriptionAnswers}))
    def list_subscriptions() -> Response:
        """List your subscriptions, without their secrets."""
        found = subscribing.of(current_caller().name)
        return jsonify([SubscriptionAnswer.of(each).model_dump() for each in found])

    @bp.delete("/subscriptions/<name>", responses=openapi.answers({204: None}, 404))
    def unsubscribe(path: SubscriptionPath) -> Response:
        """Remove a subscription; what it has not sent is not sent any more."""
        subscribing.remove(current_caller().name, path.name)
        return Response(status=204)

    @bp.post("/subscriptions/<name>/test", responses=openapi.answers({202: SentTestAnswer}, 404))
    def send_test(path: SubscriptionPath) -> tuple[Response, int]:
        """Send an event to a subscription, whatever it selects."""
        event = subscribing.send_test(current_caller().name, path.name)
        return jsonify(SentTestAnswer(event=event).model_dump()), 202

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
