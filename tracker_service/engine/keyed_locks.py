"""Locks by key: one thread at a time works on a thing, others work on other things meanwhile."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock


class KeyedLocks:
    """One lock for each key that a thread holds or waits for."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[Lock, int]] = {}  # with the number of threads
        self._guard = Lock()

    @contextmanager
    def held(self, key: Hashable) -> Iterator[None]:
        """Hold the lock of a key for the length of the block."""
        with self._guard:
            lock, threads = self._locks.get(key, (Lock(), 0))
            self._locks[key] = lock, threads + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, threads = self._locks.pop(key)
                if threads > 1:
                    self._locks[key] = lock, threads - 1
