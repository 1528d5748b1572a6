"""Manage who hears of events: `/api/subscriptions`."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.schemas.subscriptions import (
    MailBody,
    NewSubscriptionAnswer,
    SentTestAnswer,
    SubscriptionAnswer,
    SubscriptionAnswers,
    SubscriptionBody,
    SubscriptionPath,
)
from tracker_service.sinks.subscribing import Subscribing


def blueprint(credentials: Credentials, subscribing: Subscribing) -> APIBlueprint:
    """Return the calls with which users manage their subscriptions."""
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

    @bp.post(
        "/subscriptions/<name>/secret", responses=openapi.answers({200: NewSubscriptionAnswer}, 404)
    )
    def rotate(path: SubscriptionPath) -> Response:
        """Make a new secret; requests are signed with it and with the last one."""
        new = subscribing.rotate(current_caller().name, path.name)
        return jsonify(NewSubscriptionAnswer(id=new.name, secret=new.secret).model_dump())

    return bp
