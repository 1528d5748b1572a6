"""One reader of a process computes at a time, and none while a short request is answered.

Python gives the interpreter to a thread that computes again and again while another one answers a
request: at each row that it reads from the database. So a reader stands back until the answer is
there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock, local

_SHORT_S = 0.05  #: a request that takes longer waits for something, and then it needs no room
_LONGEST_S = 0.25  #: a reader stands back, however many requests come


class Turns:
    """Whose turn it is in this process."""

    def __init__(self) -> None:
        self._reader, self._quiet, self._here = Lock(), Condition(Lock()), local()
        self._short = dict[int | None, float]()  #: when each request that may be short has begun
        self._next = 0

    def expect(self) -> int:
        """Note that a request has come, which may be short; return its number."""
        with self._quiet:
            self._next += 1
            self._short[self._next] = time.monotonic()
            return self._next

    @contextmanager
    def answering(self, number: int) -> Iterator[None]:
        """Answer a request within this block."""
        self._here.number = number
        try:
            yield
        finally:
            self.is_long()

    def is_long(self) -> None:
        """Note that the request that this thread answers is no short one."""
        number, self._here.number = getattr(self._here, "number", None), None
        with self._quiet:
            if self._short.pop(number, None) is not None:
                self._quiet.notify()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Compute within this block, when it is this reader's turn."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        """Wait for the turn of this reader."""
        self._reader.acquire()
        self.give_way()

    def release(self) -> None:
        """End the turn."""
        self._reader.release()

    def give_way(self) -> None:
        """Stand back while short requests are answered; the turn stays with this reader."""
        if not self._short:
            return
        until = time.monotonic() + _LONGEST_S
        with self._quiet:
            while self._short:
                now = time.monotonic()
                youngest = max(self._short.values())
                left_s = min(until, youngest + _SHORT_S) - now
                if left_s <= 0:
                    return
                self._quiet.wait(left_s)


TURNS = Turns()  #: of this process
