from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from tests.store.rows import NOW, seen
from tracker_service.errors import StoreUnavailable
from tracker_service.store import jobs
from tracker_service.store.database import Store, database_now, insert_new, upsert
from tracker_service.store.tables import job_state_changes, metadata, verdicts, workers


def verdict(
    fingerprint: str, owner: str = "guest", expires_at: datetime = NOW
) -> dict[str, object]:
    return {"fingerprint": fingerprint, "owner": owner, "expires_at": expires_at}


def test_the_migrations_make_exactly_the_tables(store):
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_upgrading_twice_is_harmless(store):
    with store.begin() as connection:
        jobs.record(connection, [seen(1)])

    store.upgrade()

    with store.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM jobs")) == 1


def test_a_new_file_is_upgraded_from_nothing_in_directories_that_are_made(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/not/there/yet/tracker.db")

    store.upgrade()

    with store.read() as connection:
        names = set(inspect(connection).get_table_names())
    store.close()
    assert names == {*metadata.tables, "alembic_version"}


@pytest.mark.parametrize("opened", ["begin", "read"])
def test_sqlite_keeps_what_it_has_promised(store, opened):
    if not store.url.startswith("sqlite"):
        pytest.skip("these are settings of SQLite")

    with getattr(store, opened)() as connection:
        pragmas = {
            name: connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_transaction_that_breaks_leaves_nothing(store):
    def break_off() -> None:
        with store.begin() as connection:
            jobs.record(connection, [seen(1)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()

    with store.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM jobs")) == 0
        assert connection.scalar(text("SELECT count(*) FROM job_state_changes")) == 0


def test_a_transaction_is_seen_by_others_when_it_ends_and_not_before(store):
    with store.begin() as connection:
        jobs.record(connection, [seen(1)])
        with store.read() as other:
            assert jobs.latest(other, [seen(1).id]) == {}

    with store.read() as other:
        assert set(jobs.latest(other, [seen(1).id])) == {seen(1).id}


def test_a_reader_waits_for_no_writer(store):
    with store.begin() as writer:
        jobs.record(writer, [seen(1)])

        with store.read() as reader:
            assert reader.scalar(text("SELECT count(*) FROM jobs")) == 0


def test_rows_that_belong_to_nothing_are_refused(store):
    with pytest.raises(IntegrityError), store.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO job_state_changes (job_id, to_status, changed_at) "
                "VALUES (99, 'KILLED', 0)"
            )
        )


def test_a_naive_datetime_is_refused(connection):
    naive = NOW.replace(tzinfo=None)

    with pytest.raises(StatementError, match="no time zone"):
        connection.execute(insert(verdicts).values(verdict("x", expires_at=naive)))


@pytest.mark.parametrize("offset_ms", range(0, 1000, 37))
def test_an_instant_comes_back_in_utc_to_the_millisecond(connection, offset_ms):
    instant = NOW + timedelta(milliseconds=offset_ms)
    connection.execute(insert(verdicts).values(verdict("x", expires_at=instant)))

    back = connection.scalar(select(verdicts.c.expires_at).where(verdicts.c.expires_at == instant))

    assert back == instant
    assert back.tzinfo is UTC


def test_the_clock_of_the_database_tells_the_time(connection):
    connection.execute(insert(workers).values(id="x", started_at=NOW, seen_at=database_now()))

    told = connection.scalar(select(workers.c.seen_at))

    assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)


def test_what_is_there_is_not_inserted_again(connection):
    insert_new(connection, verdicts, [verdict("x", "guest")])

    insert_new(connection, verdicts, [verdict("x", "sam"), verdict("y", "sam")])

    rows = connection.execute(select(verdicts.c.fingerprint, verdicts.c.owner)).all()
    assert sorted(rows) == [("x", "guest"), ("y", "sam")]


def test_what_refers_to_nothing_is_not_inserted_in_silence(store):
    change = {"job_id": 99_999_999, "to_status": "KILLED", "changed_at": NOW}

    with pytest.raises(IntegrityError), store.begin() as connection:
        insert_new(connection, job_state_changes, [change])


def test_rows_count_as_changed_though_they_look_the_same(connection):
    insert_new(connection, verdicts, [verdict("x")])

    changed = connection.execute(update(verdicts).values(owner="guest"))

    assert changed.rowcount == 1


def test_names_that_differ_in_case_or_accent_are_two(connection):
    insert_new(connection, verdicts, [verdict("x"), verdict("X"), verdict("\u00e4"), verdict("a")])

    found = connection.scalars(select(verdicts.c.fingerprint).where(verdicts.c.fingerprint == "x"))
    assert found.all() == ["x"]
    assert len(connection.execute(select(verdicts)).all()) == 4


def test_two_who_wait_for_each_other_are_told_to_try_again(store):
    if store.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    with store.begin() as connection:
        insert_new(connection, verdicts, [verdict("x"), verdict("y")])
    met, ends = threading.Barrier(2), []

    def change(*order: str) -> None:
        try:
            with store.begin() as connection:
                for each in order:
                    found = verdicts.c.fingerprint == each
                    connection.execute(update(verdicts).where(found).values(owner=order[0]))
                    if each == order[0]:
                        met.wait()
            ends.append("committed")
        except StoreUnavailable:
            ends.append("unavailable")

    threads = [threading.Thread(target=change, args=order) for order in ("xy", "yx")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ends) == ["committed", "unavailable"]


def test_a_connection_that_the_server_has_closed_is_replaced(store):
    if store.url.startswith("sqlite"):
        pytest.skip("SQLite has no server")
    kill = "SELECT pg_terminate_backend(:id)" if "postgres" in store.url else "KILL :id"
    own_id = "SELECT pg_backend_pid()" if "postgres" in store.url else "SELECT CONNECTION_ID()"
    with store.read() as connection:
        idle = connection.scalar(text(own_id))
    other = Store(store.url)
    with other.read() as connection:
        connection.execute(text(kill), {"id": idle})
    other.close()

    with store.read() as connection:
        now = connection.scalar(text(own_id))

    assert now != idle


def test_inserting_nothing_is_harmless(connection):
    insert_new(connection, verdicts, [])

    assert connection.execute(select(verdicts)).all() == []


def test_an_upsert_changes_what_is_there(connection):
    upsert(connection, verdicts, verdict("x", "guest"))

    upsert(connection, verdicts, verdict("x", "sam"))

    assert connection.scalars(select(verdicts.c.owner)).all() == ["sam"]


def test_a_database_that_cannot_be_used_is_unavailable(tmp_path):
    (tmp_path / "tracker.db").mkdir()
    store = Store(f"sqlite:///{tmp_path}/tracker.db")

    with pytest.raises(StoreUnavailable), store.begin():
        pytest.fail("the block was entered")

    store.close()
