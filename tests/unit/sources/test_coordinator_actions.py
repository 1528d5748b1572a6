"""One action of a coordinator, asked about alone: Oozie lists actions nowhere."""

from __future__ import annotations

import json

import pytest

from tests.unit.fakes import job
from tests.unit.loopback_server import Reply
from tracker_service.domain.jobs import JobId
from tracker_service.sources.oozie import Oozie

ACTION = JobId(f"{job(7, 'C')}@12")


@pytest.fixture
def oozie(session) -> Oozie:
    return Oozie(session)


def told(status: str, external_id: str | None) -> Reply:
    """Answer as Oozie 5.2.1 does to `GET /v2/job/…-C@12`, without the keys that do not matter."""
    bean = {
        "id": ACTION,
        "coordJobId": job(7, "C"),
        "actionNumber": 12,
        "status": status,
        "externalId": external_id,
        "createdTime": "Sun, 22 Nov 2026 04:12:45 GMT",
        "missingDependencies": "",
        "type": None,
    }
    return Reply(200, json.dumps(bean).encode())


@pytest.mark.parametrize(
    ("external_id", "started"), [(None, None), ("", None), ("-", None), (job(1), job(1))]
)
def test_an_action_names_the_workflow_that_it_has_started(loopback, oozie, external_id, started):
    loopback.says(told("RUNNING" if started else "WAITING", external_id))

    answer = oozie.children(ACTION)

    assert loopback.asked[0].path.endswith(f"/oozie/v2/job/{ACTION}")
    assert (answer.started, answer.is_last) == ((started,), True)
    assert answer.observation.id == ACTION
    assert answer.observation.parent_id == job(7, "C")


@pytest.mark.parametrize("status", ["WAITING", "READY", "SUBMITTED", "TIMEDOUT", "SKIPPED"])
def test_the_states_of_actions_are_known(loopback, oozie, status):
    loopback.says(told(status, None))

    assert oozie.jobs([ACTION])[ACTION].status == status


def test_an_action_that_oozie_does_not_know_is_left_out(loopback, oozie):
    loopback.says(Reply(400, b"{}", {"oozie-error-code": "E0605"}))

    assert oozie.jobs([ACTION]) == {}


def test_each_action_is_asked_about_by_itself(oozie):
    other = JobId(f"{job(7, 'C')}@13")

    assert list(oozie.requests_for([ACTION, job(1), other, job(2)])) == [
        [job(1), job(2)],
        [ACTION],
        [other],
    ]
