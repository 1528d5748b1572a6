"""Run the long steps of copies, a few at a time, on threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Set
from concurrent.futures import Executor
from threading import Lock

from tracker_service.domain.copies import Copy

_WAITING = 2  #: steps for each place: no place is to stand empty until the next look


class Streams:
    """The steps that move whole logs through this process.

    Args:
        executor: whose threads are the places.
        places: how many threads it has.
    """

    def __init__(self, executor: Executor, places: int) -> None:
        self._executor, self._places = executor, places
        self._copies: set[str] = set()
        self._lock = Lock()
        self._is_stopping = False

    @property
    def what_is_full(self) -> str | None:
        """Say that there is no place for one more step, if that is so."""
        with self._lock:
            is_full = len(self._copies) >= _WAITING * self._places
        return f"{self._places} logs are being copied already" if is_full else None

    @property
    def copies(self) -> Set[str]:
        """Return the ids of the copies that have a step here."""
        with self._lock:
            return frozenset(self._copies)

    @property
    def is_stopping(self) -> bool:
        """Tell whether the steps are to break off."""
        return self._is_stopping

    def start(self, copy: Copy, step: Callable[[], None]) -> None:
        """Run a step of a copy; it has to see to its errors itself."""
        with self._lock:
            self._copies.add(copy.id)
        self._executor.submit(self._run, copy, step)

    def _run(self, copy: Copy, step: Callable[[], None]) -> None:
        try:
            if not self._is_stopping:
                step()
        finally:
            with self._lock:
                self._copies.discard(copy.id)

    def stop(self) -> None:
        """Let the steps break off: what they have not finished is begun again later."""
        self._is_stopping = True
