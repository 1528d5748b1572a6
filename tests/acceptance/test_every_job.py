"""Everything that a job started is found and followed, and the logs of it are saved."""

from __future__ import annotations

import pytest

from tests.acceptance.service import RunningService
from tests.acceptance.test_main_way import assert_all_logs_are_saved
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
        seconds=120,
    )


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
        lambda: service.get(f"job/{coordinator}").json()["children"],
        lambda told: {each["status"] for each in told} == {"SUCCEEDED", "KILLED"},
    )
    assert len(children) == 3
    [failed] = [each["id"] for each in children if each["status"] == "KILLED"]
    assert_all_logs_are_saved(service, stand, failed)
    for job in (coordinator, *(each["id"] for each in children)):
        until(lambda job=job: service.live_tasks(job) == 0)


def test_a_coordinator_that_is_posted_when_it_has_ended_tells_of_all_its_workflows(
    service: RunningService, stand: Stand
) -> None:
    coordinator = stand.start("daily")
    wait_for_end(stand, coordinator)

    service.track(coordinator)

    until(lambda: service.live_tasks(coordinator) == 0)
    told = service.get(f"job/{coordinator}").json()["children"]
    assert sorted(each["status"] for each in told) == ["KILLED", "SUCCEEDED", "SUCCEEDED"]
    [failed] = [each["id"] for each in told if each["status"] == "KILLED"]
    assert_all_logs_are_saved(service, stand, failed)
