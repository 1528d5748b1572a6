from __future__ import annotations

import os

import pytest
from sqlalchemy import func, select

from tests.store.rows import NOW
from tracker_service.domain.leases import Lease
from tracker_service.errors import LeaseLost
from tracker_service.store import expositions, jobsets
from tracker_service.store.database import Connection, Store
from tracker_service.store.tables import expositions as table
from tracker_service.store.tables import tasks

KIND = "probe"
HEALTH = {"name": 'a "name" é \u2028', "updates": [1, 2], "last_success": 1.5, "none": None}


def enrol(store: Store, **wanted: dict[str, object]) -> None:
    store.write(lambda connection: expositions.enrol(connection, KIND, wanted, NOW))


def held(connection: Connection) -> dict[str, tuple[int, Lease]]:
    """Claim all sources; return the task and the lease of each by a word of its spec."""
    jobsets.claim(connection, "worker", [KIND], 3600, 100)
    found = {}
    for jobset in jobsets.held(connection, "worker"):
        for source in expositions.of_jobset(connection, jobset.lease):
            found[source.spec["at"]] = (source.id, jobset.lease)
    return found


def test_each_source_has_a_task_in_a_jobset_of_its_own(store):
    enrol(store, a={"at": "x"}, b={"at": "y"})

    with store.begin() as connection:
        found = held(connection)
        sizes = [each.size for each in jobsets.held(connection, "worker")]

    assert set(found) == {"x", "y"}
    assert sizes == [1, 1]


def test_enrolled_again_nothing_changes(store):
    enrol(store, a={"at": "x", "every": 30.0, "file": None})
    with store.begin() as connection:
        before = held(connection), jobsets.held(connection, "worker")

    enrol(store, a={"at": "x", "every": 30.0, "file": None})

    with store.read() as connection:
        assert jobsets.held(connection, "worker") == before[1]


def test_sources_come_go_and_change(store):
    enrol(store, stays={"at": "1"}, goes={"at": "2"}, changes={"at": "3"})
    with store.begin() as connection:
        before = held(connection)
        versions = {each.lease: each.version for each in jobsets.held(connection, "worker")}
        for task, lease in before.values():
            expositions.record(connection, task, lease, HEALTH, b"values")

    enrol(store, stays={"at": "1"}, changes={"at": "4"}, comes={"at": "5"})

    with store.begin() as connection:
        after = held(connection)
        assert {at: after[at][0] for at in ("1", "4")} == {"1": before["1"][0], "4": before["3"][0]}
        assert set(after) == {"1", "4", "5"}
        changed = {
            each.lease
            for each in jobsets.held(connection, "worker")
            if versions.get(each.lease, each.version) != each.version
        }
        assert changed == {before["2"][1], before["3"][1]}
        assert [each.spec["at"] for each in expositions.shown(connection, KIND)] == ["4", "5", "1"]
        assert connection.scalar(select(func.count()).select_from(table)) == 2
        sizes = {each.lease: each.size for each in jobsets.held(connection, "worker")}
        assert sizes[before["2"][1]] == 0


def test_what_was_recorded_is_shown_whole(store):
    values = os.urandom(3_000_000)  # more than a BLOB or TEXT of MariaDB holds
    enrol(store, a={"at": "x"})
    with store.begin() as connection:
        [(task, lease)] = held(connection).values()
        expositions.record(connection, task, lease, HEALTH, values)

    with store.read() as connection:
        [found] = expositions.shown(connection, KIND)

    assert (found.spec, found.health, found.snapshot) == ({"at": "x"}, HEALTH, values)
    assert found.tried_s is not None
    assert found.snapshot_s is not None
    assert 0 <= found.tried_s < 180
    assert 0 <= found.snapshot_s < 180


def test_a_failure_leaves_the_last_values(store):
    enrol(store, a={"at": "x"})
    with store.begin() as connection:
        [(task, lease)] = held(connection).values()
        expositions.record(connection, task, lease, {"up": True}, b"values")
    with store.begin() as connection:
        expositions.record(connection, task, lease, {"up": False}, None)

    with store.read() as connection:
        [found] = expositions.shown(connection, KIND)
        [source] = expositions.of_jobset(connection, lease)

    assert (found.health, found.snapshot) == ({"up": False}, b"values")
    assert source.health == {"up": False}


def test_who_has_lost_the_lease_records_nothing(store):
    enrol(store, a={"at": "x"})
    with store.begin() as connection:
        [(task, lease)] = held(connection).values()
        jobsets.release(connection, "worker")
        jobsets.claim(connection, "other", [KIND], 3600, 1)

    with pytest.raises(LeaseLost), store.begin() as connection:
        expositions.record(connection, task, lease, HEALTH, b"late")

    with store.read() as connection:
        assert expositions.shown(connection, KIND)[0].snapshot is None


def test_what_was_removed_is_not_recorded(store):
    enrol(store, a={"at": "x"})
    with store.begin() as connection:
        [(task, lease)] = held(connection).values()
    enrol(store)

    with pytest.raises(LeaseLost), store.begin() as connection:
        expositions.record(connection, task, lease, HEALTH, b"late")

    with store.read() as connection:
        assert connection.scalar(select(func.count()).where(tasks.c.kind == KIND)) == 0
        assert not jobsets.any_free(connection, [KIND])


def test_one_source_is_shown_by_its_name(store):
    enrol(store, a={"at": "x"}, b={"at": "y"}, A={"at": "z"})

    with store.read() as connection:
        found = [expositions.shown(connection, KIND, name) for name in ("a", "A", "c")]

    assert [[each.spec["at"] for each in some] for some in found] == [["x"], ["z"], []]


def test_workers_that_start_at_once_add_a_source_once(store):
    """The second one waits for the lock, and then finds what the first one has added."""
    with store.begin() as connection:
        expositions.enrol(connection, KIND, {"a": {"at": "x"}}, NOW)
        expositions.enrol(connection, KIND, {"a": {"at": "x"}}, NOW)

    with store.read() as connection:
        assert len(expositions.shown(connection, KIND)) == 1
