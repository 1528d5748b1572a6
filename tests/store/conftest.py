from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tracker_service.store.engine import Store


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory) -> Path:
    """A database with the schema and nothing in it: copying it is faster than making it."""
    file = tmp_path_factory.mktemp("template") / "tracker.db"
    store = Store(f"sqlite:///{file}")
    store.upgrade()
    store.close()
    return file


def sqlite_file(request: pytest.FixtureRequest) -> str:
    file = request.getfixturevalue("tmp_path") / "tracker.db"
    shutil.copy(request.getfixturevalue("empty_sqlite"), file)
    return f"sqlite:///{file}"


#: Each gives the URL of a database with the schema and nothing in it, for one test.
DATABASES: dict[str, Callable[[pytest.FixtureRequest], str]] = {"sqlite": sqlite_file}


@pytest.fixture(params=sorted(DATABASES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    opened = Store(DATABASES[request.param](request))
    yield opened
    opened.close()


@pytest.fixture
def connection(store: Store):
    """One transaction for the whole test."""
    with store.begin() as opened:
        yield opened
