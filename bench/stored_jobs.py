"""Measure whether what is stored slows down what is asked: with few and with many ended jobs.

On each database two services run at once, one with 10,000 and one with 1,000,000 jobs that ended
between two days and a year ago, all of the user who asks. Both have the same few live jobs and the
same few that ended lately. The requests go to the two in turn, so that both meet the same machine.
The servers do not wait for the disk, because what it takes is the same with any number of jobs.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    true,
    type_coerce,
)

from tests.acceptance.service import InstalledService
from tests.databases import SERVERS
from tests.stands import SandboxStand, sandbox_stand
from tracker_service.store.database import Store
from tracker_service.store.dialects import open_engine
from tracker_service.store.tables import (
    applications,
    causes,
    copies,
    job_state_changes,
    jobs,
    tasks,
    track_tasks,
)

FEW, MANY = 10_000, 1_000_000
LIVE, ROUNDS = 100, 40
ENDED_LATELY = 100  #: in the last hours, so that they are in the list
USER = "guest"
DATABASES = ("sqlite", *SERVERS)
_FAILS_EACH = 10  #: one job of so many fails, and so has a copy and a cause
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The numbers from 0 on, made by joining a small table with itself."""

    table: Table

    def below(self, count: int) -> Select[Any]:
        thousands, ones = self.table.alias(), self.table.alias()
        n = cast(thousands.c.n * 1000 + ones.c.n, BigInteger).label("n")
        return select(n).join_from(thousands, ones, true()).where(n < count)


def fill(connection: Connection, count: int) -> None:
    """Store ended jobs, as if they had been tracked in the last year."""
    number = _numbers(connection).below(count).subquery().c.n
    now_ms = literal(round(time.time() * 1000), BigInteger)
    lately = now_ms - 60_000 * (number + 1)
    earlier = now_ms - 2 * _DAY_MS - cast(number * 1.0 * (362 * _DAY_MS / count), BigInteger)
    ended = type_coerce(case((number < ENDED_LATELY, lately), else_=earlier), BigInteger)
    job_id = _text(10_000_000 + number, 2) + "-250101000000000-oozie-old-W"
    has_failed = number % _FAILS_EACH == 0
    _insert(
        connection,
        jobs,
        number,
        kind=literal("oozie"),
        external_id=job_id,
        run=literal(0),
        status=case((has_failed, "KILLED"), else_="SUCCEEDED"),
        name=literal("a job of the past"),
        owner=literal(USER),
        created_at=ended - 60_000,
        ended_at=ended,
        observed_at=ended,
        details_at=ended,
    )
    _fill_tasks(connection)


def _numbers(connection: Connection) -> _Numbers:
    table = Table(
        "bench_numbers", MetaData(), Column("n", Integer, primary_key=True, autoincrement=False)
    )
    table.create(connection)
    connection.execute(insert(table), [{"n": n} for n in range(1000)])
    return _Numbers(table)


def _text(number: ColumnElement[Any], begin: int) -> ColumnElement[str]:
    """Return the digits of a number from a place on."""
    return func.substr(cast(number, String(20)), begin, type_=String)


def _fill_tasks(connection: Connection) -> None:
    """Give each stored job its task, history and application, and each failed one a copy."""
    common = {"kind": literal("track"), "owner": literal(USER), "state": literal("ended")}
    _insert(
        connection,
        tasks,
        jobs.c.id,
        **common,
        subject=jobs.c.external_id,
        job_id=jobs.c.id,
        copies_always=literal(False),
        created_at=jobs.c.created_at,
        ended_at=jobs.c.ended_at,
    )
    of_job = {"job_id": jobs.c.id}
    _insert(
        connection,
        job_state_changes,
        jobs.c.id,
        **of_job,
        to_status=jobs.c.status,
        changed_at=jobs.c.ended_at,
    )
    application = literal("application_1700000000000_") + _text(10_000_000 + jobs.c.id, 2)
    _insert(
        connection,
        applications,
        jobs.c.id,
        **of_job,
        application_id=application,
        action=literal("work"),
        workflow_id=jobs.c.external_id,
        role=literal("launcher"),
        seen_at=jobs.c.ended_at,
    )
    _insert(
        connection,
        track_tasks,
        tasks.c.id,
        task_id=tasks.c.id,
        owner=tasks.c.owner,
        job_id=tasks.c.job_id,
        copies_always=tasks.c.copies_always,
    )
    _fill_failures(connection)


