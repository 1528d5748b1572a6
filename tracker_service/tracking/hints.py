"""Look at once at the jobs of which somebody says that they have changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TaskState, TrackTask
from tracker_service.store import hints
from tracker_service.store.database import Store
from tracker_service.store.hints import Hint
from tracker_service.tracking.reruns import Reruns
from tracker_service.tracking.schedule import Schedule

#: Oozie may call before others can see what it has changed: without news the job is looked at again
#: after the first of these times, and after the second.
_AGAIN_AFTER_S = (1.0, 3.0)
_LIFE = timedelta(minutes=1)  #: of a hint at a task that has ended, while nobody takes it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Awaited:
    """News of a job that somebody hinted at and that nobody has seen yet."""

    run: int  #: of the job when the hint was taken
    status: JobStatus
    looks: int  #: that were asked for
    look_at: float  #: when to ask for the next one

    def is_still(self, task: TrackTask) -> bool:
        return (task.run, task.status) == (self.run, self.status)


class Hints:
    """Takes the hints at a worker's tasks, and lets the schedule or the search for reruns know."""

    def __init__(self, store: Store, schedule: Schedule, reruns: Reruns) -> None:
        self._store, self._schedule, self._reruns = store, schedule, reruns
        self._awaited: dict[int, _Awaited] = {}
        #: jobs that had ended, each with its user, and when to look whether they were run again
        self._run_again: dict[tuple[str, JobId], float] = {}

    def follow(self, worker: str, leases: Collection[Lease], now: float) -> None:
        """Take the new hints, and ask for more looks where the first have shown no news.

        Nothing is written where there is no hint. Hints at tasks that are held but not loaded yet
        stay until they are.

        Args:
            worker: the id of this worker.
            leases: of the jobsets that it holds.
            now: in seconds of the worker's monotonic clock.
        """
        self._look_again(now)
        with self._store.read() as connection:
            found = hints.for_worker(connection, worker)
        if found:
            self._take(found, leases, now)
        self._look_for_reruns(leases, now)

    def tidy(self, now: datetime) -> None:
        """Remove old hints at tasks that have ended, which no worker has taken."""
        with self._store.begin() as connection:
            hints.forget_ended(connection, now - _LIFE)

    def _take(self, found: Sequence[Hint], leases: Collection[Lease], now: float) -> None:
        known = self._schedule.watched(hint.task_id for hint in found)
        ended = [hint for hint in found if hint.state == TaskState.ENDED]
        mine = self._reruns.asked_for(leases, {hint.owner for hint in ended}) if ended else {}
        again = [hint for hint in ended if hint.owner in mine]
        copying = [hint.task_id for hint in found if hint.state == TaskState.COPYING]
        taken = [*known, *copying, *(hint.task_id for hint in again)]
        if not taken:
            return
        with self._store.begin() as connection:
            hints.take(connection, taken)
        self._schedule.hasten(known)
        for task in known.values():
            self._await(task.id, task.run, task.status, 0, now)
        for hint in again:
            self._run_again.setdefault((hint.owner, hint.job_id), now + _AGAIN_AFTER_S[0])

    def _await(self, task_id: int, run: int, status: JobStatus, looks: int, now: float) -> None:
        if looks < len(_AGAIN_AFTER_S):
            look_at = now + _AGAIN_AFTER_S[looks]
            self._awaited[task_id] = _Awaited(run=run, status=status, looks=looks, look_at=look_at)

    def _look_again(self, now: float) -> None:
        due = {i: each for i, each in self._awaited.items() if each.look_at <= now}
        if not due:
            return
        known = self._schedule.watched(due)
        for task_id, each in due.items():
            del self._awaited[task_id]
            if task_id in known and each.is_still(known[task_id]):
                self._schedule.hasten([task_id])
                self._await(task_id, each.run, each.status, each.looks + 1, now)

    def _look_for_reruns(self, leases: Collection[Lease], now: float) -> None:
        due: dict[str, set[JobId]] = {}
        for (owner, job_id), look_at in list(self._run_again.items()):
            if look_at <= now:
                del self._run_again[owner, job_id]
                due.setdefault(owner, set()).add(job_id)
        if due:
            self._reruns.look_at(leases, due)
