"""Check at once the jobs of tasks that have a hint."""

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

#: Oozie may notify before its change is visible. If a check finds no change, the job is checked
#: again after the first of these times, and once more after the second.
_AGAIN_AFTER_S = (1.0, 3.0)
_LIFE = timedelta(minutes=1)  #: of a hint at an ended task that no worker takes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Awaited:
    """A change of a job that a hint announced and no check has found."""

    run: int  #: of the job when the hint was taken
    status: JobStatus  #: of the job when the hint was taken
    looks: int  #: repeated checks so far
    look_at: float  #: when to check next

    def is_unchanged(self, task: TrackTask) -> bool:
        return (task.run, task.status) == (self.run, self.status)


class Hints:
    """Takes the hints at a worker's tasks, and has the schedule or `Reruns` check their jobs."""

    def __init__(self, store: Store, schedule: Schedule, reruns: Reruns) -> None:
        self._store, self._schedule, self._reruns = store, schedule, reruns
        self._awaited: dict[int, _Awaited] = {}
        #: by user and ended job: when to check whether the job was run again
        self._run_again: dict[tuple[str, JobId], float] = {}

    def follow(self, worker: str, leases: Collection[Lease], now: float) -> None:
        """Take the new hints, and repeat checks that have found no change.

        Without hints, nothing is written. A hint at a task that this worker holds but has not
        loaded yet stays until it has.

        Args:
            worker: the id of this worker.
            leases: on the jobsets that it holds.
            now: in seconds of the worker's monotonic clock.
        """
        self._look_again(now)
        with self._store.read() as connection:
            found = hints.for_worker(connection, worker)
        if found:
            self._take(found, leases, now)
        self._look_for_reruns(leases, now)

    def tidy(self, now: datetime) -> None:
        """Remove old hints at ended tasks that no worker has taken."""
        self._store.write(lambda connection: hints.forget_ended(connection, now - _LIFE))

    def _take(self, found: Sequence[Hint], leases: Collection[Lease], now: float) -> None:
        known = self._schedule.watched(hint.task_id for hint in found)
        ended = [hint for hint in found if hint.state == TaskState.ENDED]
        owners = {hint.owner for hint in ended}
        ours = self._reruns.owners_to_ask_for(leases, owners) if ended else {}
        again = [hint for hint in ended if hint.owner in ours]
        copying = [hint.task_id for hint in found if hint.state == TaskState.COPYING]
        taken = [*known, *copying, *(hint.task_id for hint in again)]
        if not taken:
            return
        self._store.write(lambda connection: hints.take(connection, taken))
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
        due = {i: awaited for i, awaited in self._awaited.items() if awaited.look_at <= now}
        if not due:
            return
        known = self._schedule.watched(due)
        for task_id, awaited in due.items():
            del self._awaited[task_id]
            if task_id in known and awaited.is_unchanged(known[task_id]):
                self._schedule.hasten([task_id])
                self._await(task_id, awaited.run, awaited.status, awaited.looks + 1, now)

    def _look_for_reruns(self, leases: Collection[Lease], now: float) -> None:
        due: dict[str, set[JobId]] = {}
        for (owner, job_id), look_at in list(self._run_again.items()):
            if look_at <= now:
                del self._run_again[owner, job_id]
                due.setdefault(owner, set()).add(job_id)
        if due:
            self._reruns.look_at(leases, due)
