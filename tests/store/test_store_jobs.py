from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.store.rows import NOW, job, seen
from tracker_service.domain.applications import Application, ApplicationId
from tracker_service.domain.jobs import Action, JobDetails, JobStatus
from tracker_service.store import jobs, tables

LATER = NOW + timedelta(seconds=5)


def states(connection, number: int = 1) -> list[tuple[str | None, str]]:
    kept = jobs.latest(connection, [job(number)])[job(number)]
    return [(each.from_status, each.to_status) for each in jobs.history(connection, kept.key)]


def record(connection, *seen_):
    return jobs.record(connection, seen_)


def test_a_new_job_is_kept_with_its_first_state(connection):
    [kept] = record(connection, seen(1)).values()

    assert (kept.id, kept.run, kept.status, kept.name, kept.user, kept.created_at) == (
        *(job(1), 0, "RUNNING", "a job", "guest", NOW),
    )
    assert states(connection) == [(None, "RUNNING")]


def test_each_change_is_appended_to_the_history(connection):
    record(connection, seen(1, "PREP"))
    record(connection, seen(1, "RUNNING"))
    [kept] = record(connection, seen(1, "KILLED", observed_at=LATER, ended_at=LATER)).values()

    assert (kept.status, kept.ended_at, kept.observed_at) == ("KILLED", LATER, LATER)
    assert states(connection) == [(None, "PREP"), ("PREP", "RUNNING"), ("RUNNING", "KILLED")]


def test_the_same_state_again_changes_nothing(connection):
    record(connection, seen(1))

    [kept] = record(connection, seen(1, observed_at=LATER)).values()

    assert kept.observed_at == NOW
    assert states(connection) == [(None, "RUNNING")]


def test_a_late_answer_changes_nothing(connection):
    record(connection, seen(1, "SUCCEEDED"))

    [kept] = record(connection, seen(1, "RUNNING")).values()

    assert kept.status == "SUCCEEDED"
    assert states(connection) == [(None, "SUCCEEDED")]


def test_an_answer_that_says_nothing_changes_nothing(connection):
    record(connection, seen(1))

    [kept] = record(connection, seen(1, "UNKNOWN", name=None)).values()

    assert (kept.status, kept.name) == ("RUNNING", "a job")


def test_of_a_job_that_was_not_seen_yet_everything_is_filled_in(connection):
    record(connection, seen(1, "UNKNOWN", name=None, user=None))

    [kept] = record(connection, seen(1, "RUNNING", run=2)).values()

    assert (kept.status, kept.run, kept.name) == ("RUNNING", 2, "a job")
    assert states(connection) == [(None, "UNKNOWN"), ("UNKNOWN", "RUNNING")]


def test_a_rerun_makes_a_record_of_its_own_and_leaves_the_old_one(connection):
    [first] = record(connection, seen(1, "KILLED")).values()

    [second] = record(connection, seen(1, "RUNNING", run=1)).values()

    assert second.key != first.key
    assert (second.run, second.status) == (1, "RUNNING")
    assert [each.to_status for each in jobs.history(connection, first.key)] == ["KILLED"]
    assert states(connection) == [(None, "RUNNING")]


def test_an_earlier_run_is_never_news(connection):
    record(connection, seen(1, "RUNNING", run=1))

    [kept] = record(connection, seen(1, "KILLED", run=0)).values()

    assert (kept.run, kept.status) == (1, "RUNNING")


def test_an_earlier_run_is_no_news_of_a_lost_job_either(connection):
    record(connection, seen(1, "KILLED"))
    record(connection, seen(1, "NOT_FOUND", run=1))

    [kept] = record(connection, seen(1, "RUNNING", run=0)).values()

    assert (kept.run, kept.status) == (1, "NOT_FOUND")


def test_a_lost_job_that_is_wanted_again_is_unknown_in_its_last_run(connection):
    record(connection, seen(1, "KILLED"))
    record(connection, seen(1, "RUNNING", run=1, name="daily"))
    record(connection, seen(1, "NOT_FOUND", run=1, name=None))

    [kept] = record(connection, seen(1, "UNKNOWN", name=None)).values()

    assert (kept.run, kept.status, kept.name) == (1, "UNKNOWN", "daily")


