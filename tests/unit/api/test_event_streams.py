"""Streams of events: how many readers a process takes."""

from __future__ import annotations

import socket
import threading

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.calls import GUEST, assert_problem
from tests.waiting import until
from tracker_service.api import event_streams
from tracker_service.api.event_streams import EventStreams
from tracker_service.errors import TooManyRequests
from tracker_service.store.events import EventFilter


def ask_for_a_stream(client: FlaskClient) -> TestResponse:
    accept, by_gunicorn = {"Accept": "text/event-stream"}, {"gunicorn.socket": object()}
    return client.get("/api/events", auth=GUEST, headers=accept, environ_overrides=by_gunicorn)


@pytest.mark.parametrize(
    ("most", "status"), [({"MOST_STREAMS": 0}, 503), ({"MOST_OF_A_USER": 0}, 429)]
)
def test_a_reader_above_the_most_is_told_when_to_come_again(client, monkeypatch, most, status):
    monkeypatch.setattr(event_streams, *most.popitem())

    answer = ask_for_a_stream(client)

    assert_problem(answer, status)
    assert int(answer.headers["Retry-After"]) == 10
    assert client.get("/api/events", auth=GUEST).status_code == 200


def test_who_has_as_many_readers_as_may_be_leaves_the_others_their_place(store, monkeypatch):
    monkeypatch.setattr(event_streams, "MOST_OF_A_USER", 1)
    monkeypatch.setattr(event_streams, "_ALIVE_S", 0.5)  # to see soon that a reader has gone
    streams, environ = EventStreams(store, "http://here"), {"gunicorn.socket": object()}
    ours, theirs = socket.socketpair()
    streams.take(theirs, "guest", is_chunked=True, wanted=EventFilter(), after=0)

    with pytest.raises(TooManyRequests, match="1 readers of guest"):
        streams.opened(environ, "guest", EventFilter(), 0)
    assert streams.opened(environ, "sam", EventFilter(), 0).status_code == 200

    ours.close()
    until(lambda: not is_served())


def is_served() -> bool:
    return any(thread.name == "event-streams" for thread in threading.enumerate())
