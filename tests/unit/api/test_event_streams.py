"""Streams of events: how many readers a process takes."""

from __future__ import annotations

from tests.unit.calls import GUEST, assert_problem
from tracker_service.api import event_streams


def test_a_reader_above_the_most_is_told_when_to_come_again(client, monkeypatch):
    monkeypatch.setattr(event_streams, "MOST_STREAMS", 0)
    by_gunicorn = {"gunicorn.socket": object()}
    accept = {"Accept": "text/event-stream"}

    answer = client.get("/api/events", auth=GUEST, headers=accept, environ_overrides=by_gunicorn)

    assert_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) == 10
    assert client.get("/api/events", auth=GUEST).status_code == 200


def test_one_user_cannot_take_all_streams(client, monkeypatch):
    monkeypatch.setattr(event_streams, "_MOST_OF_A_USER", 0)
    by_gunicorn = {"gunicorn.socket": object()}
    accept = {"Accept": "text/event-stream"}

    answer = client.get("/api/events", auth=GUEST, headers=accept, environ_overrides=by_gunicorn)

    assert "your readers" in assert_problem(answer, 429)
