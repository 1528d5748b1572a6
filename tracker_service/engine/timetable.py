"""Keep in memory when each task of this worker is due, and hand out due tasks in batches."""

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
    """A task of any kind, as far as a timetable knows it."""

    @property
    def id(self) -> int:
        """Return the id of the task's row."""

    @property
    def owner(self) -> str:
        """Return the user who asked."""

    @property
    def lease(self) -> Lease:
        """Return the lease on the task's jobset."""


@dataclass(slots=True)
class Entry:
    """A task and its due time, in seconds of the worker's monotonic clock."""

    task: Task
    due: float
    troubles: int = 0  #: failures in a row of this task alone
    late: int = 0  #: times in a row that it was taken too late
    ticket: int = 0  #: of its valid position in the queue; 0 while it is worked on
    is_hastened: bool = False  #: `hasten` was called while it was worked on


AnyTask = TypeVar("AnyTask", bound=Task)
AnyEntry = TypeVar("AnyEntry", bound=Entry)


@dataclass(frozen=True, slots=True)
class Batch(Generic[AnyEntry]):
    """Due tasks, and the identity that asks the cluster about all of them."""

    asked_as: str
    entries: Sequence[AnyEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence(Generic[AnyEntry]):
    """When the tasks of one kind are due, and how they are batched."""

    next_due: Callable[[AnyEntry, float], float]  #: of an entry whose turn ends at an instant
    late_after_s: float  #: a task that is taken this long after its due time is late
    identity_backoff: Backoff  #: pauses of all tasks of an identity after a batch failed
    task_backoff: Backoff  #: pauses of one task that fails alone
    asked_as: Callable[[str], str] = str  #: returns the identity that asks about a user's tasks
    batch_size: int = 500
    early_s: float = 0.0  #: a batch also takes tasks that are due within this time


@dataclass(slots=True)
class _Identity(Generic[AnyEntry]):
    """The queue of one identity; an entry in it with an old ticket is ignored."""

    queue: list[tuple[float, int, AnyEntry]] = field(default_factory=list)
    running: int = 0  #: batches that are being worked on
    failures: int = 0  #: batches in a row that failed
    paused_until: float = 0.0

    def first_due(self) -> float:
        while self.queue and self.queue[0][2].ticket != self.queue[0][1]:
            heappop(self.queue)
        return self.queue[0][0] if self.queue else _NEVER

    def may_start(self, now: float) -> bool:
        """Tell whether another batch may be taken; after a failure, only one runs at a time."""
        return self.paused_until <= now and not (self.failures and self.running)

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
    """The due times of all tasks of one kind that this worker holds.

    A batch has tasks of one identity only. Several batches of an identity may run at the same time.
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
        """Replace the tasks of a jobset by those in the store; known tasks keep their due times.

        Args:
            new_entry: makes the entry of a new task, with its first due time.
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
        """Return the ids of all jobsets in the timetable."""
        with self._lock:
            return list(self._jobsets)

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""
        with self._lock:
            self._drop(jobset_id)

    def lose(self, lease: Lease) -> None:
        """Forget a jobset whose lease is lost, unless this worker has claimed it again."""
        with self._lock:
            if self._holds(lease):
                self._drop(lease.jobset_id)

    def holds(self, lease: Lease) -> bool:
        """Tell whether this worker still holds a lease, as far as the timetable knows."""
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
        """Take the due tasks in batches, and fill the batches with tasks that soon will be due.

        A full request costs less than two. A taken task is not taken again before `give_back`.

        Args:
            now: in seconds of the worker's monotonic clock.
            slots: the most batches to take.
        """
        taken: list[Batch[AnyEntry]] = []
        with self._lock:
            while ready := self._ready(now)[: slots - len(taken)]:
                taken += [self._take(asked_as, now) for asked_as in ready]
        return taken

    def _ready(self, now: float) -> list[str]:
        """Return the identities that have due tasks, the one that waits longest first."""
        ready = [
            (first, asked_as)
            for asked_as, identity in self._identities.items()
            if (first := identity.first_due()) <= now and identity.may_start(now)
        ]
        return [asked_as for _, asked_as in sorted(ready)]

    def _take(self, asked_as: str, now: float) -> Batch[AnyEntry]:
        identity, cadence = self._identities[asked_as], self._cadence
        entries = list(identity.take(now + cadence.early_s, cadence.batch_size))
        for entry in entries:
            late_by = now - max(entry.due, identity.paused_until)
            entry.late = entry.late + 1 if late_by > cadence.late_after_s else 0
        identity.running += 1
        return Batch(asked_as, entries)

    def split(
        self, batch: Batch[AnyEntry], apart: Sequence[AnyEntry], size: int
    ) -> tuple[Batch[AnyEntry], list[Batch[AnyEntry]]]:
        """Move some tasks of a batch into new batches; each batch is given back by itself.

        Args:
            apart: the tasks to move.
            size: the most tasks in one new batch.

        Returns:
            the batch with the remaining tasks, and the new batches.
        """
        ids = {entry.task.id for entry in apart}
        rest = [entry for entry in batch.entries if entry.task.id not in ids]
        parts = [Batch(batch.asked_as, part) for part in chunks(apart, size)]
        with self._lock:
            self._identities[batch.asked_as].running += len(parts)
        return Batch(batch.asked_as, rest), parts

    def give_back(self, batch: Batch[AnyEntry], now: float, *, failed: bool = False) -> None:
        """Queue the tasks of a batch again, at the due times that `reschedule` or `back_off` set.

        After a failure, all tasks of the identity pause.
        """
        with self._lock:
            identity = self._identities[batch.asked_as]
            identity.running -= 1
            if not failed:
                identity.failures = 0
            elif identity.paused_until <= now:  # several batches may fail for the same reason
                identity.failures += 1
                identity.paused_until = now + self._cadence.identity_backoff.after(
                    identity.failures
                )
            for entry in batch.entries:
                self._requeue(entry)
            if not identity.running and identity.first_due() == _NEVER:
                del self._identities[batch.asked_as]

    def _requeue(self, entry: AnyEntry) -> None:
        if self._entries.get(entry.task.id) is not entry:
            return  # the task has ended, or the worker has lost it
        position, entry.is_hastened = _AT_ONCE if entry.is_hastened else entry.due, False
        self._queue(entry, position)

    def known(self, task_ids: Iterable[int]) -> list[AnyEntry]:
        """Return the entries of the given tasks, as far as this worker holds them."""
        with self._lock:
            return self._known(task_ids)

    def _known(self, task_ids: Iterable[int]) -> list[AnyEntry]:
        return [entry for task_id in task_ids if (entry := self._entries.get(task_id))]

    def hasten(self, task_ids: Iterable[int]) -> None:
        """Take the given tasks next, before all others, as far as this worker holds them."""
        with self._lock:
            for entry in self._known(task_ids):
                if entry.ticket:
                    self._queue(entry, _AT_ONCE)
                else:
                    entry.is_hastened = True

    def reschedule(self, entry: AnyEntry, now: float) -> None:
        """Set the next due time of a task whose turn ends now; its failures stay counted."""
        entry.due = self._cadence.next_due(entry, now)

    def back_off(self, entry: AnyEntry, now: float) -> None:
        """Count a failure of one task; its pauses grow with every failure in a row."""
        entry.troubles += 1
        entry.due = now + self._cadence.task_backoff.after(entry.troubles)

    def end(self, entry: AnyEntry) -> None:
        """Remove a task that has ended."""
        with self._lock:
            if jobset := self._jobsets.get(entry.task.lease.jobset_id):
                jobset.entries.pop(entry.task.id, None)
            self._forget(entry, entry.task.lease.jobset_id)

    def late(self) -> dict[int, int]:
        """Return how many tasks were taken too late twice in a row, by jobset."""
        with self._lock:
            counted = {
                jobset_id: sum(entry.late >= _LATE_IN_A_ROW for entry in jobset.entries.values())
                for jobset_id, jobset in self._jobsets.items()
            }
        return {jobset_id: late for jobset_id, late in counted.items() if late}
