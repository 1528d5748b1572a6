"""Give the engine what a worker does to track jobs: one kind of tasks, and duties."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TRACK, TaskState
from tracker_service.engine.clock import Clock
from tracker_service.engine.duties import Duty
from tracker_service.store import adoption, copies, track_tasks
from tracker_service.store.database import Connection, Store
from tracker_service.tracking.completion import Completion
from tracker_service.tracking.hints import Hints
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.purge import Purge
from tracker_service.tracking.reruns import Reruns
from tracker_service.tracking.schedule import Schedule
from tracker_service.tracking.trouble import Trouble

_SWEEP_S = 0.1
_FOLLOW_HINTS_S = 0.2
_COMPLETE_S = 0.5
_NOTE_S = 1.0
_TIDY_S = 60
_PURGE_S = 10.0
_TROUBLE_S = 5.0


class Tracking:
    """The kind of tasks that track an Oozie job: they watch it, then save its logs."""

    name = TRACK

    def __init__(
        self, store: Store, schedule: Schedule, completion: Completion, clock: Clock
    ) -> None:
        self._store, self._schedule, self._completion = store, schedule, completion
        self._clock = clock

    def load(self, connection: Connection, lease: Lease) -> None:
        """Read a jobset: watching tasks go to the schedule, copying tasks to the completion."""
        # If this changes a row, it also changes the jobset, which is then loaded again.
        adoption.adopt_of_jobset(self._store, lease.jobset_id)
        live, now = track_tasks.live(connection, lease), time.monotonic()
        watching = [task for task in live if task.state == TaskState.WATCHING]
        copying = [task for task in live if task.state == TaskState.COPYING]
        self._schedule.load(lease, watching, now, self._clock())
        self._completion.load(lease, copying, now)

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""
        self._schedule.drop(jobset_id)
        self._completion.drop(jobset_id)

    def late(self) -> Mapping[int, int]:
        """Return how many jobs are checked too late, by jobset."""
        return self._schedule.late()

    def pinned(self, connection: Connection) -> Collection[int]:
        """Return the jobsets with a direct copy that is running."""
        return copies.streaming(connection)

    def clock_was_set(self) -> None:
        """Make all unfinished copies due; checks of jobs are due by a monotonic clock."""
        held, now = self._schedule.jobsets(), self._clock()
        self._store.write(lambda connection: copies.hasten(connection, held, now))


def duties(
    store: Store,
    poller: Poller,
    hints: Hints,
    completion: Completion,
    reruns: Reruns,
    purge: Purge,
    trouble: Trouble,
    *,
    clock: Clock,
) -> list[Duty]:
    """Return the duties of tracking, which every worker runs."""
    return [
        Duty(name="sweep", every_s=_SWEEP_S, run=lambda _: poller.sweep()),
        Duty(name="note", every_s=_NOTE_S, run=lambda _: poller.note_polled()),
        Duty(
            name="follow_hints",
            every_s=_FOLLOW_HINTS_S,
            run=lambda held: hints.follow(held.worker, held.of(TRACK).values(), time.monotonic()),
        ),
        Duty(name="complete", every_s=_COMPLETE_S, run=lambda _: completion.advance()),
        Duty(
            name="look_for_reruns",
            every_s=reruns.every_s,
            run=lambda held: reruns.look(held.of(TRACK).values()),
        ),
        Duty(name="adopt", every_s=_TIDY_S, run=lambda _: adoption.adopt_all(store)),
        Duty(name="look_for_trouble", every_s=_TROUBLE_S, run=lambda _: trouble.look()),
        Duty(name="purge", every_s=_PURGE_S, run=lambda _: purge.step()),
        Duty(name="tidy_hints", every_s=_TIDY_S, run=lambda _: hints.tidy(clock())),
    ]
