"""Everything that a job started is found and followed, and the logs of it are saved."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.acceptance.test_main_way import ON_THE_SANDBOX, assert_all_logs_are_saved
from tests.profiles import REAL_IF_LONG
from tests.stands import Stand, access
from tests.waiting import until
from tracker_service.domain.jobs import JobId, Observation

pytestmark = pytest.mark.slow


def wait_for_end(stand: Stand, job: str) -> Observation:
    """Wait until a job has ended, whether anybody tracks it or not."""
    oozie = access(stand).oozie
    return until(
        lambda: oozie.jobs([JobId(job)])[JobId(job)],
        lambda seen: seen.status.is_terminal,
    )


def children_of(service: RunningService, job: str) -> list[dict[str, Any]]:
    """Return the jobs below a coordinator or bundle, as the service tells of them."""
    return list(service.get(f"job/{job}").json()["children"])


@ON_THE_SANDBOX
def test_the_logs_of_all_tries_are_saved_of_a_job_that_is_posted_when_it_has_ended(
    service: RunningService, stand: Stand
) -> None:
    job = stand.start("retried")
    wait_for_end(stand, job)
    assert len(stand.yarn_applications(job)) == 2

    service.track(job)

    assert_all_logs_are_saved(service, stand, job)


def test_each_workflow_of_a_coordinator_is_followed_and_the_logs_of_those_that_fail_are_saved(
    service: RunningService, stand: Stand
) -> None:
    coordinator = stand.start("daily")

    service.track(coordinator)

    service.wait_for(coordinator, "DONEWITHERROR")
    children = until(
        partial(children_of, service, coordinator),
        lambda told: (
            sorted(each["status"] for each in told) == ["KILLED", "SUCCEEDED", "SUCCEEDED"]
        ),
    )
    [failed] = [each["id"] for each in children if each["status"] == "KILLED"]
    assert_all_logs_are_saved(service, stand, failed)
    for job in (coordinator, *(each["id"] for each in children)):
        until(partial(service.live_tasks, job), lambda count: count == 0)


@REAL_IF_LONG
def test_a_coordinator_that_is_posted_when_it_has_ended_tells_of_all_its_workflows(
    service: RunningService, stand: Stand
) -> None:
    coordinator = stand.shared("daily")
    wait_for_end(stand, coordinator)

    service.track(coordinator)

    until(lambda: service.live_tasks(coordinator) == 0)
    told = children_of(service, coordinator)
    assert sorted(each["status"] for each in told) == ["KILLED", "SUCCEEDED", "SUCCEEDED"]
    [failed] = [each["id"] for each in told if each["status"] == "KILLED"]
    assert_all_logs_are_saved(service, stand, failed)


@REAL_IF_LONG
def test_all_that_a_bundle_starts_is_followed(service: RunningService, stand: Stand) -> None:
    bundle = stand.start("bundle")

    service.track(bundle)

    service.wait_for(bundle, "DONEWITHERROR")
    coordinators = until(
        partial(children_of, service, bundle),
        lambda told: [each["status"] for each in told] == ["DONEWITHERROR"] * 2,
    )
    for coordinator in coordinators:
        told = until(
            partial(children_of, service, coordinator["id"]),
            lambda told: len(told) == 3 and "RUNNING" not in [each["status"] for each in told],
        )
        [failed] = [each["id"] for each in told if each["status"] == "KILLED"]
        assert_all_logs_are_saved(service, stand, failed)


def test_the_logs_of_a_run_after_the_first_are_saved_beside_those_of_the_first(
    run: Run, stand: Stand
) -> None:
    service = run(stand, TRACKER_POLLING__RERUN_LOOK_S=2)
    other = stand.start("sleep")  # a job that goes on, so that the credential is kept
    job = stand.start("fail")
    service.track(other, job)
    [first] = service.wait_saved(job)
    old = service.get(f"job/{job}/logs/{first}").content

    stand.rerun(job, "fail")

    until(lambda: service.get(f"job/{job}").json()["run"], lambda seen: seen == 1)
    assert_all_logs_are_saved(service, stand, job)
    copies = service.get(f"job/{job}/logs/status").json()["jobs"]
    assert len(copies) == 2
    assert service.get(f"job/{job}/logs/{first}").content == old
    stand.kill(other)
