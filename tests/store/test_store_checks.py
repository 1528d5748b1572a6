from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from tests.store.rows import NOW
from tracker_service.domain.leases import Lease
from tracker_service.store import checks, jobsets, workers
from tracker_service.store.database import Store, current_time

LEASE_S = 3600.0


def wanted(digest: str = "1", file: str = "a.yml") -> checks.WantedCheck:
    return checks.WantedCheck(
        file=file, url="http://h/", cron="* * * * *", digest=digest, tags=["t"]
    )


def enrol(store: Store, kept: tuple[str, ...] = (), **named: checks.WantedCheck) -> None:
    store.write(lambda c: checks.enrol(c, named, kept, NOW, seal=lambda name: f"sealed {name}"))


def claimed(store: Store, worker: str = "w") -> dict[str, tuple[int, Lease]]:
    with store.begin() as connection:
        jobsets.claim(connection, worker, [checks.KIND], LEASE_S, 100)
    with store.read() as connection:
        return {
            check.name: (check.task_id, held.lease)
            for held in jobsets.held(connection, worker)
            for check in checks.of_jobset(connection, held.lease)
        }


def run(task_id: int, due: timedelta, *, is_ok: bool = True, state: str = "up") -> checks.Run:
    return checks.Run(
        task_id=task_id,
        due_at=NOW + due,
        ran_at=NOW + due,
        late_ms=5,
        is_ok=is_ok,
        in_maintenance=False,
        status=200,
        latency_ms=12,
        phases={"connect": 1.5},
        values={"status": "ok"},
        error=None if is_ok else "it is down",
        worker="w",
        state=state,
        since=NOW,
        in_a_row=0,
    )


def alive(store: Store, *names: str) -> None:
    for name in names:
        presence = workers.Presence(id=name, started_at=NOW, release="1", kinds=(checks.KIND,))
        store.write(partial(workers.note, presence=presence))


def test_checks_come_go_and_change(store):
    enrol(store, stays=wanted(), goes=wanted(), changes=wanted())
    before = claimed(store)

    enrol(store, stays=wanted(), changes=wanted("2"), comes=wanted())

    after = claimed(store)
    assert set(after) == {"stays", "changes", "comes"}
    assert after["stays"][0] == before["stays"][0]
    with store.read() as connection:
        [jobset] = jobsets.held(connection, "w")
        found = {c.name: c.digest for c in checks.of_jobset(connection, jobset.lease)}
    assert jobset.size == 3
    assert found["changes"] == "2"


def test_the_last_good_version_of_a_bad_file_stays(store):
    enrol(store, good=wanted(file="good.yml"), bad=wanted(file="bad.yml"))
    enrol(store, ("bad.yml",), good=wanted(file="good.yml"))
    assert set(claimed(store)) == {"good", "bad"}

    enrol(store, good=wanted(file="good.yml"))
    assert set(claimed(store)) == {"good"}


def test_a_due_time_is_recorded_once(store):
    enrol(store, a=wanted())
    task_id, _ = claimed(store)["a"]
    first, second = run(task_id, timedelta(0, 60)), run(task_id, timedelta(0, 60), is_ok=False)

    store.write(lambda c: checks.record(c, [first]))
    store.write(lambda c: checks.record(c, [second]))

    with store.read() as connection:
        [kept] = checks.runs(connection, task_id, 10)
        check = checks.one(connection, "a")
    assert kept.is_ok
    assert kept.values == {"status": "ok"}
    assert check is not None
    assert (check.state, check.is_ok, check.latency_ms) == ("up", True, 12)


def test_a_lost_lease_is_noticed(store):
    enrol(store, a=wanted())
    task_id, lease = claimed(store)["a"]
    lost = Lease(jobset_id=lease.jobset_id, epoch=lease.epoch - 1)

    with store.begin() as connection:
        assert checks.still_held(connection, [lease]) == {lease}
        assert checks.still_held(connection, [lost]) == set()
        assert checks.present(connection, {task_id: lease}) == {task_id}


