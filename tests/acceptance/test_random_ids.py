"""A site whose Oozie makes random ids, and whose homes are not in `/user`."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Run
from tests.acceptance.test_coordinators import start_coordinator
from tests.stands import RealStand
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(scope="session")
def real(apart: RealStand) -> RealStand:
    return apart


def test_a_job_with_a_random_id_is_followed_and_its_log_is_saved_in_the_home_of_its_user(
    real: RealStand, run: Run
) -> None:
    service = run(real, TRACKER_COPYING__STRATEGY="workflow")  # `test_formats` has the direct way
    job = real.start("fail")
    assert job.count("-") > 4  # one that counts has four
    service.track(job)

    [(application, copy)] = service.wait_saved(job).items()

    assert copy["status"] == "SUCCEEDED", copy
    assert copy["path"] == f"/home/guest/WORK/logs/{job}/application_{application}.log"
    saved = service.get(f"job/{job}/logs/{application}").content
    assert saved == real.yarn_logs(f"application_{application}", "guest")
    assert service.get(f"job/{job}/cause").status_code == 200


def test_a_coordinator_with_a_random_id_and_its_actions_are_followed(
    real: RealStand, run: Run
) -> None:
    service = run(real)
    coordinator = start_coordinator(real)
    action = f"{coordinator}@1"
    service.track(coordinator)

    until(lambda: service.post([action]).status_code == 200)

    until(lambda: service.get(f"job/{action}").json()["id"].endswith("-W"))
    workflow = service.get(f"job/{action}").json()
    assert (workflow["parent-id"], workflow["name"]) == (action, "sleep")
    real.kill(coordinator)
    service.wait_for(workflow["id"], "KILLED")
    service.wait_for(coordinator, "KILLED")
    assert service.get(f"job/{coordinator}@99").status_code == 404
