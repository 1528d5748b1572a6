"""A PgBouncer between the service and PostgreSQL: each transaction may get another session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.databases import NoDatabase
from tests.store.conftest import LEFT_OUT, WORKER
from tests.store.pooler import pooled
from tests.store.rows import NOW, hold, job, live_tasks, seen, task_rows
from tests.store.schemas import make
from tracker_service.errors import ConfigError, LeaseLost, StoreUnavailable
from tracker_service.store import jobs, jobsets, notify_tokens, rate_limits, track_tasks
from tracker_service.store.database import Connection, Store
from tracker_service.store.notify_tokens import KeptNotifyToken

THREADS = 12  #: four times the sessions


@pytest.fixture
def direct_url(servers) -> Iterator[str]:
    server, name = servers("postgresql"), f"pooled_{WORKER}"
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def pooled_url(direct_url: str, tmp_path: Path) -> Iterator[str]:
    try:
        with pooled(direct_url, tmp_path) as url:
            yield url
    except NoDatabase as error:
        pytest.skip(f"{LEFT_OUT}{error}")


@pytest.fixture
def store(pooled_url: str) -> Iterator[Store]:
    opened = Store(pooled_url)
    opened.upgrade()
    yield opened
    opened.close()


def post(store: Store, number: int) -> None:
    def track(connection: Connection) -> None:
        kept = list(jobs.record(connection, [seen(number % 20)]).values())
        track_tasks.track(connection, "guest", "guest", kept, NOW)

    store.write(track)


def test_an_earlier_schema_is_upgraded_by_processes_that_begin_at_once(
    pooled_url: str, direct_url: str
) -> None:
    make(direct_url, "0001")
    code = (
        "import sys; from tracker_service.store.database import Store; Store(sys.argv[1]).upgrade()"
    )
    upgrades = [
        subprocess.Popen([sys.executable, "-c", code, pooled_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]

    told = [upgrade.communicate()[1] for upgrade in upgrades]

    assert [upgrade.returncode for upgrade in upgrades] == [0] * 3, told
    store = Store(pooled_url)
    with store.read() as connection:
        assert len(task_rows(connection)) == 3
    store.close()


def test_more_threads_than_sessions_post_the_same_jobs(store: Store) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(post, store, number) for number in range(10 * THREADS)]:
            done.result()

    with store.read() as connection:
        assert len(task_rows(connection)) == 20
        pools = connection.scalar(
            text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        )
    assert pools <= 3


def test_limits_that_are_counted_under_a_lock_hold(store: Store) -> None:
    def make_token(number: int) -> bool:
        token = KeptNotifyToken(
            fingerprint=f"{number:064d}", owner="guest", created_at=NOW, used_at=None
        )
        return store.write(lambda connection: notify_tokens.add(connection, token, 3))

    def take(_: int) -> int:
        return store.write(lambda c: rate_limits.take(c, "guest", NOW, per_minute=5, wanted=1)[0])

    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(make_token, range(THREADS))).count(True) == 3
        assert sum(threads.map(take, range(THREADS))) == 5


def test_a_lease_is_claimed_renewed_lost_and_guarded(store: Store) -> None:
    post(store, 1)
    with store.begin() as connection:
        [task] = live_tasks(connection)

    for _ in range(5):  # each maybe with another session
        store.write(lambda connection: jobsets.renew(connection, "worker", 30))
        with store.begin() as connection:
            jobsets.guard(connection, task.lease)
    with store.begin() as connection:
        jobsets.release(connection, "worker")
        assert hold(connection, "another")

    with pytest.raises(LeaseLost), store.begin() as connection:
        jobsets.guard(connection, task.lease)


def test_no_setting_of_a_transaction_is_left_in_a_session(store: Store, direct_url: str) -> None:
    for number in range(9):
        post(store, number)

    with store.read() as connection:
        for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
            assert connection.scalar(text(f"SHOW {name}")) == "0"
        assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.scalar(text(held)) == 0


def test_sessions_that_the_server_ends_are_an_outage_that_ends(store: Store) -> None:
    post(store, 1)
    with store.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    for _ in range(5):
        try:
            post(store, 2)
        except StoreUnavailable:
            continue
    with store.read() as connection:
        assert {row.subject for row in task_rows(connection)} == {job(1), job(2)}


def test_a_pooler_that_ends_a_session_with_each_statement_is_refused(
    direct_url: str, tmp_path: Path
) -> None:
    refused = pytest.raises(ConfigError, match=r"store\.url .*pool_mode = transaction")
    try:
        with pooled(direct_url, tmp_path, mode="statement") as url, refused:
            Store(url).upgrade()
    except NoDatabase as error:
        pytest.skip(f"{LEFT_OUT}{error}")
