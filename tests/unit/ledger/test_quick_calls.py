"""Calls that come together are answered together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from select import select
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.ledger.writers import Raw, Wsgi, raw
from tests.waiting import until
from tracker_service import quick_calls
from tracker_service.ledger.calls import Answer, Call

CALL = b"POST /v2/job/heartbeat?id=a HTTP/1.1\r\nHost: ledger\r\n\r\n"


class Front:
    """Answers calls, and notes how many it has answered at once."""

    def __init__(self) -> None:
        self.together: list[int] = []
        self.may_answer = Event()
        self.may_answer.set()
        self.calls = SimpleNamespace(is_quick=lambda _: True, answer_all=self.answer_all)

    def answer_all(self, calls: Sequence[Call]) -> list[Answer]:
        self.together.append(len(calls))
        self.may_answer.wait(60)
        return [Answer(200)] * len(calls)

    def client(self, peer: str, _forwarded_for: str | None) -> str:
        return peer

    def count(self, *_: object) -> None:
        pass


@contextmanager
def open_to(front: Front) -> Iterator[Raw]:
    with raw(Wsgi(front)) as way:  # type: ignore[arg-type]
        yield way


def called(way: Raw, number: int) -> list[Any]:
    """Open connections on which a call has come."""
    callers = [way.connect() for _ in range(number)]
    for ours, theirs in callers:
        ours.settimeout(60)
        ours.sendall(CALL)
        assert way.quick.takes(theirs)
    return [ours for ours, _ in callers]


def assert_answered(callers: Sequence[Any]) -> None:
    for ours in callers:
        assert ours.recv(65536).startswith(b"HTTP/1.1 200")


def test_callers_in_two_halves_come_together(monkeypatch):
    monkeypatch.setattr(quick_calls, "_GATHER_S", 60.0)
    monkeypatch.setattr(quick_calls, "_LATELY_S", 60.0)
    front = Front()
    with open_to(front) as way:
        front.may_answer.clear()
        first = called(way, 1)
        until(lambda: front.together == [1])
        callers = [*first, *called(way, 3)]
        front.may_answer.set()
        assert_answered(callers)

        callers[0].sendall(CALL)
        assert select(callers, [], [], 0.2)[0] == []  # it waits for those who were answered with it
        for ours in callers[1:]:
            ours.sendall(CALL)
        assert_answered(callers)

    assert front.together == [1, 3, 4]


def test_nobody_waits_for_a_caller_who_has_gone(monkeypatch):
    monkeypatch.setattr(quick_calls, "_GATHER_S", 600.0)
    monkeypatch.setattr(quick_calls, "_LATELY_S", 600.0)
    front = Front()
    with open_to(front) as way:
        stays, goes = called(way, 2)
        assert_answered([stays, goes])
        goes.close()

        stays.sendall(CALL)

        assert_answered([stays])


@pytest.mark.parametrize("rest", [CALL, b"", b"GET /"])
def test_a_second_request_on_a_connection_waits_for_the_answer_to_the_first(rest):
    front = Front()
    with open_to(front) as way:
        [ours] = called(way, 1)
        ours.sendall(rest)

        assert_answered([ours])
