"""Answer what has happened, page by page or live: `/api/events`."""

from __future__ import annotations

from collections.abc import Collection

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.event_streams import CONTENT_TYPE, EventStreams
from tracker_service.api.schemas.events import EventAnswer, EventsAnswer, EventsQuery
from tracker_service.errors import BadInput
from tracker_service.store import events
from tracker_service.store.database import Store
from tracker_service.store.events import EventFilter


def blueprint(
    credentials: Credentials,
    store: Store,
    overseers: Collection[str],
    streams: EventStreams,
    base_url: str,
) -> APIBlueprint:
    """Return the call that answers what has happened.

    Args:
        overseers: the users who see the events of all; others see their own.
        base_url: of this service, for links.
    """
    bp = openapi.blueprint("events", "What has happened.", "/api", credentials)

    @bp.get("/events", responses=openapi.answers({200: EventsAnswer}))
    def list_events(query: EventsQuery) -> Response:
        """Tell what has happened, the oldest first; live with `Accept: text/event-stream`.

        A stream is of server-sent events. Send the last id that you have got in the header
        `Last-Event-ID` to go on: no event is left out, and none comes twice. You see your own
        events, admins and auditors all.
        """
        caller = current_caller().name
        wanted = EventFilter(
            owner=None if caller in overseers else caller,
            types=query.type,
            subject=query.subject,
        )
        if request.accept_mimetypes.best_match(["application/json", CONTENT_TYPE]) == CONTENT_TYPE:
            return streams.opened(request.environ, caller, wanted, _last_seen(query))
        after = query.after or 0
        with store.read() as connection:
            found = events.following(connection, after, wanted, query.limit)
        answer = EventsAnswer(
            events=[EventAnswer.of(kept, base_url) for kept in found],
            next=found[-1].sequence if found else after,
        )
        response = jsonify(answer.model_dump())
        response.vary.add("Accept")
        return response

    return bp


def _last_seen(query: EventsQuery) -> int | None:
    """Return the number of the last event that a reader has; None for one who begins now."""
    sent = request.headers.get("Last-Event-ID")
    if not sent:
        return query.after
    if not sent.isdecimal() or len(sent) > 16:
        raise BadInput(f"Last-Event-ID: {sent[:40]!r} is no id that came with an event")
    return int(sent)
