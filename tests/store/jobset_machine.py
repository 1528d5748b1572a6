"""A hypothesis machine: workers, users and time change jobsets of two kinds in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select, update

from tests.store.rows import NOW, seen
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import ENDED, TRACK, HeldTask
from tracker_service.errors import LeaseLost
from tracker_service.store import jobs, jobsets, tasks, track_tasks, workers
from tracker_service.store.database import Connection, Store
from tracker_service.store.tables import jobsets as jobset_table
from tracker_service.store.tables import metadata
from tracker_service.store.tables import tasks as task_table
from tracker_service.store.tables import workers as worker_table

Thing = TypeVar("Thing")

BELL = "bell"  # a kind of tasks without a job
KINDS = {"first": (TRACK,), "second": (TRACK, BELL), "third": (BELL,)}  # by worker
WORKERS = tuple(KINDS)
USERS = ("guest", "sam")
LEASE_S = 3600.0  # long enough to end only by a rule
LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)
MINUTES_OFF = st.integers(-5, 5)
#: Choose some things, and their order. The database decides which of several jobsets a worker gets,
#: so what is drawn must not depend on the things that exist.
PICK = st.integers(0, 10_000)


class LiveTask(NamedTuple):
    kind: str
    user: str


class Bell(NamedTuple):
    """A held task, with what is needed to end it."""

    id: int
    lease: Lease


@dataclass
class Expected:
    """The expected state of a jobset."""

    holder: str | None = None
    epoch: int = 0
    is_over: bool = False  #: whether the lease has run out
    version: int = -1  #: at the last check
    content: tuple[object, ...] = ()  #: at the last check; a change must raise the version
    excluded: frozenset[str] = frozenset()  #: the workers that do not get it


@dataclass
class Model:
    """The expected state of all tasks and jobsets after the rules so far."""

    jobsets: dict[int, Expected] = field(default_factory=dict)
    live: dict[int, LiveTask] = field(default_factory=dict)  #: by their numbers
    leases: list[tuple[str, Lease]] = field(default_factory=list)  #: all leases so far

    def counts(self, lease: Lease) -> bool:
        """Tell whether the holder of a lease may write."""
        now = self.jobsets.get(lease.jobset_id)
        return now is not None and now.holder is not None and now.epoch == lease.epoch


class Jobsets(RuleBasedStateMachine):
    store: Store  #: of the test

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.jobs = 0
        with self.store.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())

    @initialize(minutes=st.tuples(*[MINUTES_OFF] * len(WORKERS)))
    def clocks_are_off(self, minutes: tuple[int, ...]) -> None:
        off = zip(WORKERS, minutes, strict=True)
        self.clocks = {name: NOW + timedelta(minutes=each) for name, each in off}
        with self.store.begin() as connection:
            for name in WORKERS:
                workers.note(
                    connection,
                    workers.Presence(id=name, started_at=NOW, release="1", kinds=KINDS[name]),
                )
            # They live for as long as the test takes.
            connection.execute(update(worker_table).values(seen_at=NOW + timedelta(days=36500)))

    @rule(user=st.sampled_from(USERS), count=st.integers(5, 12))
    def add(self, user: str, count: int) -> None:
        numbers = range(self.jobs, self.jobs + count)
        self.jobs += count
        with self.store.begin() as connection:
            kept = list(jobs.record(connection, [seen(number) for number in numbers]).values())
            track_tasks.track(connection, user, user, kept, NOW)
        self.model.live |= dict.fromkeys(numbers, LiveTask(TRACK, user))

    @rule(user=st.sampled_from(USERS), count=st.integers(1, 6))
    def hang_bells(self, user: str, count: int) -> None:
        numbers = range(self.jobs, self.jobs + count)
        self.jobs += count
        with self.store.begin() as connection:
            room = jobsets.place(connection, BELL, user, count)
            common = {"kind": BELL, "owner": user, "state": "hung", "created_at": NOW}
            common |= {"spec": {"every_s": 60}}
            rows = [
                common | {"subject": f"{number}-bell", "jobset_id": jobset_id}
                for number, jobset_id in zip(numbers, room, strict=True)
            ]
            connection.execute(task_table.insert(), rows)
        self.model.live |= dict.fromkeys(numbers, LiveTask(BELL, user))

    @rule(worker=st.sampled_from(WORKERS), limit=st.integers(1, 3))
    def claim(self, worker: str, limit: int) -> None:
        with self.store.begin() as connection:
            free = {
                each.id
                for each in jobsets.known(connection)
                if (known := self.model.jobsets[each.id]).holder is None or known.is_over
                if each.kind in KINDS[worker] and worker not in known.excluded
            }
            offers = jobsets.offers(connection, worker, KINDS[worker], LEASE_S)
            assert sum(offer.free for offer in offers.values()) == len(free)
            taken = jobsets.claim(connection, worker, KINDS[worker], LEASE_S, limit)
            assert {each.kind for each in jobsets.known(connection, worker)} <= set(KINDS[worker])
            held = {each.lease.jobset_id: each.lease for each in jobsets.held(connection, worker)}

        assert taken == min(limit, len(free))
        changed = [each for each in held.values() if not self._is_known(worker, each)]
        assert len(changed) == taken
        for lease in changed:
            assert lease.jobset_id in free
            before = self.model.jobsets[lease.jobset_id]
            assert lease.epoch == before.epoch + 1
            before.holder, before.epoch, before.is_over = worker, lease.epoch, False
            self.model.leases.append((worker, lease))

    def _is_known(self, worker: str, lease: Lease) -> bool:
        known = self.model.jobsets[lease.jobset_id]
        return (known.holder, known.epoch) == (worker, lease.epoch)

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        with self.store.begin() as connection:
            jobsets.renew(connection, worker, LEASE_S)
        for known in self.model.jobsets.values():
            known.is_over = known.is_over and known.holder != worker

    @rule(pick=PICK)
    def a_lease_runs_out(self, pick: int) -> None:
        """Set a lease back, because nobody can set the clock of a database."""
        if held := [key for key, known in self.model.jobsets.items() if known.holder]:
            key = _picked(held, pick)
            with self.store.begin() as connection:
                lapsed = update(jobset_table).where(jobset_table.c.id == key)
                connection.execute(lapsed.values(lease_until=LONG_AGO))
            self.model.jobsets[key].is_over = True

    @rule(worker=st.sampled_from(WORKERS), picks=st.none() | st.lists(PICK, max_size=3))
    def release(self, worker: str, picks: list[int] | None) -> None:
        own = [lease for name, lease in self.model.leases if name == worker]
        given = [_picked(own, pick) for pick in picks] if own and picks is not None else None
        with self.store.begin() as connection:
            jobsets.release(connection, worker, given)
        for key, known in self.model.jobsets.items():
            if known.holder == worker and (given is None or key in {x.jobset_id for x in given}):
                known.holder, known.is_over = None, False

    @rule(prefers_current=st.booleans(), pick=PICK, count=st.integers(1, 4))
    def a_worker_ends_tasks(self, prefers_current: bool, pick: int, count: int) -> None:
        """Use any lease that the worker ever had: it may not know that it has lost the lease."""
        if not self.model.leases:
            return
        current = [each for each in self.model.leases if self.model.counts(each[1])]
        leases = current if prefers_current and current else self.model.leases
        worker, lease = _picked(leases, pick)
        ended = []
        try:
            with self.store.begin() as connection:
                for number, task in _tasks_in(connection, lease)[:count]:
                    tasks.end(connection, task, self.clocks[worker])
                    ended.append(number)
                jobsets.note_polled(connection, {lease: self.clocks[worker]})
                jobsets.guard(connection, lease)
        except LeaseLost:
            assert not self.model.counts(lease)
            return
        assert self.model.counts(lease), f"{worker} wrote under {lease}"
        for number in ended:
            del self.model.live[number]

    @rule(prefers_current=st.booleans(), pick=PICK, number=PICK)
    def a_worker_gives_away_what_it_cannot_do(
        self, prefers_current: bool, pick: int, number: int
    ) -> None:
        """Use any lease; exactly one task moves, and no worker that gave it away gets it."""
        current = [each for each in self.model.leases if self.model.counts(each[1])]
        leases = current if prefers_current and current else self.model.leases
        if not leases:
            return
        worker, lease = _picked(leases, pick)
        with self.store.read() as connection:
            here = _tasks_in(connection, lease)
            kinds = {row.id: row.kind for row in connection.execute(select(task_table))}
        if not here:
            return
        task = _picked(here, number)[1]
        try:
            with self.store.begin() as connection:
                is_gone = jobsets.give_away(connection, lease, task.id, worker, LEASE_S)
                where = connection.scalar(
                    select(task_table.c.jobset_id).where(task_table.c.id == task.id)
                )
        except LeaseLost:
            assert not self.model.counts(lease)
            return
        assert self.model.counts(lease)
        excluded = self.model.jobsets[lease.jobset_id].excluded | {worker}
        able = {name for name in WORKERS if kinds[task.id] in KINDS[name]}
        assert is_gone is bool(able - excluded)
        assert (where != lease.jobset_id) is is_gone
        if is_gone:
            assert where is not None
            self.model.jobsets[where] = Expected(excluded=excluded)

    @rule(kind=st.sampled_from((TRACK, BELL)))
    def what_nobody_would_get_is_offered_to_all_again(self, kind: str) -> None:
        with self.store.begin() as connection:
            jobsets.readmit(connection, kind)
            free = {each.id for each in jobsets.known(connection) if each.is_waiting}
            of_kind = {each.id for each in jobsets.known(connection) if each.kind == kind}
        able = {name for name in WORKERS if kind in KINDS[name]}
        for key, known in self.model.jobsets.items():
            if key in free & of_kind and able <= known.excluded:
                known.excluded = frozenset()

    @rule(pick=PICK)
    def a_user_stops_a_task(self, pick: int) -> None:
        if tracked := [n for n, task in self.model.live.items() if task.kind == TRACK]:
            number = _picked(sorted(tracked), pick)
            with self.store.begin() as connection:
                user = self.model.live.pop(number).user
                assert track_tasks.stop(connection, user, seen(number).id, NOW)

    @rule(makes_thin_ones=st.booleans(), worker=st.sampled_from(WORKERS), order=PICK)
    def merge(self, makes_thin_ones: bool, worker: str, order: int) -> None:
        """Try every lease so far: a valid one merges its jobset if another one has room."""
        if makes_thin_ones:  # otherwise held jobsets with few tasks would be rare
            self.add("guest", 12)
            self.hang_bells("guest", 2)
            self.jobsets_stand_as_they_have_to()
            self.claim(worker, 9)
            self.most_tasks_of_a_user_are_stopped("guest")
        leases = self.model.leases
        for _, lease in Random(order).sample(leases, len(leases)):
            with self.store.begin() as connection:
                is_merged = jobsets.merge(connection, lease)
            if is_merged:
                assert self.model.counts(lease)
                emptied = self.model.jobsets[lease.jobset_id]
                emptied.holder, emptied.is_over = None, False
                emptied.epoch += 1

    @rule(user=st.sampled_from(USERS))
    def most_tasks_of_a_user_are_stopped(self, user: str) -> None:
        """Leave jobsets with few tasks, which can be merged."""
        numbers = sorted(n for n, task in self.model.live.items() if task == (TRACK, user))
        with self.store.begin() as connection:
            for number in numbers:
                if number % jobsets.CAPACITY:
                    assert track_tasks.stop(connection, user, seen(number).id, NOW)
                    del self.model.live[number]

    @rule()
    def remove_empty_ones(self) -> None:
        with self.store.begin() as connection:
            jobsets.remove_empty(connection, -60)
            left = set(connection.scalars(select(jobset_table.c.id)))
        for key in set(self.model.jobsets) - left:
            assert self.model.jobsets.pop(key).holder is None

    @invariant()
    def jobsets_stand_as_they_have_to(self) -> None:
        with self.store.read() as connection:
            rows = {row.id: row for row in connection.execute(select(jobset_table))}
        for key in set(rows) - set(self.model.jobsets):
            self.model.jobsets[key] = Expected()
        assert set(rows) == set(self.model.jobsets)
        for key, known in self.model.jobsets.items():
            assert (rows[key].owner, rows[key].epoch) == (known.holder, known.epoch)
            content = (rows[key].owner, rows[key].epoch, rows[key].size)
            grown = rows[key].version - known.version
            assert grown > 0 if content != known.content else grown >= 0
            known.version, known.content = rows[key].version, content

    @invariant()
    def each_live_task_is_in_one_jobset_of_its_kind_and_user(self) -> None:
        with self.store.read() as connection:
            sizes = {row.id: row.size for row in connection.execute(select(jobset_table))}
            assert _live(connection) == self.model.live
            found = connection.execute(
                select(task_table.c.id, task_table.c.jobset_id, task_table.c.owner)
                .add_columns(jobset_table.c.affinity)
                .add_columns(task_table.c.kind, jobset_table.c.kind.label("jobset_kind"))
                .join(jobset_table, jobset_table.c.id == task_table.c.jobset_id)
                .where(task_table.c.state != ENDED)
            ).all()
        assert len(found) == len(self.model.live)
        assert all(row.affinity in (row.owner, f"apart:{row.id}") for row in found)
        assert all(row.kind == row.jobset_kind for row in found)
        counted = [row.jobset_id for row in found]
        assert sizes == {key: counted.count(key) for key in sizes}
        assert all(size <= jobsets.CAPACITY for size in sizes.values())

    def teardown(self) -> None:
        """Check that no task is lost: after all workers have gone, a new one gets every task."""
        with self.store.begin() as connection:
            connection.execute(update(jobset_table).values(lease_until=LONG_AGO))
            jobsets.claim(connection, "newcomer", [TRACK, BELL], LEASE_S, 1000)
            leases = [held.lease for held in jobsets.held(connection, "newcomer")]
            got = [number for lease in leases for number, _ in _tasks_in(connection, lease)]
        assert sorted(got) == sorted(self.model.live)


def _picked(things: Sequence[Thing], pick: int) -> Thing:
    return things[pick % len(things)]


def _number(job_id: str) -> int:
    return int(job_id.partition("-")[0])


def _tasks_in(connection: Connection, lease: Lease) -> list[tuple[int, HeldTask]]:
    """Return the live tasks of a jobset of either kind, with the numbers of the tasks."""
    tracked = track_tasks.live(connection, lease)
    bells = connection.execute(
        select(task_table.c.id, task_table.c.subject)
        .where(task_table.c.jobset_id == lease.jobset_id, task_table.c.kind == BELL)
        .where(task_table.c.state != ENDED)
    )
    return [
        *((_number(task.job_id), task) for task in tracked),
        *((_number(row.subject), Bell(row.id, lease)) for row in bells),
    ]


def _live(connection: Connection) -> dict[int, LiveTask]:
    rows = connection.execute(
        select(task_table.c.subject, task_table.c.kind, task_table.c.owner).where(
            task_table.c.state != ENDED
        )
    )
    return {_number(row.subject): LiveTask(row.kind, row.owner) for row in rows}
