"""Limit how many batches a worker runs at once and how fast it sends requests; measure its load."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

_BURST_S = 0.25  #: after a pause, the requests of this time may be sent at once


class Pace:
    """Limits the rate of requests; threads get their turns in the order in which they came."""

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
        """Block until the calling thread may send its next request."""
        with self._lock:
            now = self._now()
            turn = max(self._next, now - _BURST_S)
            self._next = turn + self._sharers / self._per_s
        if turn > now:
            self._sleep(turn - now)


class Slots:
    """The slots of a worker: a thread takes one while it works on a batch."""

    def __init__(self, count: int, pace: Callable[[], None] = lambda: None) -> None:
        """Begin with all slots free.

        Args:
            count: the number of threads.
            pace: blocks until the next request to the cluster may be sent.
        """
        self._count, self._pace = count, pace
        self._taken = 0
        self._busy_s, self._measured_at = 0.0, time.monotonic()
        self._lock = Lock()

    def free(self) -> int:
        """Return how many slots are free."""
        with self._lock:
            return self._count - self._taken

    def take(self, slots: int) -> None:
        """Take some of the free slots."""
        with self._lock:
            self._taken += slots

    def release(self, seconds: float) -> None:
        """Free one slot, and count the seconds for which it was taken as work."""
        with self._lock:
            self._taken -= 1
        self.count_work(seconds)

    def count_work(self, seconds: float) -> None:
        """Count seconds of work; `wait` has taken off the pauses between requests."""
        with self._lock:
            self._busy_s += seconds

    def wait(self) -> None:
        """Block until the next request may be sent, and do not count that time as work."""
        began = time.monotonic()
        self._pace()
        with self._lock:
            self._busy_s -= time.monotonic() - began

    def busy(self) -> float:
        """Return the share of time spent on work since the last call, from 0 to 1."""
        now = time.monotonic()
        with self._lock:
            share = self._busy_s / max((now - self._measured_at) * self._count, 1e-9)
            self._busy_s, self._measured_at = 0.0, now
        return min(max(share, 0.0), 1.0)
