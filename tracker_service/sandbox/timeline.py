"""Runs due effects at the next request, each as if at its own time."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock


class Timeline:
    """A clock that can be set, with the effects that are yet to come, under one lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = RLock()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._time_of_effect: float | None = None

    def now(self) -> float:
        """Return the time, or that of the effect that is being done late."""
        return self._clock() if self._time_of_effect is None else self._time_of_effect

    def at(self, when: float, effect: Callable[[], None]) -> None:
        """Do something later; never, where the time is infinite."""
        if math.isfinite(when):
            heapq.heappush(self._due, (when, next(self._order), effect))

    @contextmanager
    def settled(self) -> Iterator[float]:
        """Hold the lock with everything done that is due; give the time."""
        with self._lock:
            now = self._clock()
            while self._due and self._due[0][0] <= now:
                self._time_of_effect, _, effect = heapq.heappop(self._due)
                try:
                    effect()
                finally:
                    self._time_of_effect = None
            yield now
