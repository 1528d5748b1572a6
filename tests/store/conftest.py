from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from tests.databases import Databases, NoDatabase
from tests.shared_database import shared
from tests.statements import share_compiled
from tests.store.schemas import NEW, make
from tracker_service.store.database import Store
from tracker_service.store.tables import metadata

Servers = Callable[[str], Databases]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
LEFT_OUT = "left out: "


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory) -> Path:
    """A database with the schema and nothing in it: copying it is faster than making it."""
    file = tmp_path_factory.mktemp("template") / "tracker.db"
    store = Store(f"sqlite:///{file}")
    store.upgrade()
    store.close()
    return file


@pytest.fixture(scope="session")
def servers(tmp_path_factory) -> Iterator[Servers]:
    """Database servers by their kind, each started when it is first asked for."""
    home = tmp_path_factory.getbasetemp()
    with ExitStack() as opened:

        @cache
        def server(kind: str) -> Databases | str:
            try:
                shared_home = home if WORKER == "alone" else home.parent
                return opened.enter_context(shared(kind, shared_home))
            except NoDatabase as error:
                return f"{LEFT_OUT}{kind}: {error}"

        def server_or_skip(kind: str) -> Databases:
            found = server(kind)
            if isinstance(found, Databases):
                return found
            if os.environ.get("CI"):
                pytest.fail(f"a database must not be missing in CI: {found}", pytrace=False)
            pytest.skip(found)

        yield server_or_skip


@pytest.fixture(scope="session")
def with_schema(servers) -> Iterator[Callable[[str], Engine]]:
    """One database with the schema on each server, for all tests of this process in turn."""
    opened: dict[str, Engine] = {}

    def engine(kind: str) -> Engine:
        if kind not in opened:
            url = servers(kind).url(f"tests_{WORKER}")
            store = Store(url)
            store.upgrade()
            store.close()
            opened[kind] = create_engine(url)
        return opened[kind]

    yield engine
    for each in opened.values():
        each.dispose()


def pytest_terminal_summary(terminalreporter) -> None:
    """Name what was left out."""
    skipped = [each.longrepr for each in terminalreporter.stats.get("skipped", [])]
    reasons = {each[2].removeprefix("Skipped: ") for each in skipped if isinstance(each, tuple)}
    for reason in sorted(each for each in reasons if each.startswith(LEFT_OUT)):
        terminalreporter.write_line(reason)


def sqlite_file(request: pytest.FixtureRequest) -> str:
    file = request.getfixturevalue("tmp_path") / "tracker.db"
    shutil.copy(request.getfixturevalue("empty_sqlite"), file)
    return f"sqlite:///{file}"


def emptied(kind: str) -> Callable[[pytest.FixtureRequest], str]:
    """Return what empties the database on a server: that takes 3 ms, to make it anew 70."""

    def url(request: pytest.FixtureRequest) -> str:
        engine = request.getfixturevalue("with_schema")(kind)
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
        return engine.url.render_as_string(hide_password=False)

    return url


#: Each gives the URL of a database with the schema and nothing in it, for one test.
DATABASES: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": sqlite_file,
    "postgresql": emptied("postgresql"),
    "mariadb": emptied("mariadb"),
}


@pytest.fixture(params=sorted(DATABASES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    opened = Store(DATABASES[request.param](request))
    share_compiled(opened)
    yield opened
    opened.close()


@pytest.fixture
def connection(store: Store):
    """One transaction for the whole test."""
    with store.begin() as opened:
        yield opened


@pytest.fixture(params=sorted(DATABASES))
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def upgraded_once(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str], Store]]:
    """Databases of a kind that a release has filled, upgraded, for tests that change nothing."""
    opened: dict[tuple[str, str], Store] = {}

    def upgraded(kind: str, revision: str) -> Store:
        if (kind, revision) not in opened:
            if kind == "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('upgraded')}/tracker.db"
            else:
                url = servers(kind).url(f"{WORKER}_upgraded_{revision}")
            if revision != NEW:
                make(url, revision)
            opened[kind, revision] = Store(url)
            opened[kind, revision].upgrade()
        return opened[kind, revision]

    yield upgraded
    for each in opened.values():
        each.close()


_numbers = count()


@pytest.fixture(params=sorted(DATABASES))
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without anything in it, for one test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tracker.db"
        return
    server, name = request.getfixturevalue("servers")(request.param), f"{WORKER}_{next(_numbers)}"
    yield server.url(name)
    server.execute(f"DROP DATABASE {name}")
