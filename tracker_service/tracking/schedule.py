"""Know in memory when each watched job of this worker wants its next look."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.tasks import Lease, TrackTask

_YOUNG = timedelta(hours=1)
_NEVER = float("inf")
_LONGEST_TROUBLE_S = 600.0


@dataclass(slots=True)
class Entry:
    """A task and its due time, in seconds of the worker's monotonic clock."""

    task: TrackTask
    due: float
    looked_at: datetime | None = None  #: when the answer came that told its state
    details_at: float = -_NEVER  #: when its actions were asked for
    settled_pages: int = 0  #: of a coordinator: pages of actions with nothing left to come
    gone_since: float | None = None  #: since when Oozie says that there is no such job
    troubles: int = 0  #: closer looks in a row that failed


@dataclass(slots=True)
class _Identity:
    """The tasks that are asked about as one user."""

    entries: dict[int, Entry] = field(default_factory=dict)
    failures: int = 0  #: looks in a row that failed
    is_busy: bool = False
    next_due: float = _NEVER

    def refresh(self) -> None:
        self.next_due = min((entry.due for entry in self.entries.values()), default=_NEVER)


class Schedule:
    """The due times of the watched jobs in all jobsets that this worker holds."""

    def __init__(self, interval_s: float, max_interval_s: float, rng: random.Random) -> None:
        self._interval_s, self._max_interval_s, self._rng = interval_s, max_interval_s, rng
        self._identities: dict[str, _Identity] = {}
        self._held: dict[int, tuple[Lease, list[TrackTask]]] = {}
        self._lock = Lock()

    def load(self, lease: Lease, tasks: list[TrackTask], now: float, clock: datetime) -> None:
        """Take the watched tasks of a jobset as the store has them; known due times stay.

        A job that was asked about when its id was posted is not asked about again at once.
        """
        with self._lock:
            before = self._drop(lease.jobset_id)
            self._held[lease.jobset_id] = lease, tasks
            for task in tasks:
                entry = before.get(task.id) or self._new_entry(task, now, clock)
                entry.task = task
                identity = self._identities.setdefault(task.owner, _Identity())
                identity.entries[task.id] = entry
                identity.next_due = min(identity.next_due, entry.due)

    def _new_entry(self, task: TrackTask, now: float, clock: datetime) -> Entry:
        entry = Entry(task, due=now, looked_at=task.observed_at)
        if task.observed_at and task.status in (JobStatus.RUNNING, JobStatus.PREP):
            self.looked(entry, task.observed_at, now)
            entry.due -= (clock - task.observed_at).total_seconds()
        return entry

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""
        with self._lock:
            self._drop(jobset_id)

    def lose(self, lease: Lease) -> None:
        """Forget a jobset unless it was claimed anew meanwhile."""
        with self._lock:
            if self._held.get(lease.jobset_id, (None, []))[0] == lease:
                self._drop(lease.jobset_id)

    def holds(self, lease: Lease) -> bool:
        """Tell whether the tasks of this lease are still this worker's."""
        with self._lock:
            return self._held.get(lease.jobset_id, (None, []))[0] == lease

    def _drop(self, jobset_id: int) -> dict[int, Entry]:
        dropped = {}
        _, tasks = self._held.pop(jobset_id, (None, []))
        for task in tasks:
            identity = self._identities.get(task.owner)
            entry = identity.entries.pop(task.id, None) if identity else None
            if entry:
                dropped[task.id] = entry
        return dropped

    def take_due(self, now: float) -> dict[str, list[Entry]]:
        """Take the tasks that are due, by user, and beside them those that soon will be.

        Looking a little early fills the requests, which costs less than looking twice. A user
        whose tasks were taken is left out until `give_back`.
        """
        taken: dict[str, list[Entry]] = {}
        with self._lock:
            for owner, identity in self._identities.items():
                if identity.next_due <= now and not identity.is_busy:
                    soon = now + self._interval_s / 2
                    taken[owner] = [e for e in identity.entries.values() if e.due <= soon]
                    identity.is_busy = True
        return taken

    def give_back(self, owner: str, now: float, *, failed: bool = False) -> None:
        """Let a user's tasks be taken again; after a failure, all of them later and later."""
        with self._lock:
            identity = self._identities[owner]
            identity.is_busy = False
            identity.failures = identity.failures + 1 if failed else 0
            if failed:
                pause = self._backed_off(self._interval_s, identity.failures, self._max_interval_s)
                for entry in identity.entries.values():
                    entry.due = max(entry.due, now + pause)
            identity.refresh()
            if not identity.entries:
                del self._identities[owner]

    def looked(self, entry: Entry, at: datetime, now: float) -> None:
        """Note an answer about a task, and when the next one is due."""
        entry.looked_at = at
        entry.due = now + self._interval(at - entry.task.began_at) * self._rng.uniform(0.7, 0.9)

    def postpone(self, entry: Entry, now: float) -> None:
        """Look at a task again after the usual time."""
        entry.due = now + self._interval_s

    def trouble(self, entry: Entry, now: float) -> None:
        """Look at one job later and later, about which the cluster cannot tell."""
        entry.troubles += 1
        entry.due = now + self._backed_off(self._interval_s, entry.troubles, _LONGEST_TROUBLE_S)

    def _backed_off(self, first_s: float, failures: int, longest_s: float) -> float:
        return min(first_s * 2.0 ** min(failures, 20), longest_s) * self._rng.uniform(0.7, 1.0)

    def _interval(self, age: timedelta) -> float:
        """Return the longest time between two looks: the older the job, the longer."""
        longer = self._interval_s * max(1.0, age / _YOUNG)
        return max(self._interval_s, min(longer, self._max_interval_s))

    def end(self, entry: Entry) -> None:
        """Take out a task that is watched no longer."""
        with self._lock:
            identity = self._identities.get(entry.task.owner)
            if identity:
                identity.entries.pop(entry.task.id, None)

    def looked_at_since(self, owner: str) -> dict[Lease, datetime]:
        """Return for each of a user's jobsets the instant since which all its jobs were looked at.

        Jobsets with a job that nobody has looked at yet are left out.
        """
        told: dict[Lease, list[datetime | None]] = {}
        with self._lock:
            identity = self._identities.get(owner)
            for entry in identity.entries.values() if identity else ():
                told.setdefault(entry.task.lease, []).append(entry.looked_at)
        return {
            lease: min(known)
            for lease, instants in told.items()
            if len(known := _known(instants)) == len(instants)
        }


def _known(instants: Iterable[datetime | None]) -> list[datetime]:
    return [instant for instant in instants if instant is not None]
