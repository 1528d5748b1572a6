"""What a worker writes while another transaction waits for it, and it for the other one.

The database ends one of the two. Then the worker writes again, and nobody sees it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import Update, insert, text, update

from tests.store.conftest import DATABASES
from tests.store.rows import NOW, live_tasks, track
from tests.unit.fakes import APP_1
from tests.waiting import until
from tracker_service.archive.copying.progress import CopyLimits, Progress
from tracker_service.domain.copies import Copy, CopyStatus
from tracker_service.domain.leases import Lease
from tracker_service.engine.duties import Held
from tracker_service.engine.leases import Leases
from tracker_service.errors import StoreConflict, StoreUnavailable
from tracker_service.identities.duties import duties as duties_of_identities
from tracker_service.store import copies, jobsets
from tracker_service.store.database import Connection, Store
from tracker_service.store.tables import locks

THEN = NOW - timedelta(hours=1)
#: How a server says that a transaction waits for another one.
_WAITS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mariadb": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


class MeetingStore(Store):
    """A store whose next transactions that write each wait for another one, which waits for them.

    Each locks the row `ours` first, and wants the row `theirs` at its end. The other transaction
    holds that row, and wants ours once we wait for it. It has written more, so that the database
    ends our transaction.
    """

    meetings = 0  #: that are still to come
    met = 0  #: transactions of ours that met another one

    @contextmanager
    def begin(self) -> Generator[Connection, None, None]:
        if not self.meetings:
            with super().begin() as connection:
                yield connection
            return
        self.meetings -= 1
        self.met += 1
        with _Other(Store(self.url)) as other, super().begin() as connection:
            connection.execute(_lock("ours"))
            yield connection
            other.start()
            connection.execute(_lock("theirs"))


class _Other:
    """Another transaction: it holds the row `theirs`."""

    def __init__(self, store: Store) -> None:
        self._store, self._is_over = store, threading.Event()
        self._thread = threading.Thread(target=self._want_ours_once_we_wait)

    def __enter__(self) -> _Other:
        self._transaction = self._store.begin()
        self._connection = self._transaction.__enter__()
        rows = [{"purpose": "other", "owner": str(n), "taken_at": NOW} for n in range(200)]
        self._connection.execute(insert(locks), rows)
        self._connection.execute(_lock("theirs"))
        return self

    def start(self) -> None:
        self._thread.start()

    def _want_ours_once_we_wait(self) -> None:
        kind = "postgresql" if self._store.url.startswith("postgresql") else "mariadb"

        def waits() -> bool:
            with self._store.read() as connection:
                return bool(connection.scalar(text(_WAITS[kind])))

        until(lambda: self._is_over.is_set() or waits())
        self._connection.execute(_lock("ours"))

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._thread.ident:
            self._thread.join()
        self._connection.rollback()
        self._transaction.__exit__(None, None, None)
        self._store.close()


def _lock(name: str) -> Update:
    return update(locks).where(locks.c.purpose == name).values(taken_at=THEN)


@dataclass(frozen=True)
class Work:
    """What the writes of a worker are about."""

    store: MeetingStore
    progress: Progress
    leases: Leases
    copy: Copy
    lease: Lease

    def copy_now(self) -> Copy:
        with self.store.read() as connection:
            [copy] = copies.of_tasks(connection, [self.copy.task_id])[self.copy.task_id]
        return copy


class OneKind:
    """A kind of tasks of which a worker needs to know nothing."""

    name = "track"

    def load(self, connection: Connection, lease: Lease) -> None: ...

    def drop(self, jobset_id: int) -> None: ...

    def late(self) -> Mapping[int, int]:
        return {}

    def pinned(self, connection: Connection) -> Collection[int]:
        return ()

    def clock_was_set(self) -> None: ...


@pytest.fixture(params=["postgresql", "mariadb"])  # SQLite has one writer at a time
def work(request: pytest.FixtureRequest) -> Iterator[Work]:
    store = MeetingStore(DATABASES[request.param](request))
    with store.begin() as connection:
        track(connection, 1)
        [task] = live_tasks(connection)
        copies.decide(connection, task, [APP_1], NOW)
        for name in ("ours", "theirs"):
            row = {"purpose": name, "owner": "", "taken_at": NOW}
            connection.execute(insert(locks).values(row))
        [copy] = copies.of_tasks(connection, [task.id])[task.id]
    limits = CopyLimits(per_user=1, per_gateway=1, tries=3, retry_after=timedelta(seconds=1))
    leases = Leases(
        store,
        [OneKind()],
        worker="worker",
        lease_s=30,
        started_at=NOW,
        busy=lambda: 0.0,
        share_pace=lambda _: None,
    )
    progress = Progress(store, limits, lambda: NOW)
    yield Work(store, progress, leases, copy, task.lease)
    store.close()


def postpone(work: Work) -> None:
    work.progress.postpone([work.copy], work.lease, timedelta(seconds=5), "later")
    assert work.copy_now().reason == "later"


def note_path(work: Work) -> None:
    work.progress.note_path(work.copy, work.lease, "/elsewhere")
    assert work.copy_now().path == "/elsewhere"


def start_directly(work: Work) -> None:
    started = work.progress.start_directly(work.copy, work.lease, "it is small")
    assert work.copy_now().status == started.status == CopyStatus.RUNNING
    assert work.copy_now().attempt == started.attempt == 1


def start_workflow(work: Work) -> None:
    started = work.progress.start_workflow(work.copy, work.lease, "it is large")
    assert started
    assert work.copy_now().attempt == started.attempt == 1
    assert work.progress.limit_reached("guest")


def give_up(work: Work) -> None:
    work.progress.gave_up(work.copy, work.lease, "no log")
    assert work.copy_now().status == CopyStatus.FAILED


def renew_leases(work: Work) -> None:
    work.leases.renew()


def claim_jobsets(work: Work) -> None:
    work.leases.renew()
    with work.store.begin() as connection:
        jobsets.release(connection, "worker")
    work.store.meetings = 1
    work.leases.tend()
    assert len(work.leases.held().of("track")) == 1


def tidy(work: Work) -> None:
    work.leases.tidy()


def give_back(work: Work) -> None:
    work.leases.give_back()
    with work.store.read() as connection:
        assert jobsets.held(connection, "worker") == []


def tidy_callers(work: Work) -> None:
    [duty] = duties_of_identities(work.store, lambda: NOW)
    duty.run(Held(worker="worker", leases={}))


@pytest.mark.parametrize(
    "write",
    [
        postpone,
        note_path,
        start_directly,
        start_workflow,
        give_up,
        renew_leases,
        claim_jobsets,
        tidy,
        give_back,
        tidy_callers,
    ],
)
def test_a_write_of_a_worker_that_is_ended_for_another_one_is_carried_out_again(work, write):
    work.store.meetings = 1

    write(work)

    assert (work.store.meetings, work.store.met > 0) == (0, True)


def test_a_write_that_meets_others_each_time_is_an_outage_and_changes_nothing(work):
    work.store.meetings = 3

    with pytest.raises(StoreConflict) as raised:
        work.progress.note_path(work.copy, work.lease, "/elsewhere")

    assert isinstance(raised.value, StoreUnavailable)  # the worker looks again, the API says 503
    assert work.copy_now() == work.copy
