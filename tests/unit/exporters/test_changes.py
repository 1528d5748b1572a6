"""Executions that appear, vanish or begin to fail slices are events of the site."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.exporters.test_masters import (
    NewWorker,
    Scraping,
    fake,
    new_worker,
    prod,
    settings,
    sweep,
    ticks,
)
from tests.unit.fakes import FragileStore, Ticks
from tests.unit.loopback_server import Reply
from tests.unit.teraslice import NOW, FakeMaster, controller, update
from tracker_service.domain.events import SITE, Event
from tracker_service.exporters.changes import changes
from tracker_service.exporters.snapshot import Snapshot
from tracker_service.store import events
from tracker_service.store.database import Store
from tracker_service.store.events import EventFilter

__all__ = ["fake", "new_worker", "prod", "ticks"]

APPEARED = "teraslice.execution.appeared"
VANISHED = "teraslice.execution.vanished"
FAILING = "teraslice.execution.failing_slices"


class Watched:
    """A master whose executions a test changes, and a worker that scrapes it."""

    def __init__(self, fake: FakeMaster, worker: Scraping, ticks: Ticks, store: Store) -> None:
        self.fake, self.worker, self._ticks, self._store = fake, worker, ticks, store
        self.shows(controller(1))

    def shows(self, *controllers: Any) -> None:
        self.fake.controllers = list(controllers)
        sweep(self.worker, self._ticks, 30)

    def events(self) -> list[Event]:
        with self._store.read() as connection:
            return [kept.event for kept in events.following(connection, 0, EventFilter(), 100)]

    def told(self) -> list[tuple[str, str]]:
        return [(event.type, event.subject) for event in self.events()]


@pytest.fixture
def watched(
    fake: FakeMaster, new_worker: NewWorker, prod: dict[str, Any], ticks: Ticks, store: Store
) -> Watched:
    return Watched(fake, new_worker(settings(prod)), ticks, store)


def test_the_first_update_of_a_master_tells_nothing(watched):
    assert watched.told() == []


def test_executions_appear_vanish_and_begin_to_fail_slices(watched):
    watched.shows(controller(1, failed=3), controller(2))
    watched.shows(controller(2))

    assert watched.told() == [(APPEARED, "ex-2"), (FAILING, "ex-1"), (VANISHED, "ex-1")]
    failing = watched.events()[1]
    assert failing.owner is SITE
    assert failing.data == {
        "cluster": "prod",
        "url": "https://prod.lan/",
        "execution": "ex-1",
        "job": "job-1",
        "name": "job 1",
        "failed": 3,
    }


def test_an_execution_that_has_failed_slices_before_it_was_seen_begins_to_fail_them(watched):
    watched.shows(controller(1), controller(2, failed=1))

    assert watched.told() == [(APPEARED, "ex-2"), (FAILING, "ex-2")]


def test_an_update_that_changes_nothing_tells_nothing(watched):
    watched.shows(controller(1))

    assert watched.told() == []


def test_another_worker_and_one_that_starts_again_compare_with_the_last_update(
    watched, new_worker, prod
):
    watched.worker.leases.give_back()
    watched.worker = new_worker(settings(prod))

    watched.shows(controller(1), controller(2))

    assert watched.told() == [(APPEARED, "ex-2")]


def test_a_failed_update_tells_nothing_and_the_next_compares_with_the_last_good_one(watched):
    watched.fake.replies["/v1/cluster/controllers"] = Reply(500)
    watched.shows()
    del watched.fake.replies["/v1/cluster/controllers"]

    watched.shows(controller(2))

    assert watched.told() == [(VANISHED, "ex-1"), (APPEARED, "ex-2")]


def test_an_update_that_is_not_recorded_is_told_by_the_next(watched, store):
    assert isinstance(store, FragileStore)
    store.is_broken = True
    watched.shows(controller(1), controller(2))
    store.is_broken = False
    assert watched.told() == []

    watched.shows(controller(1), controller(2))

    assert watched.told() == [(APPEARED, "ex-2")]


def test_a_worker_that_has_lost_the_master_tells_nothing(watched, new_worker, prod, ticks):
    watched.worker.leases.give_back()
    another = new_worker(settings(prod))

    watched.shows(controller(1), controller(2))

    assert watched.told() == []
    sweep(another, ticks, 30)
    assert watched.told() == [(APPEARED, "ex-2")]


def test_very_many_changes_are_one_event_that_counts(watched):
    watched.shows(controller(1), *(controller(n) for n in range(2, 5002)))

    [event] = watched.events()
    assert (event.type, event.subject, event.data["count"]) == (APPEARED, "prod", 5000)
    assert [each["execution"] for each in event.data["executions"]][:2] == ["ex-2", "ex-3"]
    assert len(event.data["executions"]) == 20


@pytest.fixture
def snapshots(fake: FakeMaster) -> Any:
    """Return the snapshot of a master with one execution that has failed some slices."""

    def snapshot(failed: object) -> Snapshot:
        fake.controllers = [controller(1, failed=failed)]
        found = update(fake.master()).snapshot
        assert found
        return found

    return snapshot


def told(fake: FakeMaster, history: list[tuple[datetime, Snapshot]]) -> list[datetime]:
    """Return when a master's execution has begun to fail slices."""
    before, found = None, []
    for at, snapshot in history:
        now = changes(fake.master(), before, snapshot, at)
        found += [event.time for event in now.events if event.type == FAILING]
        before = Snapshot.unpacked(now.snapshot.packed())
    return found


def test_an_execution_begins_to_fail_slices_again_after_an_hour_without(fake, snapshots):
    minutes = {0: 5, 1: 6, 2: 7, 50: 8, 80: 9, 139: 9, 141: 10, 142: 11}

    history = [
        (NOW + timedelta(minutes=minute), snapshots(failed)) for minute, failed in minutes.items()
    ]

    assert told(fake, history) == [NOW + timedelta(minutes=1), NOW + timedelta(minutes=141)]


def test_a_number_of_failed_slices_that_is_none_tells_nothing(fake, snapshots):
    values = [1, "two", 3, None, 5]

    history = [(NOW + timedelta(minutes=n), snapshots(value)) for n, value in enumerate(values)]

    assert told(fake, history) == []
