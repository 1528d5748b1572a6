"""Measure a ledger over HTTP: durable updates, heartbeats, the page, `next`, the start.

The load generator runs on the same cores: one thread that keeps 32 connections busy.
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
_SECONDS = 8.0
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

    def __str__(self) -> str:
        cut = statistics.quantiles(self.latencies_s, n=100)
        p50, p95, p99 = (f"{cut[n] * 1000:.1f}" for n in (49, 94, 98))
        return f"{self.answers / self.seconds:,.0f}/s | {p50} | {p95} | {p99} | {self.wrong}"


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
        updated = load(port, lambda n: updates[(n * 7919) % JOBS])
        print(f"| durable updates, {name} | {updated} |", flush=True)
        beaten = load(port, lambda n: beats[(n * 7919) % JOBS])
        print(f"| heartbeats, {name} | {beaten} |", flush=True)
        print(f"| next, {JOBS:,} in flight, {name} | {load(port, _next, most=3000)} |", flush=True)
        _check_next(port)
        if name == "SQLite":
            for _ in range(3):
                print(f"| page of {JOBS:,} jobs and more | {page(port)} |", flush=True)


def _next(_: int) -> bytes:
    return call("next")


def _check_next(port: int) -> None:
    """Check that no job was given to two of the clients."""
    url = f"http://127.0.0.1:{port}/api/ledger/jobs?limit=10000"
    found = list[str]()
    while url:
        answer = requests.get(url, timeout=60)
        found += [job["id"] for job in answer.json() if job["experiment"] == "ndt"]
        url = answer.links.get("next", {}).get("url", "")
    print(f"| jobs given out to 32 clients, all different | {len(set(found))} of {len(found)} |")


def page(port: int) -> str:
    """Return the times to the first and to the last byte of the status page."""
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        begun = time.perf_counter()
        connection.sendall(b"GET /status HTTP/1.1\r\nHost: ledger\r\nConnection: close\r\n\r\n")
        size, first = 0, 0.0
        while piece := connection.recv(65536):
            size += len(piece)
            first = first or time.perf_counter() - begun
        whole = time.perf_counter() - begun
    return f"first byte {first * 1000:.0f} ms, whole {whole * 1000:.0f} ms, {size / 1e6:.1f} MB"


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
        print(f"| start with {jobs:,} jobs of 6 states: status, s | {done.stdout.strip()} |")


def main() -> None:
    """Print the tables."""
    print(f"| {CONNECTIONS} connections | rate | p50 ms | p95 ms | p99 ms | not 200 |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        measure_calls(f"sqlite:///{home}/tracker.db", home, "SQLite")
        measure_start(home)
        (home / "postgresql").mkdir()
        with postgres(home / "postgresql") as server:
            measure_calls(server.url("bench"), home, "PostgreSQL")