def _fill_failures(connection: Connection) -> None:
    failed = (tasks.c.job_id == jobs.c.id) & (jobs.c.status == "KILLED")
    digits = _text(10_000_000 + tasks.c.id, 2)
    at = {name: jobs.c.ended_at for name in ("due_at", "log_at", "created_at", "saved_at")}
    _insert(
        connection,
        copies,
        tasks.c.id,
        failed,
        id=digits,
        task_id=tasks.c.id,
        application_id=literal("application_1700000000000_") + digits,
        run=literal(0),
        status=literal("SUCCEEDED"),
        strategy=literal("direct"),
        path=literal("/user/guest/WORK/logs/1.log"),
        bytes=literal(50_000),
        attempt=literal(1),
        failures=literal(0),
        ended_at=jobs.c.ended_at,
        **at,
    )
    _insert(
        connection,
        causes,
        tasks.c.id,
        failed,
        task_id=tasks.c.id,
        job_id=jobs.c.id,
        fingerprint=literal("f") + _text(1000 + tasks.c.id % 97, 2),
        category=literal("application-error"),
        summary=literal("it failed"),
        card=literal({}, causes.c.card.type),
        failed_at=jobs.c.ended_at,
        decided_at=jobs.c.ended_at,
    )


def _insert(
    connection: Connection,
    table: Table,
    order: ColumnElement[Any],
    *conditions: ColumnElement[bool],
    **columns: ColumnElement[Any],
) -> None:
    rows = select(*(value.label(name) for name, value in columns.items())).order_by(order)
    rows = rows.where(*conditions)
    connection.execute(insert(table).from_select(list(columns), rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A service with some jobs in its database, and the requests that are measured."""

    service: InstalledService
    stand: SandboxStand

    def requests(self) -> Mapping[str, Callable[[], requests.Response]]:
        """Return the measured requests by their names."""
        answer = self.service.get("jobs/tracking", params={"limit": 100})
        assert answer.status_code == 200, answer.text
        tag = {"If-None-Match": answer.headers["ETag"]}
        return {
            "GET /metrics": lambda: requests.get(f"{self.service.url}/metrics", timeout=60),
            "GET /api/jobs/tracking, first page": lambda: self.service.get(
                "jobs/tracking", params={"limit": 100}
            ),
            "the same with ETag (304)": lambda: self.service.get(
                "jobs/tracking", params={"limit": 100}, headers=tag
            ),
            "POST of one job": lambda: self.service.post([self.stand.start("sleep")]),
        }


def measured(few: Asked, many: Asked) -> Iterator[tuple[str, float, float]]:
    """Yield for each request its name and its median time, in seconds, with few and with many."""
    sides = few.requests(), many.requests()
    for name in sides[0]:
        spent: tuple[list[float], list[float]] = ([], [])
        for number in range(ROUNDS + 5):
            for side, seconds in zip(sides, spent, strict=True):
                began = time.perf_counter()
                answer = side[name]()
                taken = time.perf_counter() - began
                assert answer.status_code == (304 if "304" in name else 200), answer.text
                if number >= 5:  # the first ones warm up
                    seconds.append(taken)
        yield name, statistics.median(spent[0]), statistics.median(spent[1])


def _filled(url: str, count: int) -> None:
    store = Store(url)
    store.upgrade()
    store.close()
    engine = open_engine(url, for_upgrade=True)
    with engine.begin() as connection:
        fill(connection, count)
    if engine.name != "sqlite":
        _analyze(engine)
    engine.dispose()


def _analyze(engine: Engine) -> None:
    """Collect statistics, as servers do by themselves in the long run; SQLite never does."""
    with engine.connect() as connection:
        for table in (jobs, tasks, track_tasks, copies, causes, applications, job_state_changes):
            name = f"TABLE {table.name}" if engine.name in ("mysql", "mariadb") else table.name
            connection.execute(text(f"ANALYZE {name}"))
        connection.commit()


def _urls(kind: str, home: Path, opened: ExitStack) -> tuple[str, str]:
    if kind == "sqlite":
        return f"sqlite:///{home}/few.db", f"sqlite:///{home}/many.db"
    server = opened.enter_context(SERVERS[kind](home, durable=False))
    return server.url("few"), server.url("many")


def _measure(kind: str, stand: SandboxStand) -> Iterator[tuple[str, float, float]]:
    with ExitStack() as opened, tempfile.TemporaryDirectory() as directory:
        home, asked = Path(directory), list[Asked]()
        for count, url in zip((FEW, MANY), _urls(kind, home, opened), strict=True):
            _filled(url, count)
            service = InstalledService(
                stand,
                home / str(count),
                TRACKER_STORE__URL=url,
                TRACKER_POLLING__INTERVAL_S=3600,
                TRACKER_WORKER__LEASE_S=30,
            )
            opened.callback(service.end)
            service.track(*[stand.start("sleep") for _ in range(LIVE)])
            asked.append(Asked(service=service, stand=stand))
        yield from measured(*asked)


def main() -> None:
    """Print the table."""
    print(f"| request | {FEW:,} ended jobs | {MANY:,} ended jobs | factor |")
    print("| --- | --- | --- | --- |")
    with sandbox_stand() as stand:
        for kind in DATABASES:
            for name, few, many in _measure(kind, stand):
                row = f"| {kind}: {name} | {few * 1000:.1f} ms | {many * 1000:.1f} ms "
                print(f"{row}| {many / few:.2f} |", flush=True)
