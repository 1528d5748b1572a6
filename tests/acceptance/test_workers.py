"""Several workers on one database share the jobs, and take over from one that dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.acceptance.conftest import Run
from tests.acceptance.service import Process, RunningService
from tests.stands import SandboxStand
from tests.waiting import until

pytestmark = pytest.mark.slow

LEASE_S = 3
USERS = ("guest", "sam")


@pytest.fixture
def service(run: Run, sandbox: SandboxStand) -> RunningService:
    return run(sandbox, TRACKER_RIGHTS__ADMINS='["guest"]', TRACKER_WORKER__LEASE_S=LEASE_S)


@pytest.fixture
def join(service: RunningService) -> Callable[[], Process]:
    """Starts another `tracker worker` on the database of the service."""
    return partial(service.command, "worker")


def holders(service: RunningService) -> dict[str, int]:
    """Return how many jobsets each living worker holds."""
    found = service.get("workers").json()
    return {worker["id"]: worker["jobsets"] for worker in found if worker["alive"]}


def of_process(service: RunningService, process: Process) -> str:
    """Return the id of the worker that is this process, once it has said that it lives."""

    def look() -> list[str]:
        return [worker for worker in holders(service) if f"-{process.pid}-" in worker]

    return until(look, bool)[0]


def looked_at(service: RunningService, worker: str) -> list[dict[str, Any]]:
    """Return the whole jobsets of a worker whose jobs were looked at."""
    found = service.get("jobsets", params={"worker": worker}).json()
    return [jobset for jobset in found if jobset["tasks"] == 100 and jobset["last-checked"]]


def track_endless(service: RunningService, sandbox: SandboxStand, jobsets: int) -> None:
    """Track as many endless jobs as fill this many jobsets of guest."""
    service.track(*(sandbox.start("sleep") for _ in range(100 * jobsets)))


def test_a_worker_that_joins_takes_its_share_and_nobody_stops(service, sandbox, join):
    track_endless(service, sandbox, 5)
    until(lambda: holders(service), lambda found: list(found.values()) == [5])

    joined = of_process(service, join())

    shares = until(lambda: holders(service), lambda found: found.get(joined, 0) > 0)
    assert sum(shares.values()) <= 5
    until(lambda: sorted(holders(service).values()), lambda found: found in ([1, 4], [2, 3]))


def test_the_jobs_of_a_killed_worker_are_looked_at_by_another_after_its_lease(
    service, sandbox, join
):
    track_endless(service, sandbox, 5)
    worker = join()
    killed = of_process(service, worker)
    until(lambda: holders(service), lambda found: found.get(killed, 0) > 0)
    its, *_ = until(lambda: looked_at(service, killed))

    os.kill(worker.pid, signal.SIGKILL)

    def taken_over() -> bool:
        [now] = [j for j in service.get("jobsets").json() if j["id"] == its["id"]]
        return now["worker"] not in (None, killed) and now["last-checked"] > its["last-checked"]

    until(taken_over)


def test_each_log_is_copied_once_however_many_workers_there_are(run, sandbox):
    # None is to be taken for dead, however long the machine holds it up.
    service = run(sandbox, TRACKER_RIGHTS__ADMINS='["guest"]', TRACKER_WORKER__LEASE_S=120)
    for worker in [service.command("worker") for _ in range(3)]:
        of_process(service, worker)
    jobs = {user: [sandbox.start("fail", user=user) for _ in range(10)] for user in USERS}

    for user in USERS:
        service.track(*jobs[user], user=user)

    for user in USERS:
        for job in jobs[user]:
            [copy] = service.wait_saved(job, user).values()
            assert copy["status"] == "SUCCEEDED"
    assert service.query("SELECT DISTINCT attempt FROM copies") == [(1,)], service.log.read_text()
    [[copies]] = service.query("SELECT count(*) FROM copies")
    assert copies == 20
