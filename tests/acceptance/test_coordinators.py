"""Coordinators are followed to their own end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.conftest import Run
from tests.stands import RealStand
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

COORDINATOR = """\
<coordinator-app name="daily" frequency="1440" start="{start}" end="{end}" timezone="UTC"
                 xmlns="uri:oozie:coordinator:0.4">
  <action><workflow><app-path>{workflow}</app-path></workflow></action>
</coordinator-app>
"""


def start_coordinator(real: RealStand) -> str:
    """Start a coordinator whose one action runs the workflow `sleep`."""
    client = real.client()
    real.upload(client, "sleep")
    now = datetime.now(UTC)
    home = f"{client.cluster['namenode']}/user/guest"
    definition = COORDINATOR.format(
        start=(now - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%MZ"),
        end=(now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%MZ"),
        workflow=f"{home}/sleep",
    )
    client.create("/user/guest/endless/coordinator.xml", definition.encode()).expect(201)
    document = client.configuration(
        "sleep", **{"oozie.coord.application.path": f"{home}/endless"}
    ).replace(b"oozie.wf.application.path", b"workflowPath")
    answer = client.ask(
        "POST", "oozie/v2/jobs?action=start", document, "application/xml;charset=UTF-8"
    )
    return str(answer.expect(201).json["id"])


def test_a_coordinator_is_followed_to_its_end(real: RealStand, run: Run) -> None:
    service = run(real)
    coordinator = start_coordinator(real)
    assert coordinator.endswith("-C")

    service.track(coordinator)

    service.wait_for(coordinator, "RUNNING")
    real.kill(coordinator)
    service.wait_for(coordinator, "KILLED")
    until(lambda: service.live_tasks(coordinator) == 0)
    assert service.get(f"job/{coordinator}").json()["name"] == "daily"


def test_an_action_of_a_coordinator_is_the_workflow_that_it_starts(
    real: RealStand, run: Run
) -> None:
    service = run(real)
    coordinator = start_coordinator(real)
    action = f"{coordinator}@1"

    # Oozie materialises the action a moment after it has taken the coordinator.
    until(lambda: service.post([action]).status_code == 200)

    until(lambda: service.get(f"job/{action}").json()["id"].endswith("-W"))
    workflow = service.get(f"job/{action}").json()
    assert (workflow["parent-id"], workflow["name"]) == (action, "sleep")
    real.kill(coordinator)
    service.wait_for(workflow["id"], "KILLED")
    assert service.get(f"job/{coordinator}@99").status_code == 404
