"""Measure how long it takes to save a log, by a workflow and directly, and what else it costs.

On the real cluster, through Knox with TLS. Both ways copy the same logs and take turns.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests

from bench.big_log import memory
from tests.acceptance.service import InstalledService
from tests.cluster import through
from tests.stands import RealStand, real_stand
from tests.waiting import until

ROUNDS = 5
TOGETHER = 8
MANY = 200
ENDS = 20
_LINE = "the nightly import has read row"
_uploaded: set[str] = set()


def failing_job(stand: RealStand, megabytes: float = 0) -> str:
    """Start a job that writes a log of this length to its standard error, and fails."""
    client = stand.client()
    name, rows = f"fail-{megabytes}", int(megabytes * 1e6 / 40) or 20
    workflow = (through.WORKFLOWS / "fail" / "workflow.xml").read_bytes()
    script = f"#!/bin/bash\nseq -f '{_LINE} %.0f' 1 {rows} >&2\nexit 7\n"
    if name not in _uploaded:  # to change a script that some job is about to take breaks that job
        client.create(f"/user/guest/{name}/workflow.xml", workflow).expect(201)
        client.create(f"/user/guest/{name}/work.sh", script.encode()).expect(201)
        _uploaded.add(name)
    return client.submit(name)


@dataclass(frozen=True)
class Way:
    """A service that copies in one way only."""

    name: str
    service: InstalledService

    def save(self, jobs: Sequence[str]) -> float:
        """Copy the logs of ended jobs again.

        Returns:
            seconds from the moment when the first copy could start to the last rename.
        """
        asked = _now_ms()
        answer = requests.post(
            f"{self.service.url}/api/task/copy-logs/?refresh=true",
            json=list(jobs),
            auth=("guest", "guest-password"),
            timeout=60,
        )
        answer.raise_for_status()

        def times() -> list[tuple[int, int]]:
            return self.service.query(
                "SELECT started_at, saved_at FROM copies WHERE status = 'SUCCEEDED'"
                " AND started_at > ? AND saved_at > ?",
                (asked, asked),
            )

        done = until(times, lambda rows: len(rows) == len(jobs), seconds=900)
        return (max(saved for _, saved in done) - min(started for started, _ in done)) / 1000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def settled(stand: RealStand, jobs: Sequence[str]) -> None:
    """Wait until jobs have ended and YARN has collected their logs."""
    client = stand.client()
    for job in jobs:
        client.wait(job, seconds=900)
    for job in jobs:
        client.wait_logs(client.application_of(job))


def median_of(values: Sequence[float]) -> str:
    """Return a median with its range."""
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def compare(stand: RealStand, ways: Sequence[Way]) -> Iterator[str]:
    """Yield a row for each of the three kinds of work that both ways do."""
    work: dict[str, list[str]] = {
        "small log": [failing_job(stand)],
        "100 MB": [failing_job(stand, 100)],
        f"{TOGETHER} small logs together": [failing_job(stand) for _ in range(TOGETHER)],
    }
    settled(stand, [job for jobs in work.values() for job in jobs])
    for name, jobs in work.items():
        seconds: dict[str, list[float]] = {way.name: [] for way in ways}
        for _ in range(ROUNDS):
            for way in ways:
                seconds[way.name].append(way.save(jobs))
        by_workflow, direct = (seconds[way.name] for way in ways)
        share = statistics.median(by_workflow) / statistics.median(direct)
        yield f"| {name} | {median_of(by_workflow)} | {median_of(direct)} | 1/{share:.1f} |"


def ends(stand: RealStand, service: InstalledService) -> Iterator[str]:
    """Yield rows: how long it takes from the end of a job to its saved log, part by part."""
    parts: dict[str, list[float]] = {"detect": [], "aggregate": [], "copy": [], "all": []}
    for _ in range(ENDS):
        ended, *instants = one_end(stand, service)
        for part, begin, end in zip(parts, [ended, *instants], instants, strict=False):
            parts[part].append(max(end - begin, 0.0))
        parts["all"].append(instants[-1] - ended)
    for part, seconds in parts.items():
        p95 = sorted(seconds)[int(0.95 * len(seconds)) - 1]
        yield f"| {part} | {median_of(seconds)} | {p95:.2f} s |"


def one_end(stand: RealStand, service: InstalledService) -> list[float]:
    """Return when a job ended, when that was seen, when its copy began, and when it was saved."""
    client, job = stand.client(), failing_job(stand)
    service.track(job)
    until(lambda: client.state(job), lambda state: state in through.ENDED, seconds=120)
    ended = time.time()
    service.wait_saved(job)
    times = (
        "SELECT copies.created_at, copies.started_at, copies.saved_at FROM copies"
        " JOIN tasks ON tasks.id = copies.task_id JOIN jobs ON jobs.id = tasks.job_id"
        " WHERE jobs.external_id = ?"
    )
    [instants] = service.query(times, (job,))
    return [ended, *(milliseconds / 1000 for milliseconds in instants)]


def extra_memory(stand: RealStand, service: InstalledService, megabytes: float) -> float:
    """Return the most PSS of the worker while it copies a log of this length, in MiB."""
    job = failing_job(stand, megabytes)
    settled(stand, [job])
    pid = _worker(service)
    seen: list[float] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            seen.append(memory([pid]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    Way("direct", service).save([job])
    is_over.set()
    watcher.join()
    return max(seen)


def _worker(service: InstalledService) -> int:
    worker = service.child("worker")
    assert worker, "there is no worker"
    return worker


def latencies(service: InstalledService, job: str, is_over: Callable[[], bool]) -> list[float]:
    """Ask about a job again and again until it is over; return the seconds of each answer."""
    seconds = []
    while not is_over():
        began = time.perf_counter()
        service.get(f"job/{job}/status")
        seconds.append(time.perf_counter() - began)
        time.sleep(0.02)
    return seconds


def p95_ms(seconds: Sequence[float]) -> float:
    """Return the 95th percentile in milliseconds."""
    return 1000 * sorted(seconds)[int(0.95 * len(seconds))]


def many(stand: RealStand, service: InstalledService) -> Iterator[str]:
    """Yield a row: what becomes of many failed jobs that are posted at once."""
    jobs: list[str] = []
    for _ in range(MANY // 20):
        batch = [failing_job(stand) for _ in range(20)]
        settled(stand, batch)
        jobs += batch
    end = time.monotonic() + 10
    quiet = p95_ms(latencies(service, jobs[0], lambda: time.monotonic() > end))
    running = "SELECT count(*) FROM copies WHERE status = 'RUNNING'"
    saved = "SELECT count(*) FROM copies WHERE status = 'SUCCEEDED' AND saved_at > ?"
    most, began = 0, time.time()
    service.track(*jobs)

    def is_over() -> bool:
        nonlocal most
        most = max(most, service.query(running)[0][0])
        return service.query(saved, (began * 1000,))[0][0] >= MANY

    busy = p95_ms(latencies(service, jobs[0], is_over))
    took = time.time() - began
    yield (
        f"| {MANY} failed jobs at once | all saved after {took:.1f} s | p95 of the API "
        f"{quiet:.1f} ms before, {busy:.1f} ms meanwhile | at most {most} copies begun |"
    )


def settings(**more: object) -> Mapping[str, object]:
    """Return settings of a service that polls as usual."""
    return {"TRACKER_POLLING__INTERVAL_S": 5, "TRACKER_WORKER__LEASE_S": 30, **more}


def main() -> None:
    """Measure, and print the tables."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stand = stack.enter_context(real_stand())

        def run(name: str, **more: object) -> InstalledService:
            service = InstalledService(stand, home / name, **settings(**more))
            stack.callback(service.end)
            return service

        ways = [
            Way("workflow", run("workflow", TRACKER_COPYING__STRATEGY="workflow")),
            Way("direct", run("direct", TRACKER_COPYING__STRATEGY="direct")),
        ]
        print(f"| {ROUNDS} rounds | workflow | direct | direct is |\n| --- | --- | --- | --- |")
        for row in compare(stand, ways):
            print(row, flush=True)
        ways[0].service.end()
        usual = run("usual")
        print(f"\n| from a job's end, {ENDS} jobs | median | p95 |\n| --- | --- | --- |")
        for row in ends(stand, usual):
            print(row, flush=True)
        usual.end()
        big, small = (extra_memory(stand, ways[1].service, mb) for mb in (2048, 2))
        print(f"\nPSS of the worker: {small:.1f} MiB with a log of 2 MB, {big:.1f} with 2 GB")
        ways[1].service.end()
        print("\n| | | | |\n| --- | --- | --- | --- |")
        for row in many(stand, run("many")):
            print(row, flush=True)
