"""Readers of logs compute one at a time, and stand back while short requests are answered."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from tracker_service.api import turns
from tracker_service.api.turns import Turns

A_MOMENT_S = 0.05


class Reader:
    """Reads in a thread of its own until it is told to end."""

    def __init__(self, turns: Turns) -> None:
        self.has_turn, self._ends = Event(), Event()
        self._thread = Thread(target=self._read, args=(turns,))
        self._thread.start()

    def _read(self, turns: Turns) -> None:
        with turns.taken():
            self.has_turn.set()
            self._ends.wait(60)

    def end(self) -> None:
        self._ends.set()
        self._thread.join(60)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Turns:
    """Return turns of which a reader waits for as long as it takes."""
    monkeypatch.setattr(turns, "_SHORT_S", 60.0)
    monkeypatch.setattr(turns, "_LONGEST_S", 60.0)
    return Turns()


def test_one_reader_computes_at_a_time():
    turns = Turns()
    first = Reader(turns)
    assert first.has_turn.wait(60)
    second = Reader(turns)

    waited = not second.has_turn.wait(A_MOMENT_S)
    first.end()
    followed = second.has_turn.wait(60)

    second.end()
    assert (waited, followed) == (True, True)


def test_a_reader_stands_back_until_a_short_request_is_answered(patient):
    answered = patient.expect()
    reader = Reader(patient)

    waited = not reader.has_turn.wait(A_MOMENT_S)
    with patient.answering(answered):
        pass
    came = reader.has_turn.wait(30)

    reader.end()
    assert (waited, came) == (True, True)


def test_a_request_for_a_log_holds_up_no_reader(patient):
    number = patient.expect()

    with patient.answering(number):
        patient.is_long()
        reader = Reader(patient)
        came = reader.has_turn.wait(30)

    reader.end()
    assert came


def test_a_request_that_waits_for_something_needs_no_room(monkeypatch):
    monkeypatch.setattr(turns, "_LONGEST_S", 60.0)
    own = Turns()
    own.expect()

    reader = Reader(own)
    came = reader.has_turn.wait(30)

    reader.end()
    assert came


def test_requests_that_come_without_end_hold_a_reader_up_for_a_moment(monkeypatch):
    monkeypatch.setattr(turns, "_SHORT_S", 60.0)
    own = Turns()
    own.expect()

    reader = Reader(own)
    came = reader.has_turn.wait(30)

    reader.end()
    assert came
