"""A database in which nobody has made the tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.conftest import WORKER, Servers
from tracker_service.errors import StoreUnavailable
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store


@pytest.fixture
def bare(kind: str, servers: Servers, tmp_path: Path) -> Iterator[Store]:
    if kind == "sqlite":
        yield Store(f"sqlite:///{tmp_path}/bare.db")
        return
    server, name = servers(kind), f"bare_{WORKER}"
    store = Store(server.url(name))
    yield store
    store.close()
    server.execute(f"DROP DATABASE {name}")


def test_a_database_without_tables_says_how_to_make_them(bare):
    with pytest.raises(StoreUnavailable, match=r"no tables .*`tracker db upgrade`.*store\.url"):  # noqa: SIM117
        with bare.read() as connection:
            ledger_jobs.count(connection, "default")
