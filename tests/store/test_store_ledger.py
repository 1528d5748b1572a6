"""The jobs of a ledger: what is answered is durable, and updates of one job all count."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tracker_service.domain.ledger import COMPLETE, FAILED, LedgerJob, Scope, history_of
from tracker_service.errors import JobAlreadyExists, LedgerJobNotFound, OutOfScope
from tracker_service.store import ledger_cursors, ledger_jobs
from tracker_service.store.database import Store
from tracker_service.store.grouped import GroupedWrites
from tracker_service.store.ledger_jobs import Change, Changed
from tracker_service.store.tables import ledger_changes

NOW = datetime(2026, 11, 22, 5, 0, 0, 123456, tzinfo=UTC)
LEDGER = "default"


def job(number: int = 1, **more: str) -> LedgerJob:
    values: dict[str, Any] = {"bucket": "b", "experiment": "ndt", "datatype": "ndt7"} | more
    return LedgerJob(date=datetime(2024, 1, number, tzinfo=UTC), **values)


def add(store: Store, *jobs: LedgerJob, now: datetime = NOW):
    return store.write(lambda c: ledger_jobs.add_all(c, LEDGER, jobs, now))


def update(key: str, state: str, detail: str = "", now: datetime = NOW, **more) -> Change:
    return Change(LEDGER, key, lambda status: status.updated(state, detail, now), **more)


def change(store: Store, *changes: Change):
    return store.write(lambda c: ledger_jobs.change_all(c, changes))


def status_of(store: Store, key: str):
    with store.read() as connection:
        return ledger_jobs.find(connection, LEDGER, key)


def test_what_was_added_is_found_as_it_was(store):
    filtered = replace(job(), filter=".*Z")

    [added] = add(store, filtered)

    stored = status_of(store, job().key)
    assert (stored.job, stored.key) == (filtered, "b/ndt/ndt7/20240101")
    assert replace(added.after, appended=()) == stored.status
    assert stored.status.start_time == NOW


def test_a_job_is_added_once(store):
    add(store, job())

    first, second, third = add(store, job(), job(2), job(2))

    assert isinstance(first, JobAlreadyExists)
    assert isinstance(second, Changed)
    assert isinstance(third, JobAlreadyExists)


@pytest.mark.parametrize("state", [COMPLETE, FAILED])
def test_a_job_that_has_ended_starts_again_and_keeps_its_history(store, state):
    add(store, job())
    change(store, update(job().key, state, "first"))

    [again] = add(store, replace(job(), filter="new"), now=NOW + timedelta(hours=1))

    stored = status_of(store, job().key)
    assert again.before.state == state
    assert (stored.status.state, stored.status.run, stored.job.filter) == ("init", 1, "new")
    assert (stored.status.update_count, stored.status.detail) == (0, "")
    with store.read() as connection:
        rows = ledger_jobs.history(connection, stored.id)
    assert [(row.run, row.state) for row in rows] == [
        (0, "init"),
        (0, "init"),
        (0, state),
        (1, "init"),
    ]


def test_updates_of_one_transaction_build_on_each_other(store):
    add(store, job(), job(2))

    outcomes = change(
        store,
        update(job().key, "parsing", "a"),
        update("unknown", "parsing"),
        update(job().key, "parsing", "b"),
        update(job(2).key, "x"),
        update(job().key, "loading", ""),
    )

    assert isinstance(outcomes[1], LedgerJobNotFound)
    status = status_of(store, job().key).status
    assert (status.state, status.prev, status.update_count) == ("loading", "parsing", 3)
    with store.read() as connection:
        states = history_of(ledger_jobs.history(connection, status_of(store, job().key).id), 0)
    assert [(info.state, info.detail) for info in states] == [
        ("init", "a"),
        ("parsing", ""),
        ("loading", ""),
    ]


def test_concurrent_updates_of_one_job_all_count(store):
    add(store, job())
    writes = GroupedWrites(store)

    def one(number: int) -> None:
        wanted = [update(job().key, "parsing", f"file {number}")]
        if number % 2:
            writes.write(lambda c: ledger_jobs.change_all(c, wanted))
        else:
            store.write(lambda c: ledger_jobs.change_all(c, wanted))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(40)))

    stored = status_of(store, job().key)
    with store.read() as connection:
        rows = ledger_jobs.history(connection, stored.id)
    assert stored.status.update_count == 40
    assert {row.detail for row in rows} >= {f"file {number}" for number in range(40)}
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))


def test_two_writers_who_add_the_same_jobs_get_each_job_once(store):
    jobs = [job(day) for day in range(1, 21)]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda order: add(store, *order), [jobs, jobs[::-1]] * 2))

    added = [one.job.key for outcomes in found for one in outcomes if isinstance(one, Changed)]
    assert sorted(added) == sorted(each.key for each in jobs)


def test_a_key_changes_only_jobs_of_its_scope(store):
    add(store, job())

    [refused] = change(store, update(job().key, "x", scope=Scope("other")))
    [done] = change(store, update(job().key, "x", scope=Scope("ndt", "ndt7")))

    assert isinstance(refused, OutOfScope)
    assert done.after.state == "x"


@pytest.mark.parametrize("text", ["ünïcödé ✓ 🎉", "a/b", "tab\t\x07\x1b", "x" * 60_000, " padded "])
def test_texts_are_kept_as_they_are(store, text):
    add(store, job(experiment=text[:100]))
    key = job(experiment=text[:100]).key

    change(store, update(key, text[:255], text))

    stored = status_of(store, key)
    assert (stored.status.state, stored.status.detail) == (text[:255], text)
    assert stored.job.experiment == text[:100]


def test_a_key_is_compared_to_the_letter(store):
    add(store, job())

    assert status_of(store, job().key + " ") is None
    assert status_of(store, job().key.upper()) is None
    assert isinstance(change(store, update(job().key + " ", "x"))[0], LedgerJobNotFound)


def test_a_history_is_bounded_and_says_how_much_is_left_out(store, monkeypatch):
    monkeypatch.setattr(ledger_jobs, "MOST_ROWS", 50)
    monkeypatch.setattr(ledger_jobs, "_LEFT_OUT_AT_ONCE", 20)
    add(store, job())

    for start in range(0, 200, 20):
        changes = [update(job().key, f"state {n}", str(n)) for n in range(start, start + 20)]
        change(store, *changes)

    stored = status_of(store, job().key)
    with store.read() as connection:
        rows = ledger_jobs.history(connection, stored.id)
    assert (stored.status.update_count, stored.status.entry) == (200, 200)
    assert len(rows) <= 90
    assert rows[-1].number == stored.status.rows == 401
    assert stored.status.start_time == NOW


def test_heartbeats_are_written_together(store):
    add(store, job(), job(2))
    later = NOW + timedelta(seconds=5)

    store.write(lambda c: ledger_jobs.beat(c, LEDGER, {job().key: later, "unknown": later}))

    assert status_of(store, job().key).status.heartbeat_time == later
    assert status_of(store, job(2).key).status.heartbeat_time is None


def tidy(store: Store, hours: float, *, heartbeats_count: bool = False, expires: bool = True):
    now = NOW + timedelta(hours=hours)
    return store.write(
        lambda c: [
            each.key
            for each in ledger_jobs.remove_old(
                c,
                LEDGER,
                now,
                silent_since=now - timedelta(hours=24) if expires else None,
                complete_since=now - timedelta(hours=3),
                heartbeats_count=heartbeats_count,
            )
        ]
    )


def test_a_job_without_news_expires_and_a_complete_one_is_cleaned_up_earlier(store):
    add(store, job(1), job(2), job(3))
    change(store, update(job(2).key, COMPLETE))
    change(store, update(job(3).key, "parsing", "news", NOW + timedelta(hours=2)))

    assert tidy(store, 2.9) == []
    assert tidy(store, 3.1) == [job(2).key]
    assert tidy(store, 24.1) == [job(1).key]
    assert tidy(store, 25.9) == []
    assert tidy(store, 26.1, expires=False) == []
    assert tidy(store, 26.1) == [job(3).key]


def test_a_heartbeat_postpones_expiry_only_where_it_counts(store):
    add(store, job())
    beat_at = NOW + timedelta(hours=20)
    store.write(lambda c: ledger_jobs.beat(c, LEDGER, {job().key: beat_at}))

    assert tidy(store, 25, heartbeats_count=True) == []
    assert tidy(store, 25) == [job().key]


def test_a_removed_job_is_unknown_until_it_is_added_again(store):
    add(store, job())
    stored = status_of(store, job().key)
    assert tidy(store, 25) == [job().key]

    assert status_of(store, job().key) is None
    assert isinstance(change(store, update(job().key, "x"))[0], LedgerJobNotFound)
    with store.read() as connection:
        assert ledger_jobs.count(connection, LEDGER) == 0
        assert ledger_jobs.known(connection, LEDGER, [job().key]) == {}
    [again] = add(store, job(), now=NOW + timedelta(hours=30))
    assert again.before is None
    assert status_of(store, job().key).id == stored.id


def test_a_removed_job_is_purged_with_its_history(store):
    add(store, job(), job(2))
    tidy(store, 25)
    add(store, job(2), now=NOW + timedelta(hours=26))

    purged = store.write(lambda c: ledger_jobs.purge(c, NOW + timedelta(hours=27)))

    assert purged == 1
    with store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(ledger_changes)) == 2


def test_jobs_are_listed_in_the_order_in_which_they_were_started(store, monkeypatch):
    monkeypatch.setattr(ledger_jobs, "_PAGE", 3)
    for day in (5, 3, 4):
        add(store, job(day), now=NOW + timedelta(seconds=day))
    add(store, *(job(day) for day in range(10, 15)))
    change(store, update(job(4).key, "parsing"))

    with store.read() as connection:
        listed = list(ledger_jobs.listed(connection, LEDGER))
        rest = list(ledger_jobs.listed(connection, LEDGER, last=listed[4]))
        lines = list(ledger_jobs.lines(connection, LEDGER))
        parsing = list(ledger_jobs.listed(connection, LEDGER, "parsing"))

    days = [each.job.date.day for each in listed]
    assert days == [10, 11, 12, 13, 14, 3, 4, 5]
    assert [each.key for each in rest] == [each.key for each in listed[5:]]
    assert [each.key for each in parsing] == [job(4).key]
    assert [line.id for line in lines] == [each.id for each in listed]
    assert lines[0].started_us == round(NOW.timestamp() * 1_000_000)


def test_jobs_in_flight_are_counted_by_their_label(store):
    add(store, job(1), job(2), job(3), job(4, datatype="annotation2"))
    change(
        store,
        update(job(1).key, "loading"),
        Change(LEDGER, job(1).key, lambda status: status.with_error("no room", NOW)),
        Change(LEDGER, job(2).key, lambda status: status.with_error("no room", NOW)),
    )

    with store.read() as connection:
        found = {
            (each.datatype, each.label): each.jobs
            for each in ledger_jobs.in_flight(connection, LEDGER)
        }

    assert found == {
        ("ndt7", "loading-failed"): 1,
        ("ndt7", "init-failed"): 1,
        ("ndt7", "init"): 1,
        ("annotation2", "init"): 1,
    }


def test_ledgers_do_not_see_each_other(store):
    add(store, job())

    with store.read() as connection:
        assert ledger_jobs.find(connection, "other", job().key) is None
        assert ledger_jobs.count(connection, "other") == 0
    wrong = Change("other", job().key, lambda status: status)
    assert isinstance(change(store, wrong)[0], LedgerJobNotFound)


def test_cursors_are_read_as_they_were_written(store):
    places = {("daily", "b/ndt/ndt7"): (0, NOW), ("historical", "ünï"): (3, NOW)}

    with store.begin() as connection:
        ledger_cursors.lock(connection, LEDGER)
        ledger_cursors.write(connection, LEDGER, places)
        moved = {("daily", "b/ndt/ndt7"): (0, NOW + timedelta(days=1))}
        ledger_cursors.write(connection, LEDGER, moved)

    with store.read() as connection:
        assert ledger_cursors.read(connection, LEDGER) == places | moved
        assert ledger_cursors.read(connection, "other") == {}
