"""Know in memory when each watched job of this worker wants its next look."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from threading import Lock

from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TrackTask

_YOUNG = timedelta(hours=1)
_NEVER = float("inf")
_AT_ONCE = -_NEVER  #: before everything that is due by the clock
_LONGEST_TROUBLE_S = 600.0
_LATE_IN_A_ROW = 2


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
    late: int = 0  #: looks in a row that came too late
    ticket: int = 0  #: of its valid place in the queue; 0 while it is looked at
    is_hastened: bool = False  #: somebody asked for another look while it was looked at


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks that are due, and as whom they are asked about."""

    asked_as: str
    entries: Sequence[Entry]


@dataclass(slots=True)
class _Identity:
    """The queue of those that are asked about as one user; a place with an old ticket is void."""

    queue: list[tuple[float, int, Entry]] = field(default_factory=list)
    flying: int = 0  #: batches that are being looked at
    failures: int = 0  #: looks in a row that failed
    paused_until: float = 0.0

    def first_due(self) -> float:
        while self.queue and self.queue[0][2].ticket != self.queue[0][1]:
            heappop(self.queue)
        return self.queue[0][0] if self.queue else _NEVER

    def may_fly(self, now: float) -> bool:
        """Tell whether a batch may be taken: after a failure, one at a time."""
        return self.paused_until <= now and not (self.failures and self.flying)

    def take(self, until: float, limit: int) -> Iterator[Entry]:
        for _ in range(limit):
            if self.first_due() > until:
                return
            entry = heappop(self.queue)[2]
            entry.ticket = 0
            yield entry


@dataclass(slots=True)
class _Held:
    """A jobset of this worker."""

    lease: Lease
    entries: dict[int, Entry] = field(default_factory=dict)  #: by task
    noted: datetime | None = None  #: since when all its jobs were looked at, as the store has it

    def looked_at_since(self) -> datetime | None:
        instants = [entry.looked_at for entry in self.entries.values()]
        known = [instant for instant in instants if instant is not None]
        return min(known) if known and len(known) == len(instants) else None


