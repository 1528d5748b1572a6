"""Run the background process: the duties of all rooms, on APScheduler.

There is no leader. Every duty is safe on every worker: before a worker does what only one may do,
it claims it in the database.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from tracker_service.engine.clock import Clock, ClockWatch
from tracker_service.engine.duties import Duty, TaskKind
from tracker_service.engine.leases import Leases
from tracker_service.engine.predecessor import Predecessor, machine
from tracker_service.errors import StoreUnavailable
from tracker_service.store.database import Store

log = structlog.get_logger()

_TEND_S = 0.5  #: from one look for new work to the next; a posted job waits this long at most
_TIDY_S = 60
_WATCH_CLOCK_S = 1.0


class Worker:
    """One background process: claims jobsets of the kinds that it knows, and runs the duties."""

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
        """Prepare to work; `run` starts.

        Args:
            kinds: the kinds of tasks that this worker runs; it never claims jobsets of other kinds.
            duties: the duties of the rooms; the engine adds its own.
            executors: run the work of the rooms; the worker shuts them down at the end.
            lease_s: a worker that does not renew its leases for this long loses them, in seconds.
            busy: returns the share of time spent on work since its last call, from 0 to 1.
            share_pace: takes the number of living workers of each kind.
        """
        self._store, self._executors, self._kinds = store, executors, kinds
        self.id = f"{machine()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.leases = Leases(
            store,
            kinds,
            worker=self.id,
            lease_s=lease_s,
            started_at=clock(),
            busy=busy,
            share_pace=share_pace,
        )
        self._duties = [
            # On a thread of its own: to load jobsets may take longer than a lease lasts.
            Duty(name="renew", every_s=_TEND_S, run=lambda _: self.leases.renew()),
            Duty(name="tend", every_s=_TEND_S, run=lambda _: self.leases.tend()),
            Duty(name="tidy", every_s=_TIDY_S, run=lambda _: self.leases.tidy()),
            *duties,
        ]

    def run(self, noted_in: Path | None = None) -> None:
        """Work until SIGTERM or SIGINT, then give all jobsets back.

        Args:
            noted_in: the file with the id of the worker before, which is known to be dead; None
                if other workers may live beside this one.
        """
        stop = _StopSignal()
        if noted_in:
            Predecessor(self._store, noted_in).replace_with(self.id)
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
                self._resume_after_clock_change(scheduler, jump_s)
        self._stop_duties()
        scheduler.shutdown()
        self.stop()

    def _do(self, duty: Duty) -> None:
        with _surviving_errors(duty.name):
            duty.run(self.leases.held())

    def _resume_after_clock_change(self, scheduler: BackgroundScheduler, jump_s: float) -> None:
        """Run all duties at once after the clock was set.

        Their due times are instants of that clock: set back by an hour, it would pause them for
        an hour.
        """
        log.warning("clock_was_set", worker=self.id, seconds=round(jump_s, 1))
        for duty in scheduler.get_jobs():
            duty.modify(next_run_time=datetime.now(UTC))
        for kind in self._kinds:
            with _surviving_errors("clock_was_set"):
                kind.clock_was_set()

    def _stop_duties(self) -> None:
        """Have each duty begin nothing more and end its long work."""
        for duty in self._duties:
            if duty.stop:
                duty.stop()

    def stop(self) -> None:
        """Give all jobsets back, then wait for running work; its late writes change nothing."""
        self.leases.give_back()
        for executor in self._executors:
            executor.shutdown(wait=True, cancel_futures=True)
        self._store.close()
        log.info("worker_stopped", worker=self.id)


@contextmanager
def _surviving_errors(duty: str) -> Iterator[None]:
    """Log an error of a duty instead of raising it; the duty runs again at its next time."""
    try:
        yield
    except StoreUnavailable as error:
        log.warning("store_unavailable", duty=duty, reason=str(error))
    except Exception:
        log.exception("duty_broke", duty=duty)


class _StopSignal:
    """Catches SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os.write(self._writer, b"."))

    def wait(self, seconds: float) -> bool:
        """Wait for a signal for some seconds; tell whether one has come, now or before."""
        return bool(select.select([self._reader], [], [], seconds)[0])
