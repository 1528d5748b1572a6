"""No run of a job is overwritten by a later one."""

from __future__ import annotations

import pytest

from tests.store.rows import NOW, job, seen
from tracker_service.domain.applications import Application, ApplicationId
from tracker_service.domain.jobs import Action, JobDetails, Observation
from tracker_service.store import jobs

APP = Application(
    id=ApplicationId("application_1795323341942_0002"), action="work", workflow_id=job(1), role=""
)
WORK = Action(id=f"{job(1)}@work", name="work", type="shell", status="OK")


def record(connection, *seen_: Observation) -> jobs.KeptJob:
    [kept] = jobs.record(connection, seen_).values()
    return kept


def runs(connection) -> dict[int, str]:
    return {run: str(kept.status) for run, kept in jobs.runs_of(connection, job(1)).items()}


def test_a_run_that_was_lost_and_wanted_again_stays_when_the_job_is_run_again(connection):
    first = record(connection, seen(1, "RUNNING"))
    record(connection, seen(1, "NOT_FOUND"))
    record(connection, seen(1, "UNKNOWN"))

    again = record(connection, seen(1, "RUNNING", run=1))

    assert again.key != first.key
    assert runs(connection) == {0: "UNKNOWN", 1: "RUNNING"}


@pytest.mark.parametrize(
    ("actions", "found"), [((), (APP,)), ((WORK,), ())], ids=["applications", "actions"]
)
def test_a_run_whose_state_is_unknown_but_not_its_work_stays_too(connection, actions, found):
    unknown = seen(1, "UNKNOWN")
    first = record(connection, unknown)
    if actions:
        details = JobDetails(observation=unknown, actions=actions)
        jobs.record_details(connection, first.key, 0, details, found)
    else:
        jobs.record_applications(connection, first.key, NOW, found)

    again = record(connection, seen(1, "RUNNING", run=1))

    assert again.key != first.key
    assert runs(connection) == {0: "UNKNOWN", 1: "RUNNING"}


def test_a_run_of_which_nothing_was_ever_told_is_the_one_that_oozie_tells_first(connection):
    first = record(connection, seen(1, "UNKNOWN"))

    assert record(connection, seen(1, "RUNNING", run=2)).key == first.key
    assert runs(connection) == {2: "RUNNING"}
