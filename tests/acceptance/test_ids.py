"""Ids as people and tools write them, from the pipe to the saved log."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Run
from tests.stands import SandboxStand
from tests.waiting import until
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.server import SandboxServer

pytestmark = pytest.mark.slow


def test_jobs_with_random_ids_are_followed_until_their_logs_are_saved(run: Run) -> None:
    with SandboxServer(Cluster(random_ids=True)) as server:
        stand = SandboxStand(server)
        service = run(stand)
        job = stand.start("fail")
        body = f"\ufeffjob: {job}\r\n".encode("utf-16-le")

        answer = service.post("", data=body)

        assert [each["id"] for each in answer.json()] == [job]
        service.wait_saved(job)


def test_an_action_of_a_coordinator_is_followed_from_its_waiting_to_its_workflow(
    run: Run,
) -> None:
    with SandboxServer(Cluster(random_ids=True)) as server:
        service = run(SandboxStand(server))
        coordinator = server.cluster.start_coordinator(runs_s=2.0, waits_s=5.0)
        action = f"{coordinator}@2"

        [answer] = service.post(
            action, headers={"Content-Type": "application/x-www-form-urlencoded"}
        ).json()

        assert (answer["id"], answer["status"]) == (action, "WAITING")
        until(lambda: service.get(f"job/{action}").json()["id"].endswith("-W"))
        workflow = service.get(f"job/{action}").json()
        assert workflow["parent-id"] == action
        until(lambda: service.get(f"job/{action}").json()["status"] == "KILLED")
        service.wait_saved(workflow["id"])
        assert coordinator not in {job["id"] for job in service.get("jobs/tracking").json()}
