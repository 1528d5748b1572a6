"""Runs of a coordinator that never became a workflow are told, with the reason."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from tests.unit.fakes import FakeOozie, action, details, job
from tests.unit.loopback_server import Reply
from tracker_service.domain.jobs import Action
from tracker_service.sources.oozie import Oozie
from tracker_service.store import children, jobs

DAILY = job(1, "C")
AUTH = {"auth": ("guest", "guest-password")}
GONE = Action(
    id=f"{DAILY}@1",
    name="1",
    type="coordinator-action",
    status="FAILED",
    error_code="E1005",
    error_message="Error: hdfs://nn/gone does not exist",
)


@pytest.fixture
def oozie(fake_cluster) -> FakeOozie:
    fake_cluster.oozie.has(details(DAILY, "RUNNING"))
    return fake_cluster.oozie


def kept_actions(following) -> list[Action]:
    with following.store.read() as connection:
        return jobs.actions_of(connection, jobs.latest(connection, [DAILY])[DAILY].key)


def why(client: FlaskClient, job_id: str = DAILY) -> str:
    answer = client.get(f"/api/job/{job_id}/cause", **AUTH)
    assert answer.status_code == 404
    return str(json.loads(answer.data)["detail"])


def test_a_run_that_failed_before_it_had_a_workflow_is_kept_with_its_error(following, oozie):
    oozie.never_started[DAILY] = [GONE]
    following.track_jobs(DAILY)
    following.look()
    oozie.has(details(DAILY, "FAILED"))

    following.look()

    assert kept_actions(following) == [GONE]
    assert following.tasks()[0].state == "copying"


def test_an_answer_without_runs_takes_none_away(following, oozie):
    oozie.never_started[DAILY] = [GONE]
    oozie.has(details(DAILY, "FAILED"))
    following.track_jobs(DAILY)
    following.look()
    with following.store.begin() as connection:
        key = jobs.latest(connection, [DAILY])[DAILY].key
        untold = replace(details(DAILY, "FAILED"), are_actions_told=False)
        jobs.record_details(connection, key, 0, untold, ())

    assert kept_actions(following) == [GONE]


@pytest.mark.parametrize("is_tracked", [True, False])
def test_why_names_the_runs_and_their_errors(client, oozie, following, is_tracked):
    oozie.never_started[DAILY] = [GONE]
    oozie.has(details(DAILY, "FAILED"))
    if is_tracked:
        following.track_jobs(DAILY)
        following.look()

    told = why(client)

    assert told == (
        f"{DAILY} is FAILED. What never became a job: 1 FAILED (E1005): Error: hdfs://nn/gone does "
        "not exist."
    )


def test_why_says_what_can_be_done_where_no_workflow_of_a_tracked_coordinator_is_known(
    client, oozie, following
):
    oozie.has(details(DAILY, "DONEWITHERROR"))
    following.track_jobs(DAILY)
    following.look()

    told = why(client)

    assert "track it" not in told
    assert f"oozie job -info {DAILY}" in told


def test_a_workflow_that_oozie_names_without_its_parent_is_listed_below_it(following, oozie):
    oozie.started[DAILY] = [job(11)]
    oozie.has(details(job(11), "KILLED", action(job(11), "work"), parent_id=None))
    following.track_jobs(DAILY)

    following.look()

    with following.store.read() as connection:
        assert children.statuses(connection, "guest", DAILY) == {job(11): "KILLED"}


def test_a_run_that_waited_in_vain_names_its_missing_input(loopback, session):
    waited = {
        "id": f"{DAILY}@2",
        "status": "TIMEDOUT",
        "externalId": None,
        "missingDependencies": "hdfs://nn/in/1#hdfs://nn/in/2",
    }
    waits = {"id": f"{DAILY}@3", "status": "WAITING", "missingDependencies": "hdfs://nn/in/3"}
    body = {"coordJobId": DAILY, "status": "RUNNING", "actions": [waited, waits]}
    loopback.says(Reply(200, json.dumps(body).encode()))

    [told] = Oozie(session).children(DAILY).never_started

    assert (told.name, told.status) == ("2", "TIMEDOUT")
    assert told.error_message == "its input is missing: hdfs://nn/in/1, hdfs://nn/in/2"
