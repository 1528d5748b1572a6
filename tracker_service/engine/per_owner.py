"""Run work for many users in parallel, but for each user one piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Set
from concurrent.futures import Executor
from threading import Lock


class PerOwner:
    """Runs work on the threads of an executor, never two pieces for the same user."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._busy: set[str] = set()
        self._lock = Lock()

    @property
    def busy(self) -> Set[str]:
        """Return the users whose work is not finished."""
        with self._lock:
            return frozenset(self._busy)

    def start(self, owner: str, work: Callable[[], object]) -> bool:
        """Start a piece of work for a user; the work handles its own errors.

        Returns:
            False if the user's last piece of work is not finished: then nothing is started.
        """
        with self._lock:
            if owner in self._busy:
                return False
            self._busy.add(owner)
        self._executor.submit(self._run, owner, work)
        return True

    def _run(self, owner: str, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._busy.discard(owner)
