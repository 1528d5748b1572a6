"""Hold jobsets and run their tasks: the background process, on APScheduler.

There is no leader: every duty is safe on every worker, because what only one may do is claimed in
the database first.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from tracker_service.archive.copier import Copier
from tracker_service.archive.expiry import Expiry
from tracker_service.domain.tasks import Lease, TaskState, TrackTask
from tracker_service.errors import StoreUnavailable
from tracker_service.store import allowances, credentials, jobsets, tasks
from tracker_service.store.engine import Store
from tracker_service.tracking.completion import Completion
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.reruns import Reruns
from tracker_service.tracking.schedule import Schedule

log = structlog.get_logger()

_CLAIMS_AT_ONCE = 100
_TEND_S = 0.5  #: between two looks for new work; a posted job waits this long at most
_SWEEP_S = 0.1
_SAVE_S = 0.5
_TIDY_S = 60
_EXPIRE_S = 60
_SILENT_WORKER_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What a worker does for the jobsets that it holds."""

    schedule: Schedule
    poller: Poller
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
        self._renewed = float("-inf")

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
            (self.save, _SAVE_S),
            (self.look_for_reruns, self._duties.reruns.every_s),
            (self.tidy, _TIDY_S),
            (self.expire, _EXPIRE_S),
        ):
            scheduler.add_job(_kept_alive(duty), "interval", seconds=seconds, id=duty.__name__)
        log.info("worker_started", worker=self.id)
        scheduler.start()
        stop.wait()
        self._duties.expiry.stop()
        scheduler.shutdown()
        self.stop()

    def tend(self) -> None:
        """Renew the leases when it is time, claim what is free, and load what has changed."""
        if time.monotonic() - self._renewed >= self._lease_s / 3:
            with self._store.begin() as connection:
                jobsets.renew(connection, self.id, self._lease_s, self._started_at)
            self._renewed = time.monotonic()
        with self._store.read() as connection:
            is_work_free = jobsets.any_free(connection)
        if is_work_free:
            with self._store.begin() as connection:
                jobsets.claim(connection, self.id, self._lease_s, _CLAIMS_AT_ONCE)
        with self._store.read() as connection:
            held = {h.lease.jobset_id: h for h in jobsets.held(connection, self.id)}
            for jobset_id in set(self._held) - set(held):
                self._forget(jobset_id)
            for jobset_id, jobset in held.items():
                if self._held.get(jobset_id) != jobset:
                    self._load(jobset, tasks.live(connection, jobset.lease))
        self._release_empty([h for h in held.values() if h.size == 0])

    def _load(self, jobset: jobsets.HeldJobset, live: Sequence[TrackTask]) -> None:
        now, lease = time.monotonic(), jobset.lease
        watching = [task for task in live if task.state == TaskState.WATCHING]
        copying = [task for task in live if task.state == TaskState.COPYING]
        self._duties.schedule.load(lease, watching, now, self._clock())
        self._duties.completion.load(lease, copying, now)
        self._held[lease.jobset_id] = jobset

    def _release_empty(self, empty: Sequence[jobsets.HeldJobset]) -> None:
        if empty:
            with self._store.begin() as connection:
                jobsets.release(connection, self.id, [jobset.lease for jobset in empty])
            for jobset in empty:
                self._forget(jobset.lease.jobset_id)

    def _forget(self, jobset_id: int) -> None:
        self._held.pop(jobset_id, None)
        self._duties.schedule.drop(jobset_id)
        self._duties.completion.drop(jobset_id)

    def sweep(self) -> None:
        """Look at the jobs that are due."""
        self._duties.poller.sweep()

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
        """Remove what has expired."""
        with self._store.begin() as connection:
            credentials.forget_verdicts(connection, self._clock())
            allowances.forget(connection, self._clock())
            jobsets.forget_silent_workers(connection, _SILENT_WORKER_S)

    def expire(self) -> None:
        """Remove saved logs that are too old."""
        self._duties.expiry.advance(list(self._held))

    def stop(self) -> None:
        """Give all jobsets back at once, then finish what has begun; late writes change nothing."""
        self._duties.copier.stop()
        try:
            with self._store.begin() as connection:
                jobsets.release(connection, self.id)
                jobsets.forget_worker(connection, self.id)
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

    def wait(self) -> None:
        os.read(self._reader, 1)
