"""What several threads write at the same time is committed together, and each by its own fate."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
from sqlalchemy import select

from tests.store.rows import NOW
from tests.waiting import until
from tracker_service.store.database import Store
from tracker_service.store.grouped import GroupedWrites
from tracker_service.store.tables import verdicts
from tracker_service.store.verified_callers import VerifiedCaller, keep


class CountingStore(Store):
    """A store that counts its transactions."""

    transactions = 0

    @contextmanager
    def begin(self):
        self.transactions += 1
        with super().begin() as connection:
            yield connection


@pytest.fixture
def store(tmp_path):
    store = CountingStore(f"sqlite:///{tmp_path}/tracker.db")
    store.upgrade()
    yield store
    store.close()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(20) as pool:
        yield pool


def writer(name):
    """Return a write of one row."""

    def write(connection):
        keep(connection, name, VerifiedCaller(owner=name, expires_at=NOW))
        return name

    return write


def kept(store):
    with store.read() as connection:
        return set(connection.scalars(select(verdicts.c.owner)))


def behind_a_slow_one(writes, threads, others) -> tuple[Future[object], list[Future[object]]]:
    """Make one thread write until all others wait for it."""
    has_begun, may_end = Event(), Event()

    def slowly(_connection):
        has_begun.set()
        may_end.wait()

    first = threads.submit(writes.write, slowly)
    has_begun.wait()
    waiting = [threads.submit(writes.write, other) for other in others]
    until(lambda: len(writes._waiting), lambda count: count == len(others))
    may_end.set()
    return first, waiting


def test_those_who_wait_for_a_commit_are_committed_together(store, threads):
    names = [f"user{number}" for number in range(10)]
    writes = GroupedWrites(store)

    _, waiting = behind_a_slow_one(writes, threads, [writer(name) for name in names])

    assert [done.result() for done in waiting] == names
    assert kept(store) == set(names)
    assert store.transactions == 2


def test_a_write_that_breaks_spoils_nobody_elses(store, threads):
    def broken(connection):
        keep(connection, "half", VerifiedCaller(owner="half", expires_at=NOW))
        raise ValueError("broken")

    writes = GroupedWrites(store)

    _, (good, bad, last) = behind_a_slow_one(
        writes, threads, [writer("sam"), broken, writer("guest")]
    )

    assert (good.result(), last.result()) == ("sam", "guest")
    with pytest.raises(ValueError, match="broken"):
        bad.result()
    assert kept(store) == {"sam", "guest"}
