"""Measure the Teraslice exporter: one large master, and many masters of which some hang."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any
from urllib.parse import urlsplit

from tests.acceptance.service import RunningService
from tests.waiting import until
from tracker_service import logging
from tracker_service.engine.clock import utc_now
from tracker_service.exporters import recording
from tracker_service.exporters.health import Health
from tracker_service.exporters.masters import TERASLICE, Master
from tracker_service.exporters.scraping import Scraper
from tracker_service.store import expositions, jobsets
from tracker_service.store.database import Store

CONTROLLERS = 5000
ROUNDS, PAGES = 9, 25
PAGE_BYTES = 10e6  #: no page without all controllers is so long
UPDATES = 1000
MASTERS, HANGING, INTERVAL_S = 200, 10, 30
WATCHED_ROUNDS = 5
_SCRAPED = bytearray(2**20)
_FORK = multiprocessing.get_context("fork")


def answers(controllers: int) -> dict[str, bytes]:
    """Return what a master with some controllers answers, by path."""
    ids = [
        {"ex_id": f"{n:08d}-9e85-480b-9a3e-{n:012d}", "job_id": f"{n:08d}-b9f4-4fa9-b68a-{n:012d}"}
        for n in range(controllers)
    ]
    numbers = ("workers_available", "workers_active", "workers_joined", "workers_reconnected")
    more = ("workers_disconnected", "job_duration", "failed", "subslices", "queued")
    last = ("slice_range_expansion", "processed", "slicers", "subslice_by_key")
    rows = [
        each
        | {"name": f"job-{n}"}
        | {name: n * place for place, name in enumerate((*numbers, *more, *last))}
        | {"started": "2026-11-22T03:16:32.552Z"}
        for n, each in enumerate(ids)
    ]
    stored = {
        "workers": 6,
        "slicers": 1,
        "operations": [{"_op": "reader", "_encoding": "json"}] * 12,
        "_status": "running",
        "_created": "2026-11-22T03:16:30.896Z",
        "_updated": "2026-11-22T03:16:32.561Z",
        "cpu": 1.5,
        "memory": 3221225472,
    }
    executions = [row | stored for row in ids]
    image = {"image": "registry.lan/teraslice:v0.70.0_1", "assignment": "worker"}
    pages = {
        f"/v1/ex?{begin}": [*executions[begin : begin + 1000]]
        for begin in range(0, controllers + 1000, 1000)
    }
    info = {"name": "large", "clustering_type": "kubernetes", "teraslice_version": "v0.70.0"}
    contents: dict[str, Any] = {
        "/": info,
        "/v1/cluster/controllers": rows,
        "/v1/cluster/state": {"node": {"active": [row | image for row in ids]}},
        "/v1/jobs": executions[:200],
        **pages,
    }
    return {path: json.dumps(content, indent=4).encode() for path, content in contents.items()}


class _Handler(BaseHTTPRequestHandler):
    """Answers for any number of masters, each below a prefix of its own: `/m17/v1/…`."""

    bodies: dict[str, bytes]
    arrivals: Queue[tuple[str, float]]

    def do_GET(self) -> None:
        master, _, path = self.path[1:].partition("/")
        path, _, query = f"/{path}".partition("?")
        if path == "/v1/cluster/controllers":
            self.arrivals.put((master, time.monotonic()))
        if master.startswith("hangs"):
            time.sleep(60)
            return
        body = self.bodies[f"{path}?{query.rpartition('=')[2]}" if path == "/v1/ex" else path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 500

    def handle_error(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Masters:
    """The address of some masters, and when each was asked for its controllers."""

    url: str
    arrivals: Queue[tuple[str, float]]

    def asked(self) -> list[tuple[str, float]]:
        """Return which master was asked when; what was returned once is gone."""
        found = []
        try:
            while True:
                found.append(self.arrivals.get(timeout=0.2))
        except Empty:
            return found


@contextmanager
def masters(controllers: int) -> Iterator[Masters]:
    """Serve masters with some controllers each, in a process of its own."""
    arrivals: Queue[tuple[str, float]] = _FORK.Queue()
    handler = type("Handler", (_Handler,), {"bodies": answers(controllers), "arrivals": arrivals})
    server = _Server(("127.0.0.1", 0), handler)
    process = _FORK.Process(target=server.serve_forever, daemon=True)
    process.start()
    yield Masters(f"http://127.0.0.1:{server.server_port}", arrivals)
    process.kill()
    process.join()
    server.server_close()


def resident_mb() -> float:
    """Return the memory of this process, in megabytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


class Updates:
    """Updates of one master that are recorded as a worker does."""

    def __init__(self, url: str, home: Path) -> None:
        self._store = Store(f"sqlite:///{home}/bench.db")
        self._store.upgrade()
        self._master = Master(
            name="large", url=url, display_url=url, interval_s=INTERVAL_S, timeout_s=INTERVAL_S
        )
        wanted = {"large": self._master.spec()}
        enrol = partial(expositions.enrol, kind=TERASLICE, wanted=wanted, now=utc_now())
        self._store.write(enrol)
        with self._store.begin() as connection:
            jobsets.claim(connection, "bench", [TERASLICE], 86400, 1)
            [held] = jobsets.held(connection, "bench")
            self._lease = held.lease
            [source] = expositions.of_jobset(connection, held.lease)
        self._task, self._scraper, self._health = source.id, Scraper(utc_now), Health()

    def one(self) -> float:
        """Update once; return the seconds of processor time."""
        began = time.process_time()
        found = self._scraper.update(self._master, self._health)
        self._health = found.health
        assert found.snapshot, found.health.errors
        recording.record(self._store, self._task, self._lease, self._master, found)
        return time.process_time() - began


