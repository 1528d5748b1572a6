from __future__ import annotations

import pytest


@pytest.fixture
def coordinator(guest, cluster) -> str:
    [job_id] = [job_id for job_id, _ in cluster.listing() if job_id.endswith("-C")]
    return job_id


def full(guest, coordinator):
    return guest.ask(f"oozie/v2/job/{coordinator}?show=info&len=10").json


def test_a_coordinator_starts_a_workflow_for_each_day(guest, coordinator):
    told = full(guest, coordinator)

    assert [action["nominalTime"] for action in told["actions"]] == [
        f"{day}, 0{number} Nov 2026 00:00:00 GMT"
        for number, day in enumerate(("Sun", "Mon", "Tue"), 1)
    ]
    for number, action in enumerate(told["actions"], 1):
        workflow = guest.info(action["externalId"])
        assert workflow["parentId"] == action["id"] == f"{coordinator}@{number}"
        assert (workflow["appName"], workflow["externalId"]) == ("daily", None)


def test_a_coordinator_begins_when_it_is_asked_about(guest, coordinator, clock):
    clock.advance(3600)
    listed = guest.ask("oozie/v2/jobs?jobtype=coord").json["coordinatorjobs"]
    assert [job["status"] for job in listed] == ["PREP"]

    clock.advance(1)

    assert guest.ask(f"oozie/v2/job/{coordinator}?show=status").json == {"status": "RUNNING"}
    assert {action["status"] for action in full(guest, coordinator)["actions"]} == {"RUNNING"}


def test_a_coordinator_of_which_an_action_fails_is_done_with_errors(guest, coordinator, clock):
    full(guest, coordinator)
    clock.advance(15.5)
    before = full(guest, coordinator)

    clock.advance(1)

    told = full(guest, coordinator)
    assert (before["status"], told["status"]) == ("RUNNING", "DONEWITHERROR")
    assert [a["status"] for a in told["actions"]] == ["SUCCEEDED", "KILLED", "SUCCEEDED"]
    assert (told["coordJobId"], told["coordJobName"], told["total"]) == (
        coordinator,
        "coordinator",
        3,
    )


def test_without_a_length_version_2_leaves_the_actions_out(guest, coordinator):
    def actions(path):
        return [a["actionNumber"] for a in guest.ask(f"oozie/{path}").json["actions"]]

    assert actions(f"v2/job/{coordinator}") == []
    assert actions(f"v1/job/{coordinator}") == [1, 2, 3]
    assert actions(f"v2/job/{coordinator}?len=1&offset=2") == [2]


def test_an_action_is_told_alone(guest, coordinator):
    told = full(guest, coordinator)

    for action in told["actions"]:
        assert guest.ask(f"oozie/v2/job/{action['id']}").json == action
    unknown = guest.ask(f"oozie/v2/job/{coordinator}@4")
    assert (unknown.status_code, unknown.headers["oozie-error-code"]) == (400, "E0605")


@pytest.mark.parametrize(
    ("wanted", "count"),
    [("id={}", 1), ("id=x", 0), ("status=RUNNING;user=guest", 1), ("name=other", 0)],
)
def test_coordinators_are_filtered(guest, coordinator, wanted, count):
    full(guest, coordinator)

    found = guest.ask(f"oozie/v2/jobs?jobtype=coord&filter={wanted.format(coordinator)}").json

    assert found["total"] == len(found["coordinatorjobs"]) == count


def test_killing_a_coordinator_kills_its_workflows(guest, coordinator, clock):
    full(guest, coordinator)
    clock.advance(7)

    killed = guest.ask(f"oozie/v1/job/{coordinator}?action=kill", "PUT")

    assert (killed.status_code, killed.data) == (200, b"")
    told = full(guest, coordinator)
    assert told["status"] == "KILLED"
    assert [a["status"] for a in told["actions"]] == ["SUCCEEDED", "KILLED", "KILLED"]
