"""A second kind of tasks lives on the engine as it is: bells that strike by a clock."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from structlog.testing import capture_logs

from tests.unit.fakes import Clock
from tracker_service.domain.backoff import Backoff
from tracker_service.domain.leases import Lease
from tracker_service.engine.duties import Duty, Held
from tracker_service.engine.timetable import Cadence, Entry, Timetable
from tracker_service.engine.worker import Worker
from tracker_service.store import jobsets
from tracker_service.store.database import Connection, Store

BELL, OTHER = "bell", "other"
LATE_S = 60.0


@dataclass(frozen=True)
class Bell:
    """A task: strike whenever the clock shows a multiple of some seconds."""

    id: int
    owner: str
    lease: Lease
    every_s: int


class Tower:
    """What all workers share of the bells: where they hang, and which have struck."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.monotonic = 100.0
        self.hung: dict[int, list[tuple[int, int]]] = {}  # by jobset: a bell and its seconds
        self.struck: list[int] = []

    def hang(self, number: int, *, every_s: int = 60, together: str = "north") -> None:
        with self.store.begin() as connection:
            [jobset] = jobsets.place(connection, BELL, together, 1)
        self.hung.setdefault(jobset, []).append((number, every_s))

    def go_on(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)
        self.monotonic += seconds


class Bells:
    """The kind, as one worker knows it."""

    name = BELL

    def __init__(self, tower: Tower) -> None:
        self._tower = tower
        self._ids: dict[int, list[int]] = {}  # by jobset
        self._timetable = Timetable[BellEntry](
            Cadence(
                next_due=self._next_stroke,
                late_after_s=LATE_S,
                identity_backoff=Backoff(5, 60),
                task_backoff=Backoff(5, 60),
            )
        )

    def _next_stroke(self, entry: BellEntry, now: float) -> float:
        past = self._tower.clock().timestamp() % entry.task.every_s
        return now + entry.task.every_s - past

    def load(self, _: Connection, lease: Lease) -> None:
        bells = [Bell(n, "sam", lease, every_s) for n, every_s in self._tower.hung[lease.jobset_id]]
        self._ids[lease.jobset_id] = [bell.id for bell in bells]
        self._timetable.put(lease, bells, self._new_entry)

    def _new_entry(self, bell: Bell) -> BellEntry:
        entry = BellEntry(bell, due=0)
        self._timetable.reschedule(entry, self._tower.monotonic)
        return entry

    def drop(self, jobset_id: int) -> None:
        self._ids.pop(jobset_id, None)
        self._timetable.drop(jobset_id)

    def late(self) -> Mapping[int, int]:
        return self._timetable.late()

    def pinned(self, _: Connection) -> Collection[int]:
        return ()

    def clock_was_set(self) -> None:
        self._timetable.hasten(each for ids in self._ids.values() for each in ids)

    def strike(self, _: Held) -> None:
        now = self._tower.monotonic
        for batch in self._timetable.take_due(now, 8):
            for entry in batch.entries:
                self._tower.struck.append(entry.task.id)
                self._timetable.reschedule(entry, now)
            self._timetable.give_back(batch, now)


@dataclass(slots=True)
class BellEntry(Entry):
    """A bell and its next stroke."""

    task: Bell


class Unheard(Bells):
    """A kind of tasks that has nothing to do."""

    name = OTHER

    def load(self, _: Connection, lease: Lease) -> None:
        pass


class Ringer(Worker):
    """A worker of which the tests know the duties."""

    def do(self, name: str) -> None:
        """Do one of its duties now."""
        [duty] = [duty for duty in self._duties if duty.name == name]
        self._do(duty)

    def renew(self) -> None:
        self.leases._renewed = float("-inf")
        self.do("tend")

    def holds(self, kind: str) -> int:
        return len(self.leases.held().of(kind))


NewRinger = Callable[..., Ringer]


@pytest.fixture
def tower(store: Store, now: Clock) -> Tower:
    return Tower(store, now)


@pytest.fixture
def new_ringer(tower: Tower) -> NewRinger:
    def make(*names: str) -> Ringer:
        known = {BELL: Bells(tower), OTHER: Unheard(tower)}
        kinds = [known[name] for name in names or (BELL,)]
        return Ringer(
            tower.store,
            kinds,
            [Duty(name=f"strike_{kind.name}", every_s=1, run=kind.strike) for kind in kinds],
            executors=[],
            lease_s=3600,
            clock=tower.clock,
            busy=lambda: 0.0,
            share_pace=lambda _: None,
        )

    return make


def test_a_worker_that_knows_the_kind_does_its_tasks_when_they_are_due(tower, new_ringer):
    tower.hang(1, every_s=60)
    tower.hang(2, every_s=3600)
    ringer = new_ringer()
    tower.go_on(50)
    ringer.do("tend")

    tower.go_on(9.9)
    ringer.do("strike_bell")
    assert tower.struck == []

    tower.go_on(0.1)
    ringer.do("strike_bell")
    assert tower.struck == [1]

    tower.go_on(59)
    ringer.do("strike_bell")
    assert tower.struck == [1]

    tower.go_on(3600 - 119)
    ringer.do("strike_bell")
    assert sorted(tower.struck) == [1, 1, 2]


