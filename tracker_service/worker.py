"""Hold jobsets and run their tasks: the background process, on APScheduler.

There is no leader: every duty is safe on every worker, because what only one may do is claimed in
the database first.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from tracker_service.archive.copying.copier import Copier
from tracker_service.archive.expiry import Expiry
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TaskState, TrackTask
from tracker_service.engine.clock import ClockWatch
from tracker_service.engine.slots import Slots
from tracker_service.errors import StoreUnavailable
from tracker_service.store import (
    copies,
    failed_logins,
    hints,
    jobsets,
    rate_limits,
    tasks,
    verified_callers,
    workers,
)
from tracker_service.store.database import Store
from tracker_service.store.jobsets import WAITED_TOO_LONG_S
from tracker_service.tracking.completion import Completion
from tracker_service.tracking.hints import Hints
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.reruns import Reruns
from tracker_service.tracking.schedule import Schedule

log = structlog.get_logger()

_KINDS = (tasks.TRACK,)  #: of tasks, which this worker knows
_CLAIMS_AT_ONCE = 100
_TEND_S = 0.5  #: between two looks for new work; a posted job waits this long at most
_SWEEP_S = 0.1
_FOLLOW_HINTS_S = 0.2
_SAVE_S = 0.5
_TIDY_S = 60
_EXPIRE_S = 60
_NOTE_S = 1.0
_SILENT_WORKER_S = 86_400
_UNNEEDED_JOBSET_S = 86_400
_WATCH_CLOCK_S = 1.0
_FULL_FOR_S = 60.0  #: a worker that was late takes nothing for so long that others may take
_HINT_LIFE = timedelta(minutes=1)  #: of one at a task that has ended, while nobody takes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What a worker does for the jobsets that it holds."""

    schedule: Schedule
    slots: Slots
    share_pace: Callable[[int], None]  #: is told how many workers ask the gateway
    poller: Poller
    hints: Hints
    completion: Completion
    copier: Copier
    expiry: Expiry
    reruns: Reruns


