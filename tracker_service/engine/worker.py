"""Hold jobsets and do the duties of all rooms: the background process, on APScheduler.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from tracker_service.domain.leases import Lease
from tracker_service.engine.clock import Clock, ClockWatch
from tracker_service.engine.duties import Duty, Held, TaskKind
from tracker_service.errors import StoreUnavailable
from tracker_service.store import jobsets, workers
from tracker_service.store.database import Connection, Store
from tracker_service.store.jobsets import WAITED_TOO_LONG_S

log = structlog.get_logger()

_CLAIMS_AT_ONCE = 100
_TEND_S = 0.5  #: between two looks for new work; a posted job waits this long at most
_TIDY_S = 60
_SILENT_WORKER_S = 86_400
_UNNEEDED_JOBSET_S = 86_400
_WATCH_CLOCK_S = 1.0
_FULL_FOR_S = 60.0  #: a worker that was late takes nothing for so long that others may take


class Worker:
    """One background process: claims jobsets of the kinds that it knows, and does its duties."""

    def __init__(
        self,
        store: Store,
        kinds: Sequence[TaskKind],
        duties: Sequence[Duty],
        *,
        executors: Sequence[Executor],
        lease_s: float,
        clock: Clock,
        busy: Callable[[], float],
        share_pace: Callable[[Mapping[str, int]], None],
    ) -> None:
        """Prepare to work.

        Args:
            kinds: of tasks; jobsets of other kinds are left to other workers.
            duties: of the rooms; the engine adds its own.
            executors: whose threads do the rooms' work; they are shut down at the end.
            busy: tells which part of the time was work since it was asked last, from 0 to 1.
            share_pace: is told of each kind how many workers know it.
        """
        self._store, self._executors = store, executors
        self._kinds = {kind.name: kind for kind in kinds}
        self._duties = [
            Duty(name="tend", every_s=_TEND_S, run=lambda _: self.tend()),
            Duty(name="tidy", every_s=_TIDY_S, run=lambda _: self.tidy()),
            *duties,
        ]
        self._lease_s, self._busy, self._share_pace = lease_s, busy, share_pace
        self._started_at = clock()
        self.id = f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held: dict[int, jobsets.HeldJobset] = {}  # as they are loaded
        self._renewed = self._full_until = float("-inf")
        self._is_limit_hit = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then give all jobsets back."""
        stop = _StopSignal()
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(len(self._duties))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        for duty in self._duties:
            scheduler.add_job(self._do, "interval", args=[duty], seconds=duty.every_s, id=duty.name)
        log.info("worker_started", worker=self.id)
        scheduler.start()
        clock_watch = ClockWatch()
        while not stop.wait(_WATCH_CLOCK_S):
            if jump_s := clock_watch.jump_s():
                self._carry_on(scheduler, jump_s)
        self._break_off()
        scheduler.shutdown()
        self.stop()

    def _do(self, duty: Duty) -> None:
        with _outlived(duty.name):
            duty.run(self.held())

    def _carry_on(self, scheduler: BackgroundScheduler, jump_s: float) -> None:
        """Go on at once after the clock was set: what is due is due by that clock.

        Set back by an hour, it would let all rest for an hour.
        """
        log.warning("clock_was_set", worker=self.id, seconds=round(jump_s, 1))
        for duty in scheduler.get_jobs():
            duty.modify(next_run_time=datetime.now(UTC))
        for kind in self._kinds.values():
            with _outlived("clock_was_set"):
                kind.clock_was_set()

    def held(self) -> Held:
        """Return the jobsets that are loaded, by kind."""
        leases: dict[str, dict[int, Lease]] = {name: {} for name in self._kinds}
        for jobset_id, jobset in list(self._held.items()):
            leases[jobset.kind][jobset_id] = jobset.lease
        return Held(worker=self.id, leases=leases)

    def tend(self) -> None:
        """Renew the leases when it is time, take a fair share, and load what has changed."""
        if time.monotonic() - self._renewed >= self._lease_s / 3:
            self._renew()
            self._renewed = time.monotonic()
        for name, kind in self._kinds.items():
            self._take_share(name, kind)
        with self._store.read() as connection:
            held = {h.lease.jobset_id: h for h in jobsets.held(connection, self.id)}
            for jobset_id, jobset in held.items():
                if self._held.get(jobset_id) != jobset:
                    self._kinds[jobset.kind].load(connection, jobset.lease)
                    self._held[jobset_id] = jobset
        for jobset_id in set(self._held) - set(held):
            self._forget(jobset_id)
        self._release([h.lease for h in held.values() if h.size == 0])

    def _renew(self) -> None:
        """Say that this worker lives, prolong its leases, and give back what it cannot do in time.

        Late is better than never: the only worker that knows a kind keeps all of it.
        """
        late = {name: kind.late() for name, kind in self._kinds.items()}
        presence = workers.Presence(
            id=self.id,
            started_at=self._started_at,
            release=version("tracker-service"),
            kinds=tuple(self._kinds),
            busy=self._busy(),
            late=sum(sum(of_kind.values()) for of_kind in late.values()),
        )
        with self._store.begin() as connection:
            workers.note(connection, presence)
            jobsets.renew(connection, self.id, self._lease_s)
            living = workers.living_by_kind(connection, self._lease_s)
            is_limit_hit = jobsets.any_free(connection, list(self._kinds), WAITED_TOO_LONG_S)
        self._share_pace(living)
        if movable := {id_ for name in late if living[name] > 1 for id_ in late[name]}:
            log.warning(
                "jobsets_given_back", worker=self.id, jobsets=len(movable), late=presence.late
            )
            self._release([held.lease for key, held in self._held.items() if key in movable])
            self._full_until = time.monotonic() + _FULL_FOR_S
        is_alone_and_late = any(late[name] and living[name] == 1 for name in late)
        self._tell_limit(is_limit_hit or is_alone_and_late)

    def _tell_limit(self, is_hit: bool) -> None:
        if is_hit and not self._is_limit_hit:
            log.error("scaling_limit_hit", worker=self.id, remedy="start more workers")
        self._is_limit_hit = is_hit

    def _take_share(self, name: str, kind: TaskKind) -> None:
        """Claim what is free of a kind, up to a fair share; give back the newest above it.

        So a worker that joins has work within moments, and nobody has to stop for it.
        """
        waited_s = WAITED_TOO_LONG_S if time.monotonic() < self._full_until else 0.0
        mine = [held.lease for held in self._held.values() if held.kind == name]
        with self._store.read() as connection:
            room = jobsets.fair_share(connection, [name], self._lease_s) - len(mine)
            is_work_free = room > 0 and jobsets.any_free(connection, [name], waited_s)
            pinned = kind.pinned(connection) if room < 0 else set()
        if is_work_free:
            with self._store.begin() as connection:
                limit = min(room, _CLAIMS_AT_ONCE)
                jobsets.claim(connection, self.id, [name], self._lease_s, limit, waited_s=waited_s)
        movable = [lease for lease in reversed(mine) if lease.jobset_id not in pinned]
        self._release(movable[: max(0, -room)])

    def _release(self, leases: Sequence[Lease]) -> None:
        if leases:
            with self._store.begin() as connection:
                jobsets.release(connection, self.id, leases)
            for lease in leases:
                self._forget(lease.jobset_id)

    def _forget(self, jobset_id: int) -> None:
        if jobset := self._held.pop(jobset_id, None):
            self._kinds[jobset.kind].drop(jobset_id)

    def tidy(self) -> None:
        """Remove the records of silent workers, and merge jobsets that are hardly filled."""
        with self._store.begin() as connection:
            workers.forget_silent(connection, _SILENT_WORKER_S)
            jobsets.remove_empty(connection, _UNNEEDED_JOBSET_S)
            pinned = self._pinned(connection)
            thin = [
                lease
                for lease in jobsets.thin(connection, self.id)
                if lease.jobset_id not in pinned
            ]
        for lease in thin:
            with self._store.begin() as connection:
                jobsets.merge(connection, lease)

    def _pinned(self, connection: Connection) -> set[int]:
        return {each for kind in self._kinds.values() for each in kind.pinned(connection)}

    def _break_off(self) -> None:
        """Let no duty begin more, nor go on with what takes long."""
        for duty in self._duties:
            if duty.stop:
                duty.stop()

    def stop(self) -> None:
        """Give all jobsets back at once, then finish what has begun; late writes change nothing."""
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


@contextmanager
def _outlived(duty: str) -> Iterator[None]:
    """Outlive a failure: the next round comes anyway."""
    try:
        yield
    except StoreUnavailable as error:
        log.warning("store_unavailable", duty=duty, reason=str(error))
    except Exception:
        log.exception("duty_broke", duty=duty)


class _StopSignal:
    """Remembers SIGTERM and SIGINT from its making on."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os.write(self._writer, b"."))

    def wait(self, seconds: float) -> bool:
        """Wait for it, and tell whether it has come."""
        return bool(select.select([self._reader], [], [], seconds)[0])