@dataclass(frozen=True)
class Nowhere:
    """A gateway that nobody asks."""

    name: str = "nowhere"
    url: str = "http://127.0.0.1:9/gateway/nowhere"
    ca_file: Path | None = None


@contextmanager
def service(home: Path, wanted: Sequence[dict[str, Any]]) -> Iterator[RunningService]:
    """Run the service with some masters."""
    running = RunningService(
        Nowhere(), home / "state", TRACKER_EXPORTERS__TERASLICE=json.dumps(wanted)
    )
    try:
        yield running
    finally:
        running.end()


def page(url: str) -> tuple[float, int]:
    """Return the seconds of one page, and its bytes."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=60)
    began = time.perf_counter()
    connection.request("GET", "/metrics/teraslice")
    answer, length = connection.getresponse(), 0
    while read := answer.readinto(_SCRAPED):  # Prometheus keeps its buffer, too
        length += read
    took_s = time.perf_counter() - began
    connection.close()
    return took_s, length


def worked_s(process: int) -> float:
    """Return the seconds of processor time that a process has used."""
    times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def measure_pages(home: Path, wanted: Sequence[dict[str, Any]]) -> str:
    """Return the time of a page of the service, its size, and the processor time behind it."""
    with service(home, wanted) as running:
        until(lambda: page(running.url)[1] > PAGE_BYTES)
        [api] = running.processes(below=running.child("serve")) - {running.child("serve")}
        before = worked_s(api)
        found = [page(running.url) for _ in range(PAGES)]
        cpu_ms = 1000 * (worked_s(api) - before) / PAGES
    took = sorted(took_s for took_s, _ in found)
    size = f"{found[0][1] / 1e6:.0f} MB"
    quick, usual = 1000 * took[0], 1000 * statistics.median(took)
    return f"{usual:.0f} ms, at best {quick:.0f} ms ({size}, {cpu_ms:.0f} ms of processor time)"


def row(name: str, bar: str, original: str, ours: str) -> None:
    """Print a line of the table."""
    print(f"| {name} | {bar} | {original} | {ours} |", flush=True)


def measure_large(home: Path) -> None:
    """Measure updates, pages and memory with one large master."""
    of_large = f"{CONTROLLERS:,} controllers"
    with masters(CONTROLLERS) as large:
        updates = Updates(f"{large.url}/large", home)
        cpu_s = statistics.median(updates.one() for _ in range(ROUNDS))
        row(f"{of_large}: processor time of an update", "≤ 1 s", "", f"{cpu_s:.2f} s")
        ours = f"{4 + -(-CONTROLLERS // 1000)}"
        row(f"{of_large}: requests of an update", "", f"{4 + CONTROLLERS:,}", ours)
        wanted = {"name": "large", "url": f"{large.url}/large", "timeout": 30}
        row(f"{of_large}: a page", "≤ 300 ms", "", measure_pages(home, [wanted]))
        early = 0.0
        for number in range(1, UPDATES + 1):
            updates.one()
            early = resident_mb() if number == UPDATES // 10 else early
        both = f"{early:.0f} MB after {UPDATES // 10}, {resident_mb():.0f} MB after {UPDATES:,}"
        row(f"{of_large}: memory over {UPDATES:,} updates", "flat", "", both)


def lateness(asked: Sequence[tuple[str, float]]) -> list[float]:
    """Return how late each update was, against the earliest moments of its master."""
    late = []
    moments: dict[str, list[float]] = defaultdict(list)
    for master, at in asked:
        moments[master].append(at)
    for its in moments.values():
        usual = its[1:]  # the first comes soon after the start, and not at the usual moment
        ahead = [at - INTERVAL_S * n for n, at in enumerate(usual)]
        late += [each - min(ahead) for each in ahead]
    return late


def measure_many(home: Path) -> None:
    """Measure whether one worker scrapes many masters in time while some hang."""
    with masters(25) as many:
        wanted = [
            {"name": name, "url": f"{many.url}/{name}"}
            for n in range(MASTERS)
            for name in [f"hangs{n}" if n < HANGING else f"works{n}"]
        ]
        with service(home, wanted):
            time.sleep((WATCHED_ROUNDS + 1) * INTERVAL_S)
        asked = many.asked()
    late = lateness(asked)
    updates = len(asked) / MASTERS
    p95, worst = statistics.quantiles(late, n=20)[-1], max(late)
    name = f"{MASTERS} masters each {INTERVAL_S} s, {HANGING} of them hang, one worker: late, p95"
    row(name, "≤ 1 s", "", f"{p95:.2f} s (at most {worst:.2f} s, {updates:.1f} updates of each)")
    row("25 controllers: requests of an update", "", f"{4 + 25}", "5")


def main() -> None:
    """Print the table."""
    logging.configure("WARNING", "console")
    print("| figure | bar | original | ours |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as home:
        measure_many(Path(home))
    with tempfile.TemporaryDirectory() as home:
        measure_large(Path(home))