class Schedule:
    """The due times of the watched jobs in all jobsets that this worker holds.

    Jobs are asked about in batches, those of one identity together; several batches of one may be
    on their way at the same time.
    """

    def __init__(
        self,
        interval_s: float,
        max_interval_s: float,
        rng: random.Random,
        *,
        asked_as: Callable[[str], str] = str,
        batch_size: int = 500,
    ) -> None:
        """Make an empty schedule.

        Args:
            interval_s: the longest time between two looks at a young job.
            max_interval_s: the same for old ones.
            asked_as: gives the identity that asks about a user's jobs.
            batch_size: jobs in one batch at most.
        """
        self._interval_s, self._max_interval_s, self._rng = interval_s, max_interval_s, rng
        self._asked_as, self._batch_size = asked_as, batch_size
        self._identities: dict[str, _Identity] = {}
        self._held: dict[int, _Held] = {}
        self._entries: dict[int, Entry] = {}  # by task
        self._touched: set[int] = set()  # jobsets with a look that may be worth a note
        self._tickets = count(1)
        self._lock = Lock()

    def load(self, lease: Lease, tasks: Sequence[TrackTask], now: float, clock: datetime) -> None:
        """Take the watched tasks of a jobset as the store has them; known due times stay.

        A job that was asked about when its id was posted is not asked about again at once.
        """
        with self._lock:
            before = self._held.get(lease.jobset_id) or _Held(lease)
            held = self._held[lease.jobset_id] = _Held(lease, noted=before.noted)
            for task in tasks:
                entry = self._entries.get(task.id)
                if entry is None:
                    entry = self._entries[task.id] = self._new_entry(task, now, clock)
                    self._queue(entry, entry.due)
                entry.task = task
                held.entries[task.id] = entry
            for task_id in before.entries.keys() - held.entries.keys():
                self._forget(before.entries[task_id], lease.jobset_id)

    def _new_entry(self, task: TrackTask, now: float, clock: datetime) -> Entry:
        entry = Entry(task, due=now, looked_at=task.observed_at)
        if task.observed_at and task.status in (JobStatus.RUNNING, JobStatus.PREP):
            self.looked(entry, task.observed_at, now)
            # By a clock that was set it may lie ahead: that is not waited for.
            entry.due -= max(0.0, (clock - task.observed_at).total_seconds())
        return entry

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
        held = self._held.get(lease.jobset_id)
        return held is not None and held.lease == lease

    def _drop(self, jobset_id: int) -> None:
        held = self._held.pop(jobset_id, None)
        self._touched.discard(jobset_id)
        for entry in held.entries.values() if held else ():
            self._forget(entry, jobset_id)

    def _forget(self, entry: Entry, jobset_id: int) -> None:
        """Forget a task, unless it has moved to another jobset of this worker."""
        if self._entries.get(entry.task.id) is entry and entry.task.lease.jobset_id == jobset_id:
            del self._entries[entry.task.id]
            entry.ticket = 0

    def _queue(self, entry: Entry, place: float) -> None:
        entry.ticket = next(self._tickets)
        asked_as = self._asked_as(entry.task.owner)
        queue = self._identities.setdefault(asked_as, _Identity()).queue
        heappush(queue, (place, entry.ticket, entry))

    def take_due(self, now: float, slots: int) -> list[Batch]:
        """Take the tasks that are due, and beside them those that soon will be.

        Looking a little early fills the requests, which costs less than looking twice. What was
        taken is left out until `give_back`.

        Args:
            slots: how many batches to take at most.
        """
        taken: list[Batch] = []
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

    def _take(self, asked_as: str, now: float) -> Batch:
        identity = self._identities[asked_as]
        entries = list(identity.take(now + self._interval_s / 2, self._batch_size))
        for entry in entries:
            late_by = now - max(entry.due, identity.paused_until)
            entry.late = entry.late + 1 if late_by > self._max_interval_s else 0
        identity.flying += 1
        return Batch(asked_as, entries)

    def split(self, batch: Batch, apart: Sequence[Entry], size: int) -> tuple[Batch, list[Batch]]:
        """Take some tasks out of a batch, into batches of this size; each is given back by itself.

        Returns:
            the batch with the others, and the new ones.
        """
        ids = {entry.task.id for entry in apart}
        rest = [entry for entry in batch.entries if entry.task.id not in ids]
        parts = [
            Batch(batch.asked_as, apart[start : start + size])
            for start in range(0, len(apart), size)
        ]
        with self._lock:
            self._identities[batch.asked_as].flying += len(parts)
        return Batch(batch.asked_as, rest), parts

    def give_back(self, batch: Batch, now: float, *, failed: bool = False) -> None:
        """Let the tasks of a batch be taken again; after a failure, all of its identity's later."""
        with self._lock:
            identity = self._identities[batch.asked_as]
            identity.flying -= 1
            if not failed:
                identity.failures = 0
            elif identity.paused_until <= now:  # several batches may fail of one cause
                identity.failures += 1
                pause = self._backed_off(self._interval_s, identity.failures, self._max_interval_s)
                identity.paused_until = now + pause
            for entry in batch.entries:
                self._requeue(entry)
            if not identity.flying and identity.first_due() == _NEVER:
                del self._identities[batch.asked_as]

    def _requeue(self, entry: Entry) -> None:
        if self._entries.get(entry.task.id) is not entry:
            return  # it ended, or the worker has lost it
        place, entry.is_hastened = _AT_ONCE if entry.is_hastened else entry.due, False
        self._queue(entry, place)
        self._touched.add(entry.task.lease.jobset_id)

    def watched(self, task_ids: Iterable[int]) -> dict[int, TrackTask]:
        """Return those of these tasks that are this worker's, as they stand now."""
        with self._lock:
            found = filter(None, map(self._entries.get, task_ids))
            return {entry.task.id: entry.task for entry in found}

    def hasten(self, task_ids: Iterable[int]) -> None:
        """Look at these tasks before all others, if they are this worker's."""
        with self._lock:
            for entry in filter(None, map(self._entries.get, task_ids)):
                entry.details_at = -_NEVER  # a coordinator or bundle may have started more
                if entry.ticket:
                    self._queue(entry, _AT_ONCE)
                else:
                    entry.is_hastened = True

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
            if held := self._held.get(entry.task.lease.jobset_id):
                held.entries.pop(entry.task.id, None)
            self._forget(entry, entry.task.lease.jobset_id)

    def late(self) -> dict[int, int]:
        """Return how many tasks of each jobset were looked at too late twice in a row."""
        with self._lock:
            told = {
                jobset_id: sum(e.late >= _LATE_IN_A_ROW for e in held.entries.values())
                for jobset_id, held in self._held.items()
            }
        return {jobset_id: late for jobset_id, late in told.items() if late}

    def news(self) -> dict[Lease, datetime]:
        """Return the instants since which all jobs of a jobset were looked at, where it is news.

        Jobsets with a job that nobody has looked at yet are left out. What is new by less than
        half an interval is no news, so that each sweep over the jobs is worth one.
        """
        found = {}
        with self._lock:
            for jobset_id in self._touched:
                held = self._held[jobset_id]
                since = held.looked_at_since()
                if since and (held.noted is None or since - held.noted >= self._news_after):
                    found[held.lease] = since
        return found

    @property
    def _news_after(self) -> timedelta:
        return timedelta(seconds=self._interval_s / 2)

    def note(self, news: Mapping[Lease, datetime]) -> None:
        """Remember what the store has been told of `news`."""
        with self._lock:
            for lease, since in news.items():
                if self._holds(lease):
                    self._held[lease.jobset_id].noted = since
                    self._touched.discard(lease.jobset_id)
