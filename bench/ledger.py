"""Measure a ledger over HTTP: durable updates, heartbeats, the page, `next`, the start.

The load generator runs on the same cores: one thread that keeps 32 connections busy. Each row has
the bar that it must reach in every run.
"""

from __future__ import annotations

import json
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from tests.acceptance.proxied import gunicorn
from tests.databases import postgres
from tests.ports import free_port
from tracker_service.domain.ledger import LedgerJob, Status
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store

CONNECTIONS = 32
JOBS = 10_000
STORED = 100_000  #: jobs at the start
STATES = ("parsing", "postProcessing", "loading", "deduplicating", "copying")
LEAST_UPDATES = {"SQLite": 2_000, "PostgreSQL": 1_500}  #: a second
LEAST_BEATS = 3_500  #: a second
_SECONDS = 8.0
_RUNS = 3
_SOURCES = """
start_date: 1900-01-01
sources:
- {bucket: lab, experiment: ndt, datatype: ndt7, full_history: true}
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load has come to."""

    answers: int
    wrong: int
    seconds: float
    latencies_s: Sequence[float]

    @property
    def rate(self) -> float:
        """Return the answers a second."""
        return self.answers / self.seconds

    def ms(self, percent: int) -> float:
        """Return the time within which this percentage of the answers came, in milliseconds."""
        return statistics.quantiles(self.latencies_s, n=100)[percent - 1] * 1000

    def __str__(self) -> str:
        times = ", ".join(f"p{percent} {self.ms(percent):.1f} ms" for percent in (50, 95, 99))
        return f"{self.rate:,.0f}/s, {times}, {self.wrong} not 200"


def row(what: str, bar: str, measured: object, *, is_met: bool) -> None:
    """Print a row of the table."""
    print(f"| {what} | {bar} | {measured} | {'yes' if is_met else '**no**'} |", flush=True)


def load(
    port: int, request: Callable[[int], bytes], *, seconds: float = _SECONDS, most: int = 10**9
) -> Measured:
    """Keep all connections busy, each with one request at a time."""
    latencies, sent, wrong, number = list[float](), dict[socket.socket, float](), 0, 0
    with selectors.DefaultSelector() as selector:
        begun = time.perf_counter()
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            sent[connection] = time.perf_counter()
            connection.sendall(request(number))
            number += 1
        while sent:
            for key, _ in selector.select():
                connection = key.fileobj  # type: ignore[assignment]
                answer, now = connection.recv(65536), time.perf_counter()
                latencies.append(now - sent[connection])
                wrong += not answer.startswith(b"HTTP/1.1 200")
                if not answer or number >= most or now - begun > seconds:
                    selector.unregister(connection)
                    connection.close()
                    del sent[connection]
                    continue
                sent[connection] = now
                connection.sendall(request(number))
                number += 1
        return Measured(len(latencies), wrong, time.perf_counter() - begun, latencies)


def call(name: str, query: str = "") -> bytes:
    """Return a request as Gardener's client sends it."""
    target = f"/v2/job/{name}?{query}" if query else f"/v2/job/{name}"
    return f"POST {target} HTTP/1.1\r\nHost: ledger\r\nContent-Length: 0\r\n\r\n".encode()


def fill(store: Store, jobs: int, states: Sequence[str]) -> list[str]:
    """Add jobs, each with a history of these states, and return their ids."""
    now, keys = datetime.now(UTC), list[str]()
    for start in range(0, jobs, 1000):
        started = []
        for number in range(start, min(start + 1000, jobs)):
            job = LedgerJob(
                bucket="lab",
                experiment="bench",
                datatype=f"type{number // 10_000}",
                date=datetime(1990, 1, 1, tzinfo=UTC) + timedelta(days=number % 10_000),
            )
            status = Status.new(now)
            for state in states:
                status = status.updated(state, f"detail of {state}", now)
            started.append((job, status))
            keys.append(job.key)
        with store.begin() as connection:
            ledger_jobs.insert_all(connection, "default", started)
    return keys


@contextmanager
def served(home: Path, url: str) -> Iterator[int]:
    """Serve the API as it is shipped; yield its port."""
    (home / "sources.yml").write_text(_SOURCES)
    port = free_port()
    environment = {
        "TRACKER_STATE_DIR": str(home),
        "TRACKER_STORE__URL": url,
        "TRACKER_SERVE__BIND": f"127.0.0.1:{port}",
        "TRACKER_LEDGER__ENABLED": "true",
        "TRACKER_LEDGER__CONFIG": str(home / "sources.yml"),
        "TRACKER_LOG_LEVEL": "WARNING",
    }
    with gunicorn(home / "gunicorn.log", environment):
        requests.get(f"http://127.0.0.1:{port}/healthz", timeout=60).raise_for_status()
        yield port


