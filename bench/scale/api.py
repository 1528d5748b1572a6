"""Measure the API under load, and with many jobs of one caller."""

from __future__ import annotations

import http.client
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from bench.scale.load import Done, Load, run
from bench.scale.neutral import LATENCY_S
from bench.scale.rows import Bench, Row, names, p95, progress, service
from tests.acceptance.service import RunningService

CLIENTS = 50
PROCESSES = 1  #: SQLite has one writer at a time; writes of one process are committed together
OPEN_S, CLOSED_S = 20.0, 15.0
LISTED = 10_000
ROUNDS = 5


def under_load(bench: Bench) -> Iterator[Row]:
    """Yield the rows of posts of one id.

    Each client is a user of its own: one user may ask 600 times a minute.
    """
    topology = bench.gateway.topology("load")
    with service(topology, bench.home / "load", TRACKER_SERVE__PROCESSES=PROCESSES) as running:
        rate = 100.0
        for what, bar, per_second, seconds in (
            (f"{rate:.0f} requests/s in all", "p95 ≤ 50 ms beyond the gateway's", rate, OPEN_S),
            ("closed loop", "≥ 300 requests/s, no errors", None, CLOSED_S),
        ):
            users = [f"{what.split()[0]}{name}" for name in names(CLIENTS)]
            before = bench.gateway.count(topology)
            done = _put(bench, running, users, seconds, per_second)
            count = bench.gateway.count(topology).since(before)
            beyond = p95(done.seconds) - LATENCY_S
            progress(f"  {what}: {done.per_second:.0f}/s, {Counter(done.errors)}")
            is_fast = beyond <= 0.05 if per_second else done.per_second >= 300
            yield Row(
                f"`POST track` of one id, {CLIENTS} clients, {what}, {PROCESSES} process",
                bar,
                f"p95 {1000 * beyond:.0f} ms beyond; {done.per_second:.0f} requests/s, "
                f"{len(done.errors)} errors",
                is_met=is_fast and not done.errors,
                per_minute=count.per_minute,
            )


def _put(
    bench: Bench,
    running: RunningService,
    users: list[str],
    seconds: float,
    per_second: float | None,
) -> Done:
    place = urlsplit(running.url)
    ids = bench.gateway.start(int(seconds * (per_second or 700)), users)
    return run(Load(str(place.hostname), int(place.port or 0), users, ids, seconds, per_second))


def listing(bench: Bench) -> Iterator[Row]:
    """Yield the row of the list of tracked jobs."""
    topology = bench.gateway.topology("listing")
    # The worker is stopped, so that it sends no requests that would be counted.
    with service(topology, bench.home / "listing", TRACKER_POLLING__INTERVAL_S=3600) as running:
        running.track(*bench.gateway.start(LISTED, ["guest"]))
        running.get("jobs/tracking?limit=1")
        time.sleep(2)
        before = bench.gateway.count(topology)
        rounds = [_first_byte(running) for _ in range(ROUNDS)]
        count = bench.gateway.count(topology).since(before)
    first, last, length = (sorted(each)[ROUNDS // 2] for each in zip(*rounds, strict=True))
    yield Row(
        f"`GET /api/jobs/tracking`, {LISTED:,} jobs of the caller, median of {ROUNDS}",
        "first byte ≤ 200 ms, no gateway request",
        f"first byte {1000 * first:.0f} ms, last {1000 * last:.0f} ms, {length / 1e6:.1f} MB; "
        f"{count.requests} requests",
        is_met=first <= 0.2 and not count.requests,
        per_minute=count.per_minute,
    )


def _first_byte(running: RunningService) -> tuple[float, float, int]:
    """Return the seconds to the first byte of the body and to the last, and its length."""
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=60)
    headers = {"Authorization": f"Basic {b64encode(b'guest:guest-password').decode()}"}
    began = time.perf_counter()
    connection.request("GET", "/api/jobs/tracking", headers=headers)
    answer = connection.getresponse()
    length = len(answer.read(1))
    first = time.perf_counter() - began
    length += len(answer.read())
    last = time.perf_counter() - began
    connection.close()
    if answer.status != 200:
        raise AssertionError(f"jobs/tracking answered {answer.status}")
    return first, last, length
