"""Measure several workers on PostgreSQL: none repeats another's work, and the dead are replaced."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.scale.neutral import LATENCY_S, Count, NeutralGateway, Topology
from bench.scale.rows import Bench, Row, names, progress, service, track_all
from bench.scale.sweeps import first_look
from tests.acceptance.service import Process, RunningService
from tests.databases import Databases, NoDatabase, postgres
from tests.stands import SandboxStand, sandbox_stand
from tests.waiting import until
from tracker_service.settings import WorkerSettings

WORKERS = (1, 2, 4)
JOBS, USERS = 4000, 20
FAILING = 50  #: jobs whose logs are copied
WATCH_S = 30.0
LEASE_S = WorkerSettings().lease_s


@dataclass
class _Followed:
    """The figures of some workers."""

    count: Count
    taken_over_s: float = 0.0  #: after one of them was killed
    copied: Counter[str] = field(default_factory=Counter)  #: how often each log was published


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the row of 1, 2 and 4 workers."""
    try:
        with postgres(bench.home) as databases:
            seen = {workers: _with(workers, bench, databases) for workers in WORKERS}
    except NoDatabase as error:
        progress(f"  left out: {error}")
        return
    rates = [seen[workers].count.per_minute for workers in WORKERS]
    more = max(rates) / rates[0] - 1
    twice = sum(times - 1 for each in seen.values() for times in each.copied.values())
    copied = sum(len(each.copied) for each in seen.values())
    slowest = max(each.taken_over_s for each in seen.values())
    yield Row(
        f"{', '.join(map(str, WORKERS))} workers on PostgreSQL, {JOBS:,} jobs of {USERS} users",
        f"no log copied twice; ≤ 10 % more requests; polled again ≤ {LEASE_S + 5:.0f} s after a "
        "kill",
        f"{copied} logs copied, {twice} of them twice; {100 * more:+.0f} % requests; all polled "
        f"again after {slowest:.1f} s",
        is_met=twice == 0 and more <= 0.1 and slowest <= LEASE_S + 5,
        per_minute=max(rates),
    )


def _with(workers: int, bench: Bench, databases: Databases) -> _Followed:
    progress(f"  {workers} workers")
    topology = bench.gateway.topology(f"with-{workers}")
    users, url = names(USERS), databases.url(f"following_{workers}")
    home = bench.home / f"following-{workers}"
    with (
        service(topology, home, TRACKER_STORE__URL=url) as running,
        _more(running, workers - 1) as others,
    ):
        track_all(running, bench.gateway.start(JOBS, users), users)
        first_look(bench.gateway, topology, JOBS)
        time.sleep(10)  # until every worker has its share
        before = bench.gateway.count(topology)
        time.sleep(WATCH_S)
        seen = _Followed(bench.gateway.count(topology).since(before))
        progress(f"  {seen.count.per_minute:,.0f} requests a minute, {seen.count.kinds}")
        if others:
            seen.taken_over_s = _taken_over(bench.gateway, topology, others[0])
    seen.copied = _copied(workers, bench, databases)
    return seen


@contextmanager
def _more(running: RunningService, count: int) -> Iterator[list[Process]]:
    """Run more workers on the database of a service for the length of the block."""
    with ExitStack() as stack:
        started: list[Process] = []
        for _ in range(count):
            worker = running.command("worker")
            stack.callback(worker.wait)
            stack.callback(worker.terminate)
            started.append(worker)
        yield started


def _taken_over(gateway: NeutralGateway, topology: Topology, worker: Process) -> float:
    """Kill a worker; return the seconds until the other workers have polled every job."""
    worker.kill()
    killed = time.time()
    all_told = until(
        lambda: list(gateway.asked_at(topology)[-JOBS:]),
        lambda instants: min(instants) > killed + LATENCY_S,
        seconds=2 * LEASE_S + 20,
    )
    del all_told
    taken_s = time.time() - killed
    progress(f"  after a kill all were looked at within {taken_s:.1f} s")
    return taken_s


def _copied(workers: int, bench: Bench, databases: Databases) -> Counter[str]:
    """Make jobs fail; return how often each of their logs was published."""
    url = databases.url(f"copying_{workers}")
    with sandbox_stand(LATENCY_S) as stand, ExitStack() as stack:
        home = bench.home / f"copying-{workers}"
        running = stack.enter_context(service(stand, home, TRACKER_STORE__URL=url))
        stack.enter_context(_more(running, workers - 1))
        jobs = [stand.start("fail") for _ in range(FAILING)]
        running.track(*jobs)
        until(lambda: len(_named(stand)), lambda logs: logs >= FAILING, seconds=180)
        for job in jobs:
            running.wait_for(job, "KILLED", "FAILED")
        time.sleep(5)  # a second copy would come now
        return _named(stand)


def _named(stand: SandboxStand) -> Counter[str]:
    """Return how often each log was published."""
    return Counter(
        seen.path
        for seen in list(stand.server.requests)
        if seen.method == "PUT" and "op=RENAME" in seen.query and ".log.part" in seen.path
    )