def test_a_worker_that_does_not_know_the_kind_leaves_it_alone(tower, new_ringer):
    tower.hang(1)
    with tower.store.begin() as connection:
        jobsets.place(connection, OTHER, "others", 1)
    stranger = new_ringer(OTHER)

    stranger.renew()

    with tower.store.read() as connection:
        assert [held.kind for held in jobsets.held(connection, stranger.id)] == [OTHER]
        assert jobsets.any_free(connection, [BELL])


def test_a_worker_of_two_kinds_gives_each_what_is_of_its_kind(tower, new_ringer):
    tower.hang(1)
    with tower.store.begin() as connection:
        jobsets.place(connection, OTHER, "others", 1)
    both = new_ringer(BELL, OTHER)

    both.do("tend")
    tower.go_on(60)
    both.do("strike_bell")
    both.do("strike_other")

    assert (both.holds(BELL), both.holds(OTHER)) == (1, 1)
    assert tower.struck == [1]


def test_what_a_worker_gives_back_another_goes_on_with(tower, new_ringer):
    tower.hang(1)
    first, second = new_ringer(), new_ringer()
    first.do("tend")

    first.stop()
    second.do("tend")
    tower.go_on(60)
    first.do("strike_bell")
    assert tower.struck == []

    second.do("strike_bell")
    assert tower.struck == [1]


def test_a_task_that_is_added_later_is_taken_in(tower, new_ringer):
    ringer = new_ringer()
    tower.hang(1)
    ringer.do("tend")

    tower.hang(2)
    ringer.do("tend")
    tower.go_on(60)
    ringer.do("strike_bell")

    assert sorted(tower.struck) == [1, 2]


def test_after_the_clock_was_set_everything_is_due(tower, new_ringer):
    tower.hang(1)
    ringer = new_ringer()
    ringer.do("tend")
    tower.clock.advance(hours=-1)

    ringer._resume_after_clock_change(BackgroundScheduler(), -3600)
    ringer.do("strike_bell")
    assert tower.struck == [1]

    ringer.do("strike_bell")
    assert tower.struck == [1]


def make_late(tower: Tower, ringer: Ringer) -> None:
    """Make a worker take its bells too late twice in a row."""
    for _ in range(2):
        tower.go_on(60 + LATE_S + 1)
        ringer.do("strike_bell")


def test_late_tasks_are_left_to_another_worker_that_knows_the_kind(tower, new_ringer):
    tower.hang(1)
    first, second = new_ringer(), new_ringer()
    first.do("tend")
    second.do("tend")
    make_late(tower, first)

    first.renew()
    second.do("tend")

    assert (first.holds(BELL), second.holds(BELL)) == (0, 1)


def test_late_tasks_are_kept_where_no_other_worker_knows_the_kind(tower, new_ringer):
    tower.hang(1)
    only, stranger = new_ringer(), new_ringer(OTHER)
    only.do("tend")
    stranger.do("tend")
    make_late(tower, only)

    with capture_logs() as logged:
        only.renew()

    assert only.holds(BELL) == 1
    assert [line["event"] for line in logged] == ["scaling_limit_hit"]


def test_who_alone_knows_a_kind_keeps_it_and_shares_the_other(tower, new_ringer):
    for number in range(4):
        tower.hang(number, together=f"tower {number}")
        with tower.store.begin() as connection:
            jobsets.place(connection, OTHER, f"others {number}", 1)
    both, stranger = new_ringer(BELL, OTHER), new_ringer(OTHER)
    both.do("tend")
    assert (both.holds(BELL), both.holds(OTHER)) == (4, 4)

    stranger.do("tend")
    both.do("tend")
    stranger.do("tend")

    assert (both.holds(BELL), both.holds(OTHER)) == (4, 3)
    assert stranger.holds(OTHER) == 1


@pytest.fixture
def signals() -> Iterator[None]:
    """Restore what a worker that runs changes of this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_worker_that_is_stopped_breaks_its_duties_off_then_gives_its_jobsets_back(tower):
    tower.hang(1)
    kind, course = Bells(tower), list[str]()
    worker: Worker

    def strike(held: Held) -> None:
        if held.of(BELL) and not course:
            course.append("strikes")
            os.kill(os.getpid(), signal.SIGTERM)

    def break_off() -> None:
        with tower.store.read() as connection:
            course.append(f"is broken off while {len(jobsets.held(connection, worker.id))} is held")

    worker = Worker(
        tower.store,
        [kind],
        [Duty(name="strike", every_s=0.05, run=strike, stop=break_off)],
        executors=[],
        lease_s=3600,
        clock=tower.clock,
        busy=lambda: 0.0,
        share_pace=lambda _: None,
    )

    worker.run()

    assert course == ["strikes", "is broken off while 1 is held"]
    with tower.store.read() as connection:
        assert jobsets.any_free(connection, [BELL])
