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
from datetime import datetime

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from tracker_service.archive.copier import Copier
from tracker_service.errors import StoreUnavailable
from tracker_service.store import credentials, jobsets, tasks
from tracker_service.store.engine import Store
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.schedule import Schedule

log = structlog.get_logger()

_CLAIMS_AT_ONCE = 100
_TEND_S = 0.5  #: between two looks for new work; a posted job waits this long at most
_SWEEP_S = 0.1
_COPY_S = 0.5
_TIDY_S = 60


class Worker:
    """One background process: claims jobsets, polls their jobs, copies logs."""

    def __init__(
        self,
        store: Store,
        schedule: Schedule,
        poller: Poller,
        copier: Copier,
        executors: Sequence[Executor],
        lease_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._schedule, self._executors = store, schedule, executors
        self._poller, self._copier = poller, copier
        self._lease_s, self._clock = lease_s, clock
        self._started_at = clock()
        self.id = f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._versions: dict[int, tuple[int, int]] = {}  # epoch and version of what is loaded
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
            (self._poller.sweep, _SWEEP_S),
            (self.copy, _COPY_S),
            (self.tidy, _TIDY_S),
        ):
            scheduler.add_job(_kept_alive(duty), "interval", seconds=seconds, id=duty.__name__)
        log.info("worker_started", worker=self.id)
        scheduler.start()
        stop.wait()
        scheduler.shutdown()
        self.stop()

    def tend(self) -> None:
        """Renew the leases when it is time, claim what is free, and load what has changed."""
        with self._store.begin() as connection:
            if time.monotonic() - self._renewed >= self._lease_s / 3:
                jobsets.renew(connection, self.id, self._lease_s, self._started_at)
                self._renewed = time.monotonic()
            jobsets.claim(connection, self.id, self._lease_s, _CLAIMS_AT_ONCE)
        with self._store.read() as connection:
            held = {h.lease.jobset_id: h for h in jobsets.held(connection, self.id)}
            for jobset_id in set(self._versions) - set(held):
                self._forget(jobset_id)
            for jobset_id, jobset in held.items():
                if self._versions.get(jobset_id) != (jobset.lease.epoch, jobset.version):
                    live = tasks.live(connection, jobset.lease)
                    self._schedule.load(jobset.lease, live, time.monotonic(), self._clock())
                    self._versions[jobset_id] = jobset.lease.epoch, jobset.version
        self._release_empty([h for h in held.values() if h.size == 0])

    def _release_empty(self, empty: Sequence[jobsets.HeldJobset]) -> None:
        if empty:
            with self._store.begin() as connection:
                jobsets.release(connection, self.id, [jobset.lease for jobset in empty])
            for jobset in empty:
                self._forget(jobset.lease.jobset_id)

    def _forget(self, jobset_id: int) -> None:
        self._versions.pop(jobset_id, None)
        self._schedule.drop(jobset_id)

    def copy(self) -> None:
        """Look at the copies that are due."""
        self._copier.advance(self._schedule.leases)

    def tidy(self) -> None:
        """Remove what has expired."""
        with self._store.begin() as connection:
            credentials.forget_verdicts(connection, self._clock())

    def stop(self) -> None:
        """Finish what has begun, and give all jobsets back."""
        for executor in self._executors:
            executor.shutdown(wait=True, cancel_futures=True)
        with self._store.begin() as connection:
            jobsets.release(connection, self.id)
            jobsets.forget_worker(connection, self.id)
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