def measure_calls(url: str, home: Path, name: str) -> None:
    """Print the rows of one database."""
    store = Store(url)
    store.upgrade()
    keys = fill(store, JOBS, STATES[:1])
    if not url.startswith("sqlite"):  # the server does it by itself within a minute
        with store.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    store.close()
    updates = [
        call("update", f"id={key.replace('/', '%2F')}&state=parsing&detail=file{number}")
        for number, key in enumerate(keys)
    ]
    beats = [call("heartbeat", f"id={key.replace('/', '%2F')}") for key in keys]
    with served(home, url) as port:
        load(port, lambda n: updates[n % JOBS], seconds=1)
        for _ in range(_RUNS):
            measure_updates(name, load(port, lambda n: updates[(n * 7919) % JOBS]))
        for _ in range(_RUNS):
            beaten = load(port, lambda n: beats[(n * 7919) % JOBS])
            is_met = beaten.rate >= LEAST_BEATS and not beaten.wrong
            row(f"heartbeats, {name}", f"≥ {LEAST_BEATS:,}/s", beaten, is_met=is_met)
        for _ in range(_RUNS):
            measure_page(port, name)
        for _ in range(_RUNS):
            taken = load(port, lambda _: call("next"), most=3000)
            is_met = taken.ms(95) <= 15 and not taken.wrong
            row(f"`next`, {JOBS:,} in flight, {name}", "p95 ≤ 15 ms", taken, is_met=is_met)
        check_next(port, name)


def measure_updates(name: str, updated: Measured) -> None:
    """Print the row of durable updates."""
    least, bar = LEAST_UPDATES[name], f"≥ {LEAST_UPDATES[name]:,}/s, p95 ≤ 40 ms"
    is_met = updated.rate >= least and updated.ms(95) <= 40 and not updated.wrong
    row(f"durable updates, {name}", bar, updated, is_met=is_met)


def check_next(port: int, name: str) -> None:
    """Check that no job was given to two of the clients."""
    url = f"http://127.0.0.1:{port}/api/ledger/jobs?limit=10000"
    found = list[str]()
    while url:
        answer = requests.get(url, timeout=60)
        found += [job["id"] for job in answer.json() if job["experiment"] == "ndt"]
        url = answer.links.get("next", {}).get("url", "")
    different, given = len(set(found)), 3000 * _RUNS
    measured = f"{different:,} different ones"
    row(
        f"jobs of {given:,} calls of `next`, {name}", "as many", measured, is_met=different >= given
    )


def measure_page(port: int, name: str) -> None:
    """Print the times to the first and to the last byte of the status page."""
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        begun = time.perf_counter()
        connection.sendall(b"GET /status HTTP/1.1\r\nHost: ledger\r\nConnection: close\r\n\r\n")
        size, first = 0, 0.0
        while piece := connection.recv(65536):
            size += len(piece)
            first = first or time.perf_counter() - begun
        whole = time.perf_counter() - begun
    measured = f"{first * 1000:.0f} and {whole * 1000:.0f} ms, {size / 1e6:.1f} MB"
    bar, is_met = "first byte ≤ 100 ms, whole ≤ 400 ms", first <= 0.1 and whole <= 0.4
    row(f"page of {JOBS:,} jobs, {name}", bar, measured, is_met=is_met)


_START = """
import sys, time
from tracker_service.settings import load
from tracker_service.bootstrap import build_service
from tracker_service.app import create_app
from tracker_service.rooms import ALL_ROOMS
begun = time.perf_counter()
client = create_app(build_service(load()), ALL_ROOMS)
from werkzeug.test import Client
answer = Client(client.wsgi_app).post("/v2/job/heartbeat?id=" + sys.argv[1])
print(answer.status_code, time.perf_counter() - begun)
"""


def measure_start(home: Path) -> None:
    """Print how long it takes from the start to the first answer, empty and with many jobs."""
    for jobs in (1, STORED):
        url = f"sqlite:///{home}/start-{jobs}.db"
        store = Store(url)
        store.upgrade()
        key = fill(store, jobs, STATES)[-1]
        store.close()
        environment = {
            "PATH": "/usr/bin:/bin",
            "TRACKER_STORE__URL": url,
            "TRACKER_STATE_DIR": str(home),
            "TRACKER_LEDGER__ENABLED": "true",
            "TRACKER_LEDGER__WRITERS": json.dumps(["127.0.0.1"]),
        }
        done = subprocess.run(
            [sys.executable, "-c", _START, key],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        status, seconds = done.stdout.split()
        row(
            f"start with {jobs:,} jobs of 6 states, to the first answer",
            "≤ 1 s",
            f"{float(seconds):.2f} s",
            is_met=status == "200" and float(seconds) <= 1,
        )


def main() -> None:
    """Print the tables."""
    print(f"| {CONNECTIONS} connections | bar | measured | met |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        measure_calls(f"sqlite:///{home}/tracker.db", home, "SQLite")
        measure_start(home)
        (home / "postgresql").mkdir()
        with postgres(home / "postgresql") as server:
            measure_calls(server.url("bench"), home, "PostgreSQL")
