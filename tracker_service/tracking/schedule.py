"""Keep in memory when each watched job of this worker is polled next."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tracker_service.domain.backoff import Backoff
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TrackTask
from tracker_service.engine.timetable import Batch, Cadence, Entry, Timetable

_YOUNG = timedelta(hours=1)
_NEVER = float("inf")
_LONGEST_TROUBLE_S = 600.0
_JITTER = 0.3


@dataclass(slots=True)
class JobEntry(Entry):
    """A task that watches a job, with its due time and what the store does not keep."""

    task: TrackTask
    looked_at: datetime | None = None  #: when Oozie last answered with its state
    details_at: float = -_NEVER  #: when its details were last requested
    settled_pages: int = 0  #: how many of a coordinator's first pages can get no new children
    gone_since: float | None = None  #: since when Oozie has not known the job


class Schedule(Timetable[JobEntry]):
    """The due times of all watched jobs of this worker; an older job is due less often.

    The schedule also knows since when all jobs of a jobset have been polled, and which of these
    instants the store has.
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
            interval_s: the longest time between two polls of a young job, in seconds.
            max_interval_s: the same for an old job, in seconds.
            asked_as: returns the identity that asks about a user's jobs.
            batch_size: the most jobs in one batch.
        """
        self._interval_s, self._max_interval_s, self._rng = interval_s, max_interval_s, rng
        self._touched: set[int] = set()  # jobsets with a poll that may have to be noted
        self._noted: dict[int, datetime] = {}  # by jobset: the instant that the store has
        super().__init__(
            Cadence(
                next_due=self._next_look,
                late_after_s=max_interval_s,
                identity_backoff=Backoff(2 * interval_s, max_interval_s, _JITTER, rng),
                task_backoff=Backoff(2 * interval_s, _LONGEST_TROUBLE_S, _JITTER, rng),
                asked_as=asked_as,
                batch_size=batch_size,
                early_s=interval_s / 2,
            )
        )

    def load(self, lease: Lease, tasks: Sequence[TrackTask], now: float, clock: datetime) -> None:
        """Replace the watched tasks of a jobset by those in the store; known due times stay.

        A job that was polled when its id was posted is not polled again at once.

        Args:
            now: in seconds of the worker's monotonic clock.
            clock: the same instant by the machine's clock.
        """
        self.put(lease, tasks, lambda task: self._new_entry(task, now, clock))

    def _new_entry(self, task: TrackTask, now: float, clock: datetime) -> JobEntry:
        entry = JobEntry(task, due=now, looked_at=task.observed_at)
        if task.observed_at and task.status in (JobStatus.RUNNING, JobStatus.PREP):
            self.note_look(entry, task.observed_at, now)
            # If the clock was set, `observed_at` may lie in the future; that delays no poll.
            entry.due -= max(0.0, (clock - task.observed_at).total_seconds())
        return entry

    def _drop(self, jobset_id: int) -> None:
        super()._drop(jobset_id)
        self._touched.discard(jobset_id)
        self._noted.pop(jobset_id, None)

    def watched(self, task_ids: Iterable[int]) -> dict[int, TrackTask]:
        """Return the given tasks as they are now, by id, as far as this worker holds them."""
        return {entry.task.id: entry.task for entry in self.known(task_ids)}

    def hasten(self, task_ids: Iterable[int]) -> None:
        """Poll the given tasks next, before all others, as far as this worker holds them."""
        ids = list(task_ids)
        for entry in self.known(ids):
            entry.details_at = -_NEVER  # a coordinator or bundle may have started more
        super().hasten(ids)

    def note_look(self, entry: JobEntry, at: datetime, now: float) -> None:
        """Note an answer about a job, and set when the job is polled next."""
        entry.looked_at = at
        self.reschedule(entry, now)

    def _next_look(self, entry: JobEntry, now: float) -> float:
        age = entry.looked_at - entry.task.began_at if entry.looked_at else timedelta(0)
        return now + self._interval(age) * self._rng.uniform(0.7, 0.9)

    def _interval(self, age: timedelta) -> float:
        """Return the longest time between two polls, which grows with the age of the job."""
        longer = self._interval_s * max(1.0, age / _YOUNG)
        return max(self._interval_s, min(longer, self._max_interval_s))

    def postpone(self, entry: JobEntry, now: float) -> None:
        """Poll a job again after the usual interval."""
        entry.due = now + self._interval_s

    def give_back(self, batch: Batch[JobEntry], now: float, *, failed: bool = False) -> None:
        """Queue the tasks of a batch again; after a failure, all tasks of the identity pause."""
        super().give_back(batch, now, failed=failed)
        with self._lock:
            self._touched.update(entry.task.lease.jobset_id for entry in batch.entries)

    def unnoted_looks(self) -> dict[Lease, datetime]:
        """Return the instants since which all jobs of a jobset were polled and that are not noted.

        A jobset with a job that was never polled is left out. So is an instant that is less than
        half an interval newer than the noted one; thus each sweep over the jobs is noted once.
        """
        found = {}
        with self._lock:
            self._touched &= self._jobsets.keys()
            for jobset_id in self._touched:
                jobset, noted = self._jobsets[jobset_id], self._noted.get(jobset_id)
                since = _looked_at_since(jobset.entries.values())
                if since and (noted is None or since - noted >= self._note_after):
                    found[jobset.lease] = since
        return found

    @property
    def _note_after(self) -> timedelta:
        return timedelta(seconds=self._interval_s / 2)

    def mark_noted(self, looks: Mapping[Lease, datetime]) -> None:
        """Remember that the store has some results of `unnoted_looks`."""
        with self._lock:
            for lease, since in looks.items():
                if self._holds(lease):
                    self._noted[lease.jobset_id] = since
                    self._touched.discard(lease.jobset_id)


def _looked_at_since(entries: Iterable[JobEntry]) -> datetime | None:
    """Return since when all of these jobs have been polled; None if one of them never was."""
    instants = [entry.looked_at for entry in entries]
    known = [instant for instant in instants if instant is not None]
    return min(known) if known and len(known) == len(instants) else None