@pytest.mark.parametrize("order", [*itertools.permutations(["PREP", "RUNNING", "SUCCEEDED"])])
def test_in_any_order_of_answers_the_end_stays(connection, order):
    for status in order:
        record(connection, seen(1, status))

    changes = states(connection)
    assert changes[-1][1] == "SUCCEEDED"
    assert [before for before, _ in changes[1:]] == [after for _, after in changes[:-1]]


def test_only_the_winner_of_two_observers_appends_to_the_history(connection):
    [old] = record(connection, seen(1)).values()
    record(connection, seen(1, "KILLED"))

    jobs._change(connection, old, seen(1, "SUCCEEDED"))

    assert states(connection) == [(None, "RUNNING"), ("RUNNING", "KILLED")]


def test_the_sequence_of_changes_grows_over_all_jobs(connection):
    kept = record(connection, seen(1), seen(2))
    record(connection, seen(1, "KILLED"))

    first = jobs.history(connection, kept[job(1)].key)
    second = jobs.history(connection, kept[job(2)].key)

    assert first[0].sequence < second[0].sequence < first[1].sequence


def test_many_jobs_are_kept_with_one_call(connection):
    kept = record(connection, *(seen(n) for n in range(1201)))

    assert len(kept) == 1201
    assert len(jobs.latest(connection, [job(n) for n in range(1201)])) == 1201


def test_a_long_name_is_cut(connection):
    [kept] = record(connection, seen(1, name="x" * 600)).values()

    assert len(kept.name) == 500


def test_a_job_that_nobody_has_seen_is_not_there(connection):
    assert jobs.latest(connection, [job(1)]) == {}
    assert jobs.latest(connection, []) == {}
    assert record(connection) == {}


def details(*applications: str) -> tuple[JobDetails, list[Application]]:
    action = Action(id=f"{job(1)}@a", name="a", type="shell", status="OK", started_at=NOW)
    found = [
        Application(id=ApplicationId(each), action="a", workflow_id=job(1), role="launcher")
        for each in applications
    ]
    return JobDetails(observation=seen(1, observed_at=LATER), actions=(action,)), found


def test_details_are_kept_with_their_time(connection):
    [kept] = record(connection, seen(1)).values()

    seen_details, found = details()

    jobs.record_details(connection, kept.key, 0, seen_details, found)

    assert jobs.actions_of(connection, kept.key) == list(seen_details.actions)
    assert jobs.latest(connection, [job(1)])[job(1)].details_at == LATER


def test_what_a_later_release_knows_of_an_action_is_passed_over(connection):
    [kept] = record(connection, seen(1)).values()
    told = {"id": f"{job(1)}@a", "name": "a", "type": "shell", "status": "OK", "colour": "blue"}
    connection.execute(update(tables.jobs).values(actions=[told]))

    [action] = jobs.actions_of(connection, kept.key)

    assert (action.name, action.status) == ("a", "OK")


def test_an_application_is_kept_once_and_never_forgotten(connection):
    [kept] = record(connection, seen(1)).values()
    jobs.record_details(
        connection, kept.key, 0, *details("application_1_0002", "application_1_0001")
    )
    jobs.record_details(connection, kept.key, 0, *details("application_1_0002"))

    jobs.record_details(connection, kept.key, 0, *details("application_1_0003"))

    assert jobs.applications_of(connection, [kept.key, 99]) == {
        kept.key: ["application_1_0002", "application_1_0001", "application_1_0003"],
        99: [],
    }


def test_details_of_another_run_are_left_out(connection):
    [kept] = record(connection, seen(1, run=1)).values()

    jobs.record_details(connection, kept.key, 1, *details("application_1_0001"))

    assert jobs.actions_of(connection, kept.key) == []
    assert jobs.applications_of(connection, [kept.key]) == {kept.key: []}


def test_a_job_without_details_has_no_actions(connection):
    [kept] = record(connection, seen(1)).values()

    assert jobs.actions_of(connection, kept.key) == []
    assert kept.details_at is None
    assert kept.status == JobStatus.RUNNING
