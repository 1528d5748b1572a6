"""What a database's URL may ask for, and how many connections there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import event, select, text

from tracker_service.errors import ConfigError
from tracker_service.store.database import Store
from tracker_service.store.dialects import open_engine


def with_parameters(url: str, parameters: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{parameters}"


def test_every_thread_gets_a_connection(store):
    threads = 60  # more than the pool keeps, fewer than the servers of the tests allow
    met = Barrier(threads)

    def read(_: int) -> int:
        with store.read() as connection:
            met.wait(60)
            return connection.scalar(select(1)) or 0

    with ThreadPoolExecutor(threads) as pool:
        assert sum(pool.map(read, range(threads))) == threads


@pytest.mark.parametrize("parameters", ["nonsense=1", "autocommit=true"])
def test_a_parameter_that_cannot_be_used_is_named(store, parameters):
    if store.url.startswith("sqlite") and "nonsense" in parameters:
        pytest.skip("SQLAlchemy ignores the parameters of a file that it does not know")
    with pytest.raises(ConfigError, match=r"store\.url cannot be used: .*(nonsense|autocommit)"):
        Store(with_parameters(store.url, parameters)).upgrade()


@pytest.mark.parametrize("threshold", ["none", "0", "7"])
def test_a_threshold_of_prepared_statements_is_taken(store, threshold):
    if not store.url.startswith("postgresql"):
        pytest.skip("a parameter of the driver of PostgreSQL")
    other = Store(with_parameters(store.url, f"prepare_threshold={threshold}"))

    with other.begin() as connection:
        for _ in range(10):
            connection.execute(select(1))
        prepared = connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))

    other.close()
    assert bool(prepared) == (threshold != "none")


def test_a_threshold_that_is_none_is_refused(store):
    if not store.url.startswith("postgresql"):
        pytest.skip("a parameter of the driver of PostgreSQL")
    with pytest.raises(ConfigError, match="prepare_threshold=often is neither a number nor none"):
        open_engine(with_parameters(store.url, "prepare_threshold=often"))


def test_a_pooler_in_front_of_postgresql_is_asked_for_nothing_that_it_refuses(store):
    if not store.url.startswith("postgresql"):
        pytest.skip("PgBouncer is a pooler for PostgreSQL")
    sent = {}
    event.listen(store._engine, "do_connect", lambda *wanted: sent.update(wanted[3]), insert=True)

    with store.begin() as connection:
        prepared = connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
        limits = [
            connection.scalar(text(f"SHOW {name}"))
            for name in ("lock_timeout", "idle_in_transaction_session_timeout")
        ]
    with store.read() as connection:  # the same session, of which another program may be next
        afterwards = connection.scalar(text("SHOW lock_timeout"))

    assert "options" not in sent
    assert prepared == 0
    assert limits == ["10s", "1min"]
    assert afterwards == "0"