def test_exactly_the_task_that_a_worker_cannot_do_is_given_away(store):
    enrol(store, a=wanted(), b=wanted())
    alive(store, "w", "v")
    task_id, lease = claimed(store)["a"]

    assert store.write(lambda c: jobsets.give_away(c, lease, task_id, "w", 600))

    with store.begin() as connection:
        jobsets.claim(connection, "w", [checks.KIND], LEASE_S, 100)
        free = {
            each: jobsets.offers(connection, each, [checks.KIND], LEASE_S)[checks.KIND].free
            for each in ("w", "v")
        }
    assert free == {"w": 0, "v": 1}
    assert set(claimed(store, "w")) == {"b"}
    assert set(claimed(store, "v")) == {"a"}


def test_what_no_worker_can_do_stays_where_it_is(store):
    enrol(store, a=wanted())
    alive(store, "w", "v")
    task_id, lease = claimed(store)["a"]
    assert store.write(lambda c: jobsets.give_away(c, lease, task_id, "w", 600))
    task_id, lease = claimed(store, "v")["a"]

    assert not store.write(lambda c: jobsets.give_away(c, lease, task_id, "v", 600))
    assert set(claimed(store, "v")) == {"a"}


def test_a_worker_gets_back_what_no_living_worker_would_get(store):
    enrol(store, a=wanted())
    alive(store, "w", "v")
    task_id, lease = claimed(store)["a"]
    assert store.write(lambda c: jobsets.give_away(c, lease, task_id, "w", 600))
    store.write(lambda c: workers.forget(c, "v"))

    store.write(lambda c: jobsets.readmit(c, checks.KIND))

    assert set(claimed(store, "w")) == {"a"}


def test_a_worker_gets_it_back_after_a_while(store):
    enrol(store, a=wanted())
    alive(store, "w", "v")
    task_id, lease = claimed(store)["a"]
    assert store.write(lambda c: jobsets.give_away(c, lease, task_id, "w", -1))

    assert set(claimed(store, "w")) == {"a"}


@pytest.mark.parametrize("hours", [1, 24, 168, 720])
def test_availability_counts_what_succeeded(store, hours):
    enrol(store, a=wanted())
    task_id, _ = claimed(store)["a"]
    with store.read() as connection:
        assert checks.availability(connection, task_id, hours) is None
        ago = current_time(connection) - NOW
    runs = [run(task_id, ago - timedelta(minutes=n), is_ok=n != 1) for n in (4, 3, 2, 1)]
    for each in runs:
        store.write(partial(checks.record, runs=[each]))

    with store.read() as connection:
        assert checks.availability(connection, task_id, hours) == 0.75


def test_hours_are_added_up_and_runs_pruned(store):
    enrol(store, a=wanted())
    task_id, _ = claimed(store)["a"]
    with store.read() as connection:
        ago = current_time(connection) - NOW
    for n in range(6, 1, -1):
        each = run(task_id, ago - timedelta(hours=n), is_ok=n != 3)
        store.write(partial(checks.record, runs=[each]))

    store.write(checks.sum_hours)
    store.write(checks.sum_hours)
    with store.read() as connection:
        before = checks.availability(connection, task_id, 720)
    assert store.write(lambda c: checks.prune(c, 3 * 3600 - 60, 31 * 86400, 100)) == 4

    with store.read() as connection:
        assert len(checks.runs(connection, task_id, 10)) == 1
        after = checks.availability(connection, task_id, 720)
    assert before == 0.8
    assert after in (0.8, 0.0, 1.0)  # in the first minutes of an hour nothing is added up yet


def test_what_is_known_of_files_is_replaced(store):
    found = [
        checks.FoundFile(name="a.yml", checks=3),
        checks.FoundFile(name="b.yml", rule="cron", line=2, message="b: it is none"),
    ]
    store.write(lambda c: checks.note_files(c, found, NOW))
    store.write(lambda c: checks.note_files(c, found[1:], NOW))

    with store.read() as connection:
        [file] = checks.files(connection)
    assert (file.name, file.rule, file.line) == ("b.yml", "cron", 2)
