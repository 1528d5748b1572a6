"""Know how many batches are being worked on, how busy that keeps a worker, and its request rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

_BURST_S = 0.25  #: what was not asked for in this time may be asked for at once


class Pace:
    """Lets requests pass at a rate, in the order in which they came."""

    def __init__(
        self,
        per_s: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_s, self._now, self._sleep = per_s, now, sleep
        self._sharers = 1
        self._next = float("-inf")
        self._lock = Lock()

    def share(self, sharers: int) -> None:
        """Divide the rate by the number of workers that send requests to the same gateway."""
        with self._lock:
            self._sharers = max(1, sharers)

    def wait(self) -> None:
        """Return when the next request may be made."""
        with self._lock:
            now = self._now()
            mine = max(self._next, now - _BURST_S)
            self._next = mine + self._sharers / self._per_s
        if mine > now:
            self._sleep(mine - now)


class Slots:
    """The slots of a worker: one for each thread that works on a batch."""

    def __init__(self, count: int, pace: Callable[[], None] = lambda: None) -> None:
        """Make free slots.

        Args:
            count: as many as there are threads.
            pace: returns when the next request to the cluster may be made.
        """
        self._count, self._pace = count, pace
        self._taken = 0
        self._busy_s, self._told_at = 0.0, time.monotonic()
        self._lock = Lock()

    def free(self) -> int:
        """Return how many slots are free."""
        with self._lock:
            return self._count - self._taken

    def take(self, slots: int) -> None:
        """Take some of the free slots."""
        with self._lock:
            self._taken += slots

    def leave(self, seconds: float) -> None:
        """Leave one slot, after this time of work and of waiting for the next request."""
        with self._lock:
            self._taken -= 1
        self.work(seconds)

    def work(self, seconds: float) -> None:
        """Count work that needs no slot, with its waiting for the next request."""
        with self._lock:
            self._busy_s += seconds

    def wait(self) -> None:
        """Wait until the next request may be made; this counts as no work."""
        began = time.monotonic()
        self._pace()
        with self._lock:
            self._busy_s -= time.monotonic() - began

    def busy(self) -> float:
        """Return which part of the time was work since this was asked last, from 0 to 1."""
        now = time.monotonic()
        with self._lock:
            share = self._busy_s / max((now - self._told_at) * self._count, 1e-9)
            self._busy_s, self._told_at = 0.0, now
        return min(max(share, 0.0), 1.0)
