"""Give out the next job, each to one writer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from threading import Lock
from typing import Protocol

from tracker_service.domain.ledger import NO_DATE, LedgerJob, Scope
from tracker_service.errors import JobAlreadyExists, LedgerJobNotFound
from tracker_service.ledger.job_service import Cursor, JobService, Walk
from tracker_service.ledger.ledger import Ledger
from tracker_service.store import ledger_cursors, ledger_jobs
from tracker_service.store.database import Connection, Store
from tracker_service.store.ledger_jobs import Changed

Given = LedgerJob | JobAlreadyExists | LedgerJobNotFound | None


class Storage(Protocol):
    """Where the files of jobs are."""

    def has_files(self, job: LedgerJob) -> bool:
        """Tell whether there is a file of a job; False if nobody can tell."""


class NextJobs:
    """Gives out the jobs of one ledger."""

    def __init__(
        self, store: Store, ledger: Ledger, service: JobService, storage: Storage | None = None
    ) -> None:
        """Prepare to give out jobs.

        Args:
            storage: without one, a job is given out whether it has files or not.
        """
        self._store, self._ledger, self.service = store, ledger, service
        self._storage, self._turn = storage, Lock()

    @property
    def is_quick(self) -> bool:
        """Tell whether only the database is asked for a job."""
        return self._storage is None

    def take(self, scopes: Sequence[Scope]) -> list[Given]:
        """Give out the next job to each of several writers.

        Returns:
            for each writer the job; JobAlreadyExists if it is still worked on; LedgerJobNotFound if
            it has no date; None if there is none now. The places of the iterators and the jobs are
            stored in one transaction.
        """
        now = self._ledger.clock()
        with self._turn:
            while True:
                files = self._looked_at(scopes, now)
                try:
                    outcomes = self._store.write(partial(self._give_out, scopes, files, now))
                except _NotLookedAt:
                    continue  # another process has given out the job that was next
                break
        self._ledger.count([outcome for outcome in outcomes if isinstance(outcome, Changed)])
        return [o.job if isinstance(o, Changed) else o for o in outcomes]

    def _looked_at(self, scopes: Sequence[Scope], now: datetime) -> dict[str, bool] | None:
        """Look which of the next jobs have files, while nobody waits for a lock; None: all have."""
        if self._storage is None:
            return None
        with self._store.read() as connection:
            walk = self._walk(connection, now)
        jobs = filter(None, (self.service.choose(walk, now, scope) for scope in scopes))
        return {job.key: self._storage.has_files(job) for job in jobs}

    def _give_out(
        self,
        scopes: Sequence[Scope],
        files: dict[str, bool] | None,
        now: datetime,
        connection: Connection,
    ) -> list[Changed | JobAlreadyExists | LedgerJobNotFound | None]:
        ledger = self._ledger.name
        ledger_cursors.lock(connection, ledger)
        walk = self._walk(connection, now)
        chosen = [self.service.choose(walk, now, scope) for scope in scopes]
        given = [job if job and _has_files(job, files) else None for job in chosen]
        dated = [job for job in given if job and job.date != NO_DATE]
        added = iter(ledger_jobs.add_all(connection, ledger, dated, now))
        moved = {place: (cursor.round, cursor.date) for place, cursor in walk.moved.items()}
        ledger_cursors.write(connection, ledger, moved)
        return [_outcome(job, added) for job in given]

    def _walk(self, connection: Connection, now: datetime) -> Walk:
        stored = ledger_cursors.read(connection, self._ledger.name)
        cursors = {place: Cursor(*cursor) for place, cursor in stored.items()}
        return self.service.begin_walk(cursors, now)


def _outcome(
    job: LedgerJob | None, added: Iterator[Changed | JobAlreadyExists]
) -> Changed | JobAlreadyExists | LedgerJobNotFound | None:
    if job is None:
        return None
    return LedgerJobNotFound("the job has no date") if job.date == NO_DATE else next(added)


class _NotLookedAt(Exception):
    """Nobody has looked yet whether a job has files."""


def _has_files(job: LedgerJob, files: dict[str, bool] | None) -> bool:
    if files is None:
        return True
    if job.key not in files:
        raise _NotLookedAt
    return files[job.key]
