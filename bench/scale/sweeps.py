"""Measure many running jobs: the age of their states, and the cost of following them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from bench.scale.neutral import Count, NeutralGateway, Topology
from bench.scale.processes import cpu_s, pss_mib, worker_of
from bench.scale.rows import Bench, Row, names, p95, progress, service, service_identity, track_all
from tests.acceptance.service import RunningService
from tests.waiting import until

_SETTLE_S = 300


@dataclass(frozen=True)
class Seen:
    """The figures of a service that follows running jobs."""

    age_s: float  #: 95th percentile over all jobs and the whole time
    oldest_s: float
    count: Count
    jobs: int
    worker_cpu: float  #: part of one core
    worker_mib: float
    all_mib: float
    job_rows: int  #: rows of jobs that were written

    @property
    def requests_a_sweep(self) -> float:
        """Return the requests for one state of every job."""
        return self.count.requests * self.jobs / max(1, self.count.states)

    @property
    def summary(self) -> str:
        """Return ages and costs in words."""
        return (
            f"p95 {self.age_s:.1f} s (oldest {self.oldest_s:.1f}); {self.requests_a_sweep:.0f} "
            f"requests for one state of every job; worker {100 * self.worker_cpu:.0f} % of a core"
        )


def ages(gateway: NeutralGateway, topology: Topology, jobs: int) -> list[float]:
    """Return the ages of the states that the tracker has of the last jobs, in seconds."""
    now, instants = time.time(), gateway.asked_at(topology)
    return [now - instant for instant in instants[-jobs:]]


def first_look(gateway: NeutralGateway, topology: Topology, jobs: int) -> None:
    """Wait until every job was polled once more."""
    posted = time.time()
    until(lambda: min(gateway.asked_at(topology)[-jobs:]) > posted, seconds=_SETTLE_S)
    progress(f"  a first look at all took {time.time() - posted:.0f} s")


def follow(
    bench: Bench, topology: Topology, running: RunningService, jobs: int, seconds: float
) -> Seen:
    """Wait until every job was polled once more, then measure for some time."""
    gateway, worker = bench.gateway, worker_of(running)
    first_look(gateway, topology, jobs)
    count_writes(running)
    before, cpu, began = gateway.count(topology), cpu_s(worker), time.monotonic()
    seen: list[float] = []
    while time.monotonic() - began < seconds:
        time.sleep(seconds / 25)
        seen += ages(gateway, topology, jobs)
    spent = cpu_s(worker) - cpu
    return Seen(
        p95(seen),
        max(seen),
        gateway.count(topology).since(before),
        jobs,
        spent / (time.monotonic() - began),
        pss_mib([worker]),
        pss_mib(running.processes()),
        written(running),
    )


def count_writes(running: RunningService) -> None:
    """Make the database count how many rows of jobs are written from now on."""
    with closing(sqlite3.connect(f"{running.state_dir}/tracker.db", timeout=30)) as connection:
        connection.executescript(
            """
            CREATE TABLE written (rows INTEGER);
            INSERT INTO written VALUES (0);
            CREATE TRIGGER of_jobs AFTER UPDATE ON jobs
                BEGIN UPDATE written SET rows = rows + 1; END;
            """
        )


def written(running: RunningService) -> int:
    """Return how many rows of jobs were written since `count_writes`."""
    return int(running.query("SELECT rows FROM written")[0][0])


def own_identities(bench: Bench) -> Iterator[Row]:
    """Yield the row of 10,000 jobs of 20 users, and the row of the memory of all processes."""
    topology, users = bench.gateway.topology("ten-thousand"), names(20)
    with service(topology, bench.home / "own") as running:
        track_all(running, bench.gateway.start(10_000, users), users)
        seen = follow(bench, topology, running, 10_000, 50)
    yield _ten_thousand("10,000 running jobs of 20 users, one worker", seen)
    yield Row(
        "all processes of `tracker run`, 10,000 tracked jobs",
        "≤ 250 MB PSS",
        f"{seen.all_mib * 1.048576:.0f} MB, {seen.worker_mib * 1.048576:.0f} of them the worker",
        is_met=seen.all_mib * 1.048576 <= 250,
    )


def service_identities(bench: Bench) -> Iterator[Row]:
    """Yield the row of 10,000 jobs of 2,000 users that one identity asks about."""
    topology, users = bench.gateway.topology("two-thousand-users"), names(2000)
    with service(topology, bench.home / "service", **service_identity(bench.home)) as running:
        track_all(running, bench.gateway.start(10_000, users), users)
        seen = follow(bench, topology, running, 10_000, 50)
    yield _ten_thousand("10,000 running jobs of 2,000 users, service polling identity", seen)


def _ten_thousand(what: str, seen: Seen) -> Row:
    return Row(
        what,
        "p95 ≤ 15 s old; ≤ 200 requests (the peer: 10,000); worker ≤ 30 % of one core",
        seen.summary,
        is_met=seen.age_s <= 15 and seen.requests_a_sweep <= 200 and seen.worker_cpu <= 0.3,
        per_minute=seen.count.per_minute,
    )


def hundred_thousand(bench: Bench) -> Iterator[Row]:
    """Yield the row of 100,000 jobs."""
    topology, users = bench.gateway.topology("hundred-thousand"), names(100)
    with service(topology, bench.home / "hundred", **service_identity(bench.home)) as running:
        track_all(running, bench.gateway.start(100_000, users), users)
        seen = follow(bench, topology, running, 100_000, 120)
    megabytes = seen.worker_mib * 1.048576
    yield Row(
        "100,000 running jobs, service polling identity, one worker",
        "p95 ≤ 60 s old; no rows of jobs written; worker ≤ 500 MB PSS",
        f"{seen.summary}, {megabytes:.0f} MB; {seen.job_rows} rows of jobs written",
        is_met=seen.age_s <= 60 and not seen.job_rows and megabytes <= 500,
        per_minute=seen.count.per_minute,
    )
