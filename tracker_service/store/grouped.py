"""Commit the writes of several threads in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from tracker_service.errors import StoreConflict, StoreUnavailable
from tracker_service.store.database import Connection, Store

Result = TypeVar("Result")
_MOST = 50  #: writes in one transaction; workers wait for the database meanwhile


class _Work(Generic[Result]):
    """The write of one thread, and its result or error."""

    def __init__(self, write: Callable[[Connection], Result]) -> None:
        self.write = write
        self.is_done = False
        self.error: Exception | None = None

    def result(self) -> Result:
        if self.error:
            raise self.error
        return self._result

    def run(self, connection: Connection) -> None:
        self._result = self.write(connection)


class GroupedWrites:
    """Groups the writes of several threads into few transactions.

    SQLite has one writer at a time, and each commit waits for the disk. Threads that come while
    another thread commits wait; then one of them commits the writes of all. Database servers group
    commits themselves, so there each thread has its own transaction.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._groups = store, store.url.startswith("sqlite")
        self._waiting: list[_Work[object]] = []
        self._lock, self._turn = Lock(), Lock()

    def write(self, write: Callable[[Connection], Result]) -> Result:
        """Carry out a write; it is durable when this returns.

        Args:
            write: may be called more than once; the database keeps only one result.

        Returns:
            the result of the call that is kept.

        Raises:
            StoreUnavailable: the database does not answer. Then all threads that wait fail at once,
                because each of them would have to wait as long in vain.
        """
        if not self._groups:
            return self._store.write(write)
        work = _Work(write)
        with self._lock:
            self._waiting.append(work)  # type: ignore[arg-type]
        with self._turn:
            while not work.is_done:
                self._commit_waiting()
        return work.result()

    def _commit_waiting(self) -> None:
        works = self._taken(_MOST)
        try:
            self._commit(works)
        except Exception as error:
            if _is_outage(error):
                self._fail([*works, *self._taken()], error)
            else:  # one write has broken the transaction: commit each alone
                self._commit_each(works)

    def _taken(self, most: int | None = None) -> list[_Work[object]]:
        """Take the writes that wait, at most some of them."""
        with self._lock:
            works, self._waiting[:most] = self._waiting[:most], []
        return works

    def _commit_each(self, works: Sequence[_Work[object]]) -> None:
        for number, work in enumerate(works):
            try:
                self._commit([work])
            except Exception as error:
                if _is_outage(error):
                    self._fail([*works[number:], *self._taken()], error)
                    return
                self._fail([work], error)

    def _fail(self, works: Sequence[_Work[object]], error: Exception) -> None:
        for work in works:
            work.error, work.is_done = error, True

    def _commit(self, works: Sequence[_Work[object]]) -> None:
        with self._store.begin() as connection:
            for work in works:
                work.run(connection)
        for work in works:
            work.is_done = True


def _is_outage(error: Exception) -> bool:
    return isinstance(error, StoreUnavailable) and not isinstance(error, StoreConflict)
