"""Know in memory when each task of this worker is due: once for every kind of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from threading import Lock
from typing import Generic, Protocol, TypeVar

from tracker_service.domain.backoff import Backoff
from tracker_service.domain.chunks import chunks
from tracker_service.domain.leases import Lease

_NEVER = float("inf")
_AT_ONCE = -_NEVER  #: before everything that is due by the clock
_LATE_IN_A_ROW = 2


class Task(Protocol):
    """What a timetable has to know of a task of any kind."""

    @property
    def id(self) -> int:
        """Return the task's row."""

    @property
    def owner(self) -> str:
        """Return the user who asked."""

    @property
    def lease(self) -> Lease:
        """Return the lease under which this worker holds it."""


@dataclass(slots=True)
class Entry:
    """A task and its due time, in seconds of the worker's monotonic clock."""

    task: Task
    due: float
    troubles: int = 0  #: failures in a row with this task alone
    late: int = 0  #: times in a row that it was taken too late
    ticket: int = 0  #: of its valid position in the queue; 0 while it is worked on
    is_hastened: bool = False  #: somebody asked for another turn while it was worked on


AnyTask = TypeVar("AnyTask", bound=Task)
AnyEntry = TypeVar("AnyEntry", bound=Entry)


@dataclass(frozen=True, slots=True)
class Batch(Generic[AnyEntry]):
    """Tasks that are due, and the identity that asks about all of them."""

    asked_as: str
    entries: Sequence[AnyEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence(Generic[AnyEntry]):
    """How the tasks of one kind come to be due."""

    next_due: Callable[[AnyEntry, float], float]  #: when an entry is due again, if it is done now
    late_after_s: float  #: behind its due time, a task is late
    of_identity: Backoff  #: pauses of all tasks of an identity for which a batch failed
    of_task: Backoff  #: pauses of a task that fails alone
    asked_as: Callable[[str], str] = str  #: gives the identity that asks about a user's tasks
    batch_size: int = 500
    early_s: float = 0.0  #: a batch also takes what is due within this time


@dataclass(slots=True)
class _Identity(Generic[AnyEntry]):
    """The queue of one identity; a position with an old ticket is void."""

    queue: list[tuple[float, int, AnyEntry]] = field(default_factory=list)
    flying: int = 0  #: batches that are being worked on
    failures: int = 0  #: batches in a row that failed
    paused_until: float = 0.0

    def first_due(self) -> float:
        while self.queue and self.queue[0][2].ticket != self.queue[0][1]:
            heappop(self.queue)
        return self.queue[0][0] if self.queue else _NEVER

    def may_fly(self, now: float) -> bool:
        """Tell whether a batch may be taken: after a failure, one at a time."""
        return self.paused_until <= now and not (self.failures and self.flying)

    def take(self, until: float, limit: int) -> Iterator[AnyEntry]:
        for _ in range(limit):
            if self.first_due() > until:
                return
            entry = heappop(self.queue)[2]
            entry.ticket = 0
            yield entry


@dataclass(slots=True)
class _Jobset(Generic[AnyEntry]):
    """A jobset of this worker."""

    lease: Lease
    entries: dict[int, AnyEntry] = field(default_factory=dict)  #: by task


class Timetable(Generic[AnyEntry]):
    """The due times of the tasks of one kind in all jobsets that this worker holds.

    Tasks are taken in batches, those of one identity together; several batches of one identity may
    be worked on at the same time.
    """

    def __init__(self, cadence: Cadence[AnyEntry]) -> None:
        self._cadence = cadence
        self._identities: dict[str, _Identity[AnyEntry]] = {}
        self._jobsets: dict[int, _Jobset[AnyEntry]] = {}
        self._entries: dict[int, AnyEntry] = {}  # by task
        self._tickets = count(1)
        self._lock = Lock()

    def put(
        self, lease: Lease, tasks: Iterable[AnyTask], new_entry: Callable[[AnyTask], AnyEntry]
    ) -> None:
        """Take the tasks of a jobset as the store has them; known due times stay.

        Args:
            new_entry: makes the entry of a task that was not known, with its first due time.
        """
        with self._lock:
            before = self._jobsets.get(lease.jobset_id) or _Jobset(lease)
            jobset = self._jobsets[lease.jobset_id] = _Jobset(lease)
            for task in tasks:
                entry = self._entries.get(task.id)
                if entry is None:
                    entry = self._entries[task.id] = new_entry(task)
                    self._queue(entry, entry.due)
                entry.task = task
                jobset.entries[task.id] = entry
            for task_id in before.entries.keys() - jobset.entries.keys():
                self._forget(before.entries[task_id], lease.jobset_id)

    def jobsets(self) -> list[int]:
        """Return the ids of the jobsets whose tasks are here."""
        with self._lock:
            return list(self._jobsets)

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""
        with self._lock:
            self._drop(jobset_id)

    def lose(self, lease: Lease) -> None:
        """Forget a jobset unless it was claimed anew meanwhile."""
        with self._lock:
            if self._holds(lease):
                self._drop(lease.jobset_id)

    def holds(self, lease: Lease) -> bool:
        """Tell whether the tasks of this lease are still this worker's."""
        with self._lock:
            return self._holds(lease)

    def _holds(self, lease: Lease) -> bool:
        jobset = self._jobsets.get(lease.jobset_id)
        return jobset is not None and jobset.lease == lease

    def _drop(self, jobset_id: int) -> None:
        jobset = self._jobsets.pop(jobset_id, None)
        for entry in jobset.entries.values() if jobset else ():
            self._forget(entry, jobset_id)

    def _forget(self, entry: AnyEntry, jobset_id: int) -> None:
        """Forget a task, unless it has moved to another jobset of this worker."""
        if self._entries.get(entry.task.id) is entry and entry.task.lease.jobset_id == jobset_id:
            del self._entries[entry.task.id]
            entry.ticket = 0

    def _queue(self, entry: AnyEntry, position: float) -> None:
        entry.ticket = next(self._tickets)
        asked_as = self._cadence.asked_as(entry.task.owner)
        identity = self._identities.setdefault(asked_as, _Identity())
        heappush(identity.queue, (position, entry.ticket, entry))

    def take_due(self, now: float, slots: int) -> list[Batch[AnyEntry]]:
        """Take the tasks that are due, and beside them those that soon will be.

        To be a little early fills the requests, which costs less than asking twice. What was taken
        is left out until `give_back`.

        Args:
            slots: how many batches to take at most.
        """
        taken: list[Batch[AnyEntry]] = []
        with self._lock:
            while ready := self._ready(now)[: slots - len(taken)]:
                taken += [self._take(asked_as, now) for asked_as in ready]
        return taken

    def _ready(self, now: float) -> list[str]:
        """Return the identities that have something due, those first that wait longest."""
        ready = [
            (first, asked_as)
            for asked_as, identity in self._identities.items()
            if (first := identity.first_due()) <= now and identity.may_fly(now)
        ]
        return [asked_as for _, asked_as in sorted(ready)]

    def _take(self, asked_as: str, now: float) -> Batch[AnyEntry]:
        identity, cadence = self._identities[asked_as], self._cadence
        entries = list(identity.take(now + cadence.early_s, cadence.batch_size))
        for entry in entries:
            late_by = now - max(entry.due, identity.paused_until)
            entry.late = entry.late + 1 if late_by > cadence.late_after_s else 0
        identity.flying += 1
        return Batch(asked_as, entries)

    def split(
        self, batch: Batch[AnyEntry], apart: Sequence[AnyEntry], size: int
    ) -> tuple[Batch[AnyEntry], list[Batch[AnyEntry]]]:
        """Take some tasks out of a batch, into batches of this size; each is given back by itself.

        Returns:
            the batch with the others, and the new ones.
        """
        ids = {entry.task.id for entry in apart}
        rest = [entry for entry in batch.entries if entry.task.id not in ids]
        parts = [Batch(batch.asked_as, part) for part in chunks(apart, size)]
        with self._lock:
            self._identities[batch.asked_as].flying += len(parts)
        return Batch(batch.asked_as, rest), parts

    def give_back(self, batch: Batch[AnyEntry], now: float, *, failed: bool = False) -> None:
        """Let the tasks of a batch be taken again; after a failure, all of its identity's later.

        Each is due when `done` or `trouble` said; where neither was called, as before.
        """
        with self._lock:
            identity = self._identities[batch.asked_as]
            identity.flying -= 1
            if not failed:
                identity.failures = 0
            elif identity.paused_until <= now:  # several batches may fail of one cause
                identity.failures += 1
                identity.paused_until = now + self._cadence.of_identity.after(identity.failures)
            for entry in batch.entries:
                self._requeue(entry)
            if not identity.flying and identity.first_due() == _NEVER:
                del self._identities[batch.asked_as]

    def _requeue(self, entry: AnyEntry) -> None:
        if self._entries.get(entry.task.id) is not entry:
            return  # it ended, or the worker has lost it
        position, entry.is_hastened = _AT_ONCE if entry.is_hastened else entry.due, False
        self._queue(entry, position)

    def known(self, task_ids: Iterable[int]) -> list[AnyEntry]:
        """Return the entries of those of these tasks that are this worker's."""
        with self._lock:
            return self._known(task_ids)

    def _known(self, task_ids: Iterable[int]) -> list[AnyEntry]:
        return [entry for each in task_ids if (entry := self._entries.get(each))]

    def hasten(self, task_ids: Iterable[int]) -> None:
        """Take these tasks before all others, if they are this worker's."""
        with self._lock:
            for entry in self._known(task_ids):
                if entry.ticket:
                    self._queue(entry, _AT_ONCE)
                else:
                    entry.is_hastened = True

    def done(self, entry: AnyEntry, now: float) -> None:
        """Set when a task is due next, now that its turn is over; its troubles stay counted."""
        entry.due = self._cadence.next_due(entry, now)

    def trouble(self, entry: AnyEntry, now: float) -> None:
        """Take a task later and later that fails alone."""
        entry.troubles += 1
        entry.due = now + self._cadence.of_task.after(entry.troubles)

    def end(self, entry: AnyEntry) -> None:
        """Take out a task that is over."""
        with self._lock:
            if jobset := self._jobsets.get(entry.task.lease.jobset_id):
                jobset.entries.pop(entry.task.id, None)
            self._forget(entry, entry.task.lease.jobset_id)

    def late(self) -> dict[int, int]:
        """Return how many tasks of each jobset were taken too late twice in a row."""
        with self._lock:
            counted = {
                jobset_id: sum(entry.late >= _LATE_IN_A_ROW for entry in jobset.entries.values())
                for jobset_id, jobset in self._jobsets.items()
            }
        return {jobset_id: late for jobset_id, late in counted.items() if late}
