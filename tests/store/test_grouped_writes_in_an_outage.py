"""A database that does not answer fails all writes that wait for it, at once."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from tests.waiting import until
from tracker_service.errors import StoreConflict, StoreUnavailable
from tracker_service.store.database import Store
from tracker_service.store.grouped import GroupedWrites


class LockedStore(Store):
    """A store that another process has locked: transactions wait, then fail."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.is_locked, self.tries = True, 0
        self.waits, self.has_waited_enough = Event(), Event()

    @contextmanager
    def begin(self):
        if self.is_locked:
            self.tries += 1
            self.waits.set()
            self.has_waited_enough.wait()
            raise StoreUnavailable("the database does not answer: database is locked")
        with super().begin() as connection:
            yield connection


@pytest.fixture
def store(tmp_path):
    store = LockedStore(f"sqlite:///{tmp_path}/tracker.db")
    store.upgrade()
    yield store
    store.close()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(20) as pool:
        yield pool


def write(writes, threads, count) -> list[Future[object]]:
    """Start writes, and return when all but those of the running transaction wait."""
    before = len(writes._waiting)
    started = [threads.submit(writes.write, lambda _: "written") for _ in range(count)]
    until(lambda: len(writes._waiting), lambda waiting: waiting == before + count)
    return started


def first_write(store, writes, threads) -> Future[object]:
    first = threads.submit(writes.write, lambda _: "written")
    store.waits.wait()
    return first


def test_all_who_wait_fail_with_the_first_one(store, threads):
    writes = GroupedWrites(store)
    first = first_write(store, writes, threads)
    others = write(writes, threads, 19)

    store.has_waited_enough.set()

    for each in [first, *others]:
        with pytest.raises(StoreUnavailable, match="database is locked"):
            each.result()
    assert store.tries == 1


def test_who_comes_after_the_outage_is_not_failed_for_it(store, threads):
    writes = GroupedWrites(store)
    first = first_write(store, writes, threads)
    store.has_waited_enough.set()
    with pytest.raises(StoreUnavailable):
        first.result()

    store.is_locked = False

    assert writes.write(lambda _: "written") == "written"


def test_an_outage_after_a_write_that_breaks_fails_the_rest_at_once(store, threads):
    writes = GroupedWrites(store)
    first = first_write(store, writes, threads)
    store.has_waited_enough.set()
    with pytest.raises(StoreUnavailable):
        first.result()
    store.is_locked, store.tries = False, 0
    has_begun, may_break = Event(), Event()

    def lock(_connection):
        has_begun.set()
        may_break.wait()

    def broken(_connection):
        store.is_locked = True
        raise ValueError("broken")

    slow = threads.submit(writes.write, lock)
    has_begun.wait()
    bad = threads.submit(writes.write, broken)
    until(lambda: len(writes._waiting), lambda waiting: waiting == 1)
    others = write(writes, threads, 10)
    may_break.set()

    assert slow.result() is None
    for each in [bad, *others]:
        with pytest.raises(StoreUnavailable):
            each.result()
    assert store.tries == 1


def test_a_conflict_is_no_outage(store, threads):
    store.is_locked = False
    writes, has_begun, may_end = GroupedWrites(store), Event(), Event()

    def slowly(_connection):
        has_begun.set()
        may_end.wait()

    def meets_another(_connection):
        raise StoreConflict

    slow = threads.submit(writes.write, slowly)
    has_begun.wait()
    bad = threads.submit(writes.write, meets_another)
    until(lambda: len(writes._waiting), lambda waiting: waiting == 1)
    others = write(writes, threads, 5)
    may_end.set()

    assert slow.result() is None
    assert [each.result() for each in others] == ["written"] * 5
    with pytest.raises(StoreConflict):
        bad.result()