class Worker:
    """One background process: claims jobsets, polls their jobs, saves logs."""

    def __init__(
        self,
        store: Store,
        duties: Duties,
        executors: Sequence[Executor],
        lease_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._duties, self._executors = store, duties, executors
        self._lease_s, self._clock = lease_s, clock
        self._started_at = clock()
        self.id = f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held: dict[int, jobsets.HeldJobset] = {}  # as they are loaded
        self._renewed = self._full_until = float("-inf")
        self._is_limit_hit = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then give all jobsets back."""
        stop = _StopSignal()
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(8)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        for duty, seconds in (
            (self.tend, _TEND_S),
            (self.sweep, _SWEEP_S),
            (self.note, _NOTE_S),
            (self.follow_hints, _FOLLOW_HINTS_S),
            (self.save, _SAVE_S),
            (self.look_for_reruns, self._duties.reruns.every_s),
            (self.tidy, _TIDY_S),
            (self.expire, _EXPIRE_S),
        ):
            scheduler.add_job(_kept_alive(duty), "interval", seconds=seconds, id=duty.__name__)
        log.info("worker_started", worker=self.id)
        scheduler.start()
        clock_watch = ClockWatch()
        while not stop.wait(_WATCH_CLOCK_S):
            if jump_s := clock_watch.jump_s():
                self._carry_on(scheduler, jump_s)
        self._duties.expiry.stop()
        scheduler.shutdown()
        self.stop()

    def _carry_on(self, scheduler: BackgroundScheduler, jump_s: float) -> None:
        """Go on at once after the clock was set: what is due is due by that clock.

        Set back by an hour, it would let all rest for an hour.
        """
        log.warning("clock_was_set", worker=self.id, seconds=round(jump_s, 1))
        for duty in scheduler.get_jobs():
            duty.modify(next_run_time=datetime.now(UTC))
        _kept_alive(self.look_at_copies_again)()

    def look_at_copies_again(self) -> None:
        """Make all copies due that have not ended."""
        with self._store.begin() as connection:
            copies.hasten(connection, list(self._held), self._clock())

    def tend(self) -> None:
        """Renew the leases when it is time, take a fair share, and load what has changed."""
        if time.monotonic() - self._renewed >= self._lease_s / 3:
            self._renew()
            self._renewed = time.monotonic()
        self._take_share()
        with self._store.read() as connection:
            held = {h.lease.jobset_id: h for h in jobsets.held(connection, self.id)}
            for jobset_id, jobset in held.items():
                if self._held.get(jobset_id) != jobset:
                    self._load(jobset, tasks.live(connection, jobset.lease))
        for jobset_id in set(self._held) - set(held):
            self._forget(jobset_id)
        self._release([h.lease for h in held.values() if h.size == 0])

    def _renew(self) -> None:
        """Say that this worker lives, prolong its leases, and give back what it cannot do in time.

        Late is better than never: the only worker keeps all.
        """
        late = self._duties.schedule.late()
        presence = workers.Presence(
            id=self.id,
            started_at=self._started_at,
            release=version("tracker-service"),
            kinds=_KINDS,
            busy=self._duties.slots.busy(),
            late=sum(late.values()),
        )
        with self._store.begin() as connection:
            workers.note(connection, presence)
            jobsets.renew(connection, self.id, self._lease_s)
            living = workers.living(connection, self._lease_s)
            is_limit_hit = jobsets.any_free(connection, _KINDS, WAITED_TOO_LONG_S)
        self._duties.share_pace(living)
        if late and living > 1:
            log.warning("jobsets_given_back", worker=self.id, jobsets=len(late), late=presence.late)
            self._release([held.lease for key, held in self._held.items() if key in late])
            self._full_until = time.monotonic() + _FULL_FOR_S
        self._tell_limit(is_limit_hit or (living == 1 and bool(late)))

    def _tell_limit(self, is_hit: bool) -> None:
        if is_hit and not self._is_limit_hit:
            log.error("scaling_limit_hit", worker=self.id, remedy="start more workers")
        self._is_limit_hit = is_hit

    def _take_share(self) -> None:
        """Claim what is free, up to a fair share; give back what is above it, the newest first.

        So a worker that joins has work within moments, and nobody has to stop for it.
        """
        waited_s = WAITED_TOO_LONG_S if time.monotonic() < self._full_until else 0.0
        with self._store.read() as connection:
            room = jobsets.fair_share(connection, _KINDS, self._lease_s) - len(self._held)
            is_work_free = room > 0 and jobsets.any_free(connection, _KINDS, waited_s)
            newest = list(reversed(self._held.values()))
            streaming = copies.streaming(connection) if room < 0 else set()
        if is_work_free:
            with self._store.begin() as connection:
                limit = min(room, _CLAIMS_AT_ONCE)
                jobsets.claim(connection, self.id, _KINDS, self._lease_s, limit, waited_s=waited_s)
        movable = [held.lease for held in newest if held.lease.jobset_id not in streaming]
        self._release(movable[: max(0, -room)])

    def _load(self, jobset: jobsets.HeldJobset, live: Sequence[TrackTask]) -> None:
        now, lease = time.monotonic(), jobset.lease
        watching = [task for task in live if task.state == TaskState.WATCHING]
        copying = [task for task in live if task.state == TaskState.COPYING]
        self._duties.schedule.load(lease, watching, now, self._clock())
        self._duties.completion.load(lease, copying, now)
        self._held[lease.jobset_id] = jobset

    def _release(self, leases: Sequence[Lease]) -> None:
        if leases:
            with self._store.begin() as connection:
                jobsets.release(connection, self.id, leases)
            for lease in leases:
                self._forget(lease.jobset_id)

    def _forget(self, jobset_id: int) -> None:
        self._held.pop(jobset_id, None)
        self._duties.schedule.drop(jobset_id)
        self._duties.completion.drop(jobset_id)

    def sweep(self) -> None:
        """Look at the jobs that are due."""
        self._duties.poller.sweep()

    def note(self) -> None:
        """Write down what has been looked at."""
        self._duties.poller.note()

    def follow_hints(self) -> None:
        """Make due what somebody says has changed."""
        self._duties.hints.follow(self.id, self._leases().values(), time.monotonic())

    def save(self) -> None:
        """Look at the copies that are due, and end the tasks of which nothing is left to do."""
        self._duties.copier.advance(self._leases())
        self._duties.completion.advance()

    def look_for_reruns(self) -> None:
        """Look whether jobs that have ended were run again."""
        self._duties.reruns.look(self._leases().values())

    def _leases(self) -> dict[int, Lease]:
        return {jobset_id: held.lease for jobset_id, held in list(self._held.items())}

    def tidy(self) -> None:
        """Remove what has expired, and merge jobsets that are hardly filled."""
        with self._store.begin() as connection:
            verified_callers.forget_old(connection, self._clock())
            failed_logins.forget(connection, self._clock())
            rate_limits.forget(connection, self._clock())
            hints.forget_ended(connection, self._clock() - _HINT_LIFE)
            workers.forget_silent(connection, _SILENT_WORKER_S)
            jobsets.remove_empty(connection, _UNNEEDED_JOBSET_S)
            thin = jobsets.thin(connection, self.id)
        for lease in thin:
            with self._store.begin() as connection:
                jobsets.merge(connection, lease)

    def expire(self) -> None:
        """Remove saved logs that are too old."""
        self._duties.expiry.advance(list(self._held))

    def stop(self) -> None:
        """Give all jobsets back at once, then finish what has begun; late writes change nothing."""
        self._duties.copier.stop()
        try:
            with self._store.begin() as connection:
                jobsets.release(connection, self.id)
                workers.forget(connection, self.id)
        except StoreUnavailable as error:  # others take the jobsets when the leases are over
            log.warning("jobsets_not_released", worker=self.id, reason=str(error))
        for jobset_id in list(self._held):
            self._forget(jobset_id)  # looks in progress see it and stop
        for executor in self._executors:
            executor.shutdown(wait=True, cancel_futures=True)
        self._store.close()
        log.info("worker_stopped", worker=self.id)


def _kept_alive(duty: Callable[[], None]) -> Callable[[], None]:
    """Return a duty that outlives its failures: the next round comes anyway."""

    def run() -> None:
        try:
            duty()
        except StoreUnavailable as error:
            log.warning("store_unavailable", duty=duty.__name__, reason=str(error))
        except Exception:
            log.exception("duty_broke", duty=duty.__name__)

    return run


class _StopSignal:
    """Remembers SIGTERM and SIGINT from its making on."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os.write(self._writer, b"."))

    def wait(self, seconds: float) -> bool:
        """Wait for it, and tell whether it has come."""
        return bool(select.select([self._reader], [], [], seconds)[0])
