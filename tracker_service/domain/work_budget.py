"""How much work a log, a pattern or an answer that others wrote may cause."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol, TypeVar

from tracker_service.errors import TooMuchWork, WorkerStops

T = TypeVar("T")

_MIB = 1024 * 1024
_FREE_UNPACKED = 96 * _MIB  #: bytes that may unpack from however few
_MOST_RATIO = 100  #: unpacked bytes for each byte read; usual logs have 5 to 30
#: Parts are counted in chunks; one log costs as much as eight of them.
LOG_PARTS = 8
_FREE_PARTS = 10_000 * LOG_PARTS  #: that may stand in however few bytes
_LEAST_BYTES_A_PART = 8  #: on average, as they are stored
_MOST_PARTS = 500_000 * LOG_PARTS  #: a large application has 10,000 containers with 8 logs each


class Turn(Protocol):
    """What only one of several works has at a time."""

    def acquire(self) -> object:
        """Wait for the turn."""

    def release(self) -> None:
        """End the turn."""

    def give_way(self) -> None:
        """Make room for those who are more urgent, and come back."""


@dataclass(slots=True, kw_only=True)
class WorkBudget:
    """Counts the work done for one copy, one search or one answer, and ends it at its limits.

    Whatever makes progress charges what it has done. Each charge also looks at the clock, and at
    whether this process ends. It is used by one thread.
    """

    wall_s: float = 3600.0  #: from now on
    cpu_s: float | None = None  #: of this thread, until the first byte is read; None: any
    cpu_s_per_mib: float = 0.1  #: more with each MiB read: usual searches take a tenth of that
    most_written: int = 20 * 1024 * _MIB  #: bytes of text
    stopping: Event | None = None  #: set when the work has to break off
    turn: Turn | None = None  #: held while this work computes, so that others wait without a core
    read: int = 0  #: bytes that came from the cluster
    unpacked: int = 0  #: bytes
    written: int = 0  #: bytes of text
    parts: int = 0  #: what a format is made of
    _began: float = field(default_factory=time.monotonic, init=False)
    _cpu_began: float = field(default_factory=time.thread_time, init=False)

    def waited_for(self, pieces: Iterator[T]) -> T | None:
        """Return the next of pieces that somebody sends, None at their end; it is no computing."""
        if self.turn is None:
            return next(pieces, None)
        self.turn.release()
        try:
            return next(pieces, None)
        finally:
            self.turn.acquire()

    def charge_read(self, count: int) -> None:
        """Count bytes that came from the cluster.

        Raises:
            TooMuchWork: the work takes longer than it may; so do all charges.
            WorkerStops: this process ends; so do all charges.
        """
        self.read += count
        self.go_on()

    def charge_unpacked(self, count: int) -> None:
        """Count bytes that were unpacked, also those that are passed over."""
        self.unpacked += count
        if self.unpacked > _FREE_UNPACKED + _MOST_RATIO * self.read:
            raise TooMuchWork(f"{self.read} bytes unpack to more than {self.unpacked - count}")
        self.go_on()

    def charge_written(self, count: int) -> None:
        """Count bytes of text."""
        self.written += count
        if self.written > self.most_written:
            raise TooMuchWork(f"its text has more than {self.most_written} bytes")

    def charge_parts(self, count: int = 1) -> None:
        """Count chunks of a file with logs, or as many for a log."""
        self.parts += count
        most = min(_MOST_PARTS, _FREE_PARTS + self.read // _LEAST_BYTES_A_PART)
        if self.parts > most:
            raise TooMuchWork(f"{self.read} bytes hold too many logs, records and chunks")
        self.go_on()

    def go_on(self) -> None:
        """Look at the clocks, and give way to others."""
        if self.turn is not None:
            self.turn.give_way()
        if self.stopping is not None and self.stopping.is_set():
            raise WorkerStops("this worker stops")
        if time.monotonic() - self._began > self.wall_s:
            raise TooMuchWork(f"it takes longer than {self.wall_s:.0f} s")
        if self.cpu_s is not None:
            most_s = self.cpu_s + self.read / _MIB * self.cpu_s_per_mib
            if time.thread_time() - self._cpu_began > most_s:
                raise TooMuchWork(f"it takes more than {most_s:.0f} s of computing")
