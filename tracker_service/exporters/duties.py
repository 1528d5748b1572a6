"""Give the engine what a worker does to scrape Teraslice: one kind of tasks, and two duties."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

import structlog

from tracker_service.domain.backoff import Backoff
from tracker_service.domain.leases import Lease
from tracker_service.engine.clock import Clock
from tracker_service.engine.duties import Duty, Held
from tracker_service.engine.timetable import Batch, Cadence, Entry, Timetable
from tracker_service.errors import LeaseLost, StoreUnavailable
from tracker_service.exporters import recording
from tracker_service.exporters.health import Health
from tracker_service.exporters.masters import TERASLICE, Master
from tracker_service.exporters.scraping import Scraper
from tracker_service.store import expositions
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

_SWEEP_S = 0.1
_ENROL_S = 1.0
_LATE_S = 10.0
#: Each master may hold one thread while it hangs, and so delays no other; idle ones are used first.
MOST_THREADS = 1000
_NO_PAUSE = Backoff(first_s=1.0, longest_s=1.0)  #: a master that fails is asked at its usual times


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterTask:
    """A task that scrapes one master."""

    id: int
    lease: Lease
    master: Master

    @property
    def owner(self) -> str:
        """Return what the timetable keeps apart: each master."""
        return self.master.name


@dataclass(slots=True)
class MasterEntry(Entry):
    """A master, its next update, and how the last one has gone."""

    task: MasterTask
    health: Health = field(default_factory=Health)


class Masters:
    """The kind of tasks that scrape a Teraslice master."""

    name = TERASLICE

    def __init__(self, store: Store, scraper: Scraper, executor: Executor) -> None:
        self._store, self._scraper, self._executor = store, scraper, executor
        self._timetable = Timetable[MasterEntry](
            Cadence(
                next_due=_next_update,
                late_after_s=_LATE_S,
                identity_backoff=_NO_PAUSE,
                task_backoff=_NO_PAUSE,
                batch_size=1,
            )
        )

    def load(self, connection: Connection, lease: Lease) -> None:
        """Read the masters of a jobset, with how their last updates have gone elsewhere."""
        found = expositions.of_jobset(connection, lease)
        healths = {source.id: Health.of_stored(source.health) for source in found}
        tasks = [
            MasterTask(id=source.id, lease=lease, master=Master.from_spec(source.spec))
            for source in found
        ]
        now = time.monotonic()
        self._timetable.put(
            lease,
            tasks,
            lambda task: MasterEntry(task, due=_first_update(task, now), health=healths[task.id]),
        )

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""
        self._timetable.drop(jobset_id)

    def late(self) -> Mapping[int, int]:
        """Return how many masters are scraped too late, by jobset."""
        return self._timetable.late()

    def pinned(self, _: Connection) -> Collection[int]:
        """Return nothing: a master may change hands at any time."""
        return ()

    def clock_was_set(self) -> None:
        """Do nothing: updates are due by a monotonic clock."""

    def duty(self) -> Duty:
        """Return the duty that scrapes."""
        return Duty(name="scrape", every_s=_SWEEP_S, run=self.sweep)

    def sweep(self, _: Held) -> None:
        """Start the updates that are due, each on a thread of its own."""
        for batch in self._timetable.take_due(time.monotonic(), MOST_THREADS):
            self._executor.submit(self._update, batch)

    def _update(self, batch: Batch[MasterEntry]) -> None:
        [entry] = batch.entries
        try:
            found = self._scraper.update(entry.task.master, entry.health)
            entry.health = found.health
            task = entry.task
            recording.record(self._store, task.id, task.lease, task.master, found)
        except LeaseLost:
            self._timetable.lose(entry.task.lease)
        except StoreUnavailable as error:
            log.warning("store_unavailable", master=entry.task.master.name, reason=str(error))
        except Exception:
            log.exception("teraslice_update_broke", master=entry.task.master.name)
        finally:
            now = time.monotonic()
            self._timetable.reschedule(entry, now)
            self._timetable.give_back(batch, now)


def _first_update(task: MasterTask, now: float) -> float:
    """Return when a master is scraped first: soon, but not all at the same moment."""
    return now + task.master.spread * task.master.interval_s / 10


def _next_update(entry: MasterEntry, now: float) -> float:
    """Return the next of a master's own moments, which lie an interval apart."""
    master = entry.task.master
    offset = master.spread * master.interval_s
    return now + master.interval_s - (now - offset) % master.interval_s


class Enrolment:
    """Takes the masters of the settings over into the database, once in the life of a worker."""

    def __init__(self, store: Store, masters: Sequence[Master], clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._wanted = {master.name: master.spec() for master in masters}
        self._is_done = False

    def duty(self) -> Duty:
        """Return the duty, which does nothing once it is done."""
        return Duty(name="enrol_masters", every_s=_ENROL_S, run=self.enrol)

    def enrol(self, _: Held) -> None:
        """Have one task for each master; the worker that started last decides which."""
        if self._is_done:
            return
        change = partial(expositions.enrol, kind=TERASLICE, wanted=self._wanted, now=self._clock())
        self._store.write(change)
        self._is_done = True
