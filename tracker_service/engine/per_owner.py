"""Do one piece of work at a time for each user."""

from __future__ import annotations

from collections.abc import Callable, Set
from concurrent.futures import Executor
from threading import Lock


class PerOwner:
    """Runs the work of many users on the threads of an executor, never two pieces of one user."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._busy: set[str] = set()
        self._lock = Lock()

    @property
    def busy(self) -> Set[str]:
        """Return the users whose work is not over yet."""
        with self._lock:
            return frozenset(self._busy)

    def start(self, owner: str, work: Callable[[], object]) -> bool:
        """Start a piece of work; it has to handle its errors itself.

        Returns:
            False if it was not started, because another piece of this user's is not over yet.
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
