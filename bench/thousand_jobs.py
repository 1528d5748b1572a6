"""Measure the cost of a thousand running jobs, with a gateway that takes 20 ms for a request."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.service import InstalledService
from tests.stands import SandboxStand, sandbox_stand
from tests.waiting import until

JOBS = 1000
ROUNDS = 5
LATENCY_S = 0.02


def post_rounds(service: InstalledService, stand: SandboxStand) -> Iterator[tuple[float, int]]:
    """Post a thousand ids that nobody tracks yet; yield seconds and requests for each round."""
    service.get("jobs/tracking")  # has the caller verified
    for _ in range(ROUNDS):
        jobs = [stand.start("sleep") for _ in range(JOBS)]
        stand.server.requests.clear()
        began = time.perf_counter()
        service.track(*jobs)
        yield time.perf_counter() - began, len(stand.server.requests)


def look(service: InstalledService, stand: SandboxStand) -> tuple[float, int]:
    """Wait until all jobs of one user are polled once; return the seconds and the requests."""
    oldest = "SELECT min(polled_at) FROM jobsets"
    until(lambda: service.query(oldest)[0][0])
    before = service.query(oldest)
    until(lambda: service.query(oldest) > before)
    stand.server.requests.clear()
    seen = service.query(oldest)
    until(lambda: stand.server.requests)
    began = time.perf_counter()
    until(lambda: service.query(oldest) > seen)
    return time.perf_counter() - began, len(stand.server.requests)


def main() -> None:
    """Print the table."""
    rows = []
    with sandbox_stand(LATENCY_S) as stand, tempfile.TemporaryDirectory() as home:
        quiet = InstalledService(stand, Path(home) / "post", TRACKER_POLLING__INTERVAL_S=3600)
        rounds = list(post_rounds(quiet, stand))
        quiet.end()
        seconds = [each for each, _ in rounds]
        rows.append(
            (
                f"POST of {JOBS:,} running ids, median of {ROUNDS}",
                f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})",
                max(requests for _, requests in rounds),
            )
        )
        service = InstalledService(stand, Path(home) / "look", TRACKER_POLLING__INTERVAL_S=5)
        service.track(*[stand.start("sleep", "sam") for _ in range(JOBS)], user="sam")
        spent, requests = look(service, stand)
        service.end()
        rows.append((f"one look at {JOBS:,} running jobs", f"{spent:.2f} s", requests))
    print(
        f"| at {LATENCY_S * 1000:.0f} ms a request | time | gateway requests |\n| --- | --- | --- |"
    )
    for what, spent_text, requests in rows:
        print(f"| {what} | {spent_text} | {requests} |")
