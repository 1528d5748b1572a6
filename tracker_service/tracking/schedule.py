"""Know in memory when each watched job of this worker is to be asked about next."""

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
    """A task that watches a job, and what is known of the job in memory alone."""

    task: TrackTask
    looked_at: datetime | None = None  #: when the answer came that told its state
    details_at: float = -_NEVER  #: when its actions were asked for
    settled_pages: int = 0  #: of a coordinator: pages of actions with nothing left to come
    gone_since: float | None = None  #: since when Oozie says that there is no such job


class Schedule(Timetable[JobEntry]):
    """The watched jobs in all jobsets of this worker; the older a job, the less often it is due.

    It also knows since when all jobs of a jobset have been looked at, and what of that the store
    knows already.
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
        self._touched: set[int] = set()  # jobsets with a look that may be worth a note
        self._noted: dict[int, datetime] = {}  # by jobset: what the store has been told
        super().__init__(
            Cadence(
                next_due=self._next_look,
                late_after_s=max_interval_s,
                of_identity=Backoff(2 * interval_s, max_interval_s, _JITTER, rng),
                of_task=Backoff(2 * interval_s, _LONGEST_TROUBLE_S, _JITTER, rng),
                asked_as=asked_as,
                batch_size=batch_size,
                early_s=interval_s / 2,
            )
        )

    def load(self, lease: Lease, tasks: Sequence[TrackTask], now: float, clock: datetime) -> None:
        """Take the watched tasks of a jobset as the store has them; known due times stay.

        A job that was asked about when its id was posted is not asked about again at once.
        """
        self.put(lease, tasks, lambda task: self._new_entry(task, now, clock))

    def _new_entry(self, task: TrackTask, now: float, clock: datetime) -> JobEntry:
        entry = JobEntry(task, due=now, looked_at=task.observed_at)
        if task.observed_at and task.status in (JobStatus.RUNNING, JobStatus.PREP):
            self.looked(entry, task.observed_at, now)
            # By a clock that was set it may lie ahead: that is not waited for.
            entry.due -= max(0.0, (clock - task.observed_at).total_seconds())
        return entry

    def _drop(self, jobset_id: int) -> None:
        super()._drop(jobset_id)
        self._touched.discard(jobset_id)
        self._noted.pop(jobset_id, None)

    def watched(self, task_ids: Iterable[int]) -> dict[int, TrackTask]:
        """Return those of these tasks that are this worker's, as they stand now."""
        return {entry.task.id: entry.task for entry in self.known(task_ids)}

    def hasten(self, task_ids: Iterable[int]) -> None:
        """Look at these tasks before all others, if they are this worker's."""
        ids = list(task_ids)
        for entry in self.known(ids):
            entry.details_at = -_NEVER  # a coordinator or bundle may have started more
        super().hasten(ids)

    def looked(self, entry: JobEntry, at: datetime, now: float) -> None:
        """Note an answer about a task, and when the next one is due."""
        entry.looked_at = at
        self.done(entry, now)

    def _next_look(self, entry: JobEntry, now: float) -> float:
        age = entry.looked_at - entry.task.began_at if entry.looked_at else timedelta(0)
        return now + self._interval(age) * self._rng.uniform(0.7, 0.9)

    def _interval(self, age: timedelta) -> float:
        """Return the longest time between two looks: the older the job, the longer."""
        longer = self._interval_s * max(1.0, age / _YOUNG)
        return max(self._interval_s, min(longer, self._max_interval_s))

    def postpone(self, entry: JobEntry, now: float) -> None:
        """Look at a task again after the usual time."""
        entry.due = now + self._interval_s

    def give_back(self, batch: Batch[JobEntry], now: float, *, failed: bool = False) -> None:
        """Let the tasks of a batch be taken again; after a failure, all of its identity's later."""
        super().give_back(batch, now, failed=failed)
        with self._lock:
            self._touched.update(entry.task.lease.jobset_id for entry in batch.entries)

    def news(self) -> dict[Lease, datetime]:
        """Return the instants since which all jobs of a jobset were looked at, where it is news.

        Jobsets with a job that nobody has looked at yet are left out. What is new by less than
        half an interval is no news, so that each sweep over the jobs is worth one.
        """
        found = {}
        with self._lock:
            self._touched &= self._jobsets.keys()
            for jobset_id in self._touched:
                jobset, noted = self._jobsets[jobset_id], self._noted.get(jobset_id)
                since = _looked_at_since(jobset.entries.values())
                if since and (noted is None or since - noted >= self._news_after):
                    found[jobset.lease] = since
        return found

    @property
    def _news_after(self) -> timedelta:
        return timedelta(seconds=self._interval_s / 2)

    def note(self, news: Mapping[Lease, datetime]) -> None:
        """Remember what the store has been told of `news`."""
        with self._lock:
            for lease, since in news.items():
                if self._holds(lease):
                    self._noted[lease.jobset_id] = since
                    self._touched.discard(lease.jobset_id)


def _looked_at_since(entries: Iterable[JobEntry]) -> datetime | None:
    """Return since when all of these jobs have been looked at; None if one of them never was."""
    instants = [entry.looked_at for entry in entries]
    known = [instant for instant in instants if instant is not None]
    return min(known) if known and len(known) == len(instants) else None
