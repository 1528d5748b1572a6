"""The operations of a ledger, as those of the package `tracker` of Gardener.

`docs/ledger.md` says which name there is which here, and what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from tracker_service.domain.ledger import (
    ANY_TRANSITION,
    EVERYTHING,
    FAILED,
    LONGEST_DETAIL,
    LONGEST_KEY,
    LONGEST_STATE,
    PARSE_ERROR,
    UNCHANGED,
    LedgerJob,
    Scope,
    Status,
    Transitions,
)
from tracker_service.engine.clock import Clock
from tracker_service.errors import (
    BadInput,
    InvalidStateTransition,
    JobAlreadyExists,
    LedgerError,
    LedgerJobNotFound,
    OutOfScope,
)
from tracker_service.ledger.heartbeats import Heartbeats
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store
from tracker_service.store.grouped import GroupedWrites
from tracker_service.store.ledger_jobs import Change, Changed


class Counts(Protocol):
    """What counts the changes of a ledger, for metrics."""

    def changed(self, change: Changed, now: datetime) -> None:
        """Count a change that is stored."""

    def not_found(self) -> None:
        """Count an update of a job that the ledger does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the settings say of a ledger."""

    transitions: Transitions = ANY_TRANSITION
    expiration: timedelta | None = timedelta(hours=24)  #: without news; None: jobs never expire
    cleanup_delay: timedelta = timedelta(hours=3)  #: a complete job is kept so long
    heartbeats_count: bool = False  #: a heartbeat is news
    announced: Collection[str] = ()  #: states that are told in an event when a job comes to one


@dataclass(frozen=True, slots=True)
class State:
    """All jobs of a ledger, and what has changed last."""

    jobs: Sequence[tuple[LedgerJob, Status]]  #: in the order in which they were started
    last_job: LedgerJob | None  #: the one that was started last
    last_modified: datetime | None


class Ledger:
    """The jobs of one ledger. What an operation has returned from is durable."""

    def __init__(
        self,
        store: Store,
        name: str,
        rules: Rules,
        counts: Counts,
        clock: Clock,
    ) -> None:
        self.name, self.rules, self.clock = name, rules, clock
        self._store, self._counts = store, counts
        self._writes = GroupedWrites(store)
        self._heartbeats = Heartbeats(store, name, clock)

    def add_job(self, job: LedgerJob) -> None:
        """Add a job; a failed or complete one starts again.

        Raises:
            JobAlreadyExists: it is there, and has not ended.
            BadInput: its key is too long.
        """
        if len(job.key) > LONGEST_KEY:
            raise BadInput(f"the key of a job has at most {LONGEST_KEY} characters: {job.key[:80]}")
        now = self.clock()
        [outcome] = self._writes.write(
            lambda connection: ledger_jobs.add_all(connection, self.name, [job], now)
        )
        if isinstance(outcome, JobAlreadyExists):
            raise outcome
        self._counts.changed(outcome, now)

    def get_status(self, key: str) -> Status:
        """Return where a job stands.

        Raises:
            LedgerJobNotFound: the ledger does not have it.
        """
        with self._store.read() as connection:
            stored = ledger_jobs.find(connection, self.name, key)
        if stored is None:
            raise LedgerJobNotFound(f"there is no job {key}")
        return stored.status

    def get_state(self) -> State:
        """Return all jobs, and what has changed last; nothing expires by it."""
        with self._store.read() as connection:
            jobs = [(s.job, s.status) for s in ledger_jobs.listed(connection, self.name)]
            last_job, last_modified = ledger_jobs.last_changes(connection, self.name)
        return State(jobs, last_job, last_modified)

    def set_status(self, key: str, state: str, detail: str = "") -> None:
        """Set the detail of the last state, then the state.

        Raises:
            LedgerJobNotFound: the ledger does not have the job.
            InvalidStateTransition: the settings do not allow it.
            BadInput: the name of the state is too long.
        """
        self._change(self.status_change(key, state, detail))

    def set_detail(self, key: str, detail: str) -> None:
        """Set the detail of the last state.

        Raises:
            LedgerJobNotFound: the ledger does not have the job.
        """
        now = self.clock()
        self._change(self.change(key, lambda status: status.with_detail(_cut(detail), now)))

    def set_job_error(self, key: str, message: str) -> None:
        """Note that a job has failed in its last state.

        Raises:
            LedgerJobNotFound: the ledger does not have the job.
        """
        now = self.clock()
        self._change(self.change(key, lambda status: status.with_error(_cut(message), now)))

    def update_job(self, key: str, status: Status) -> None:
        """Append to a job what was made of its status since it was read; nothing else is lost.

        Raises:
            LedgerJobNotFound: the ledger does not have the job.
            InvalidStateTransition: the settings do not allow it.
        """

        def apply(stored: Status) -> Status:
            merged = stored
            for row in status.appended:
                self.rules.transitions.check(merged.state, row.state)
                merged = merged.new_state(row.state, row.at)
                if row.detail:
                    merged = merged.set_detail(row.detail, row.at)
            count = max(stored.update_count + 1, status.update_count)
            return replace(merged, update_count=count)

        self._change(self.change(key, apply))

    def retry(self, key: str) -> None:
        """Put a failed job back into the state in which it failed.

        Raises:
            LedgerJobNotFound: the ledger does not have the job.
            InvalidStateTransition: it has not failed.
        """
        now = self.clock()

        def apply(status: Status) -> Status:
            if status.state not in (FAILED, PARSE_ERROR):
                raise InvalidStateTransition(f"{key} is {status.state} and has not failed")
            return status.updated(status.prev, UNCHANGED, now)

        self._change(self.change(key, apply))

    def heartbeat(self, key: str) -> None:
        """Note that somebody works on a job; it is durable within a second.

        Raises:
            LedgerJobNotFound: the ledger does not have the job.
        """
        [refusal] = self.beat_all([(key, EVERYTHING)])
        if refusal:
            raise refusal

    def num_jobs(self) -> int:
        """Return the number of jobs, complete ones included."""
        with self._store.read() as connection:
            return ledger_jobs.count(connection, self.name)

    def num_failed(self) -> int:
        """Return the number of failed jobs."""
        with self._store.read() as connection:
            return ledger_jobs.count(connection, self.name, FAILED)

    def sync(self, last_save: datetime | None = None) -> datetime | None:
        """Make the heartbeats durable that are not yet; everything else is already.

        Args:
            last_save: what the last call has returned.

        Returns:
            when the ledger has changed last; `last_save` if it has not changed since then.
        """
        self._heartbeats.write()
        with self._store.read() as connection:
            _, modified = ledger_jobs.last_changes(connection, self.name)
        return modified if last_save is None or (modified and modified > last_save) else last_save

    def status_change(self, key: str, state: str, detail: str, scope: Scope = EVERYTHING) -> Change:
        """Return the change that `set_status` makes.

        Raises:
            BadInput: the name of the state is too long.
        """
        if len(state) > LONGEST_STATE:
            raise BadInput(f"the name of a state has at most {LONGEST_STATE} characters")
        now, detail = self.clock(), _cut(detail)

        def apply(status: Status) -> Status:
            self.rules.transitions.check(status.state, state)
            return status.updated(state, detail, now)

        return self.change(key, apply, scope)

    def change(
        self,
        key: str,
        apply: Callable[[Status], Status],
        scope: Scope = EVERYTHING,
        action: str | None = None,
    ) -> Change:
        """Return a change of a job, which `ledger_jobs.change_all` carries out.

        Args:
            action: the state whose action of post-processing makes it.
        """
        return Change(self.name, key, apply, scope, self.rules.announced, action)

    def count(self, outcomes: Sequence[Changed | LedgerError]) -> None:
        """Count what has come of changes that are stored."""
        now = self.clock()
        for outcome in outcomes:
            if isinstance(outcome, Changed):
                self._counts.changed(outcome, now)
            elif isinstance(outcome, LedgerJobNotFound):
                self._counts.not_found()

    def beat_all(
        self, beats: Sequence[tuple[str, Scope]]
    ) -> list[LedgerJobNotFound | OutOfScope | None]:
        """Note heartbeats, and return for each why it was refused, or None."""
        outcomes = self._heartbeats.beat(beats)
        for outcome in outcomes:
            if isinstance(outcome, LedgerJobNotFound):
                self._counts.not_found()
        return outcomes

    def _change(self, change: Change) -> None:
        [outcome] = self._writes.write(
            lambda connection: ledger_jobs.change_all(connection, [change])
        )
        self.count([outcome])
        if isinstance(outcome, LedgerError):
            raise outcome


def _cut(detail: str) -> str:
    """Return a detail without what is too long to be kept, and say so in it."""
    more = len(detail) - LONGEST_DETAIL
    return f"{detail[:LONGEST_DETAIL]}… and {more} characters more" if more > 0 else detail
