from __future__ import annotations

import pytest

from tests.unit.fakes import seen, sub_workflow
from tracker_service.domain.jobs import (
    Action,
    JobId,
    JobStatus,
    JobType,
    is_job_id,
    supersedes,
    type_of,
    unique,
)

GOOD = "0000042-261122041514971-oozie-prod-W"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD[:-1] + "C",
        GOOD[:-1] + "B",
        "1234567890-261122041514971-oozie-prod-W",
        "0000042-261122041514971-oozie_1.eu-W",
        "cb3383ec-4003-471d-9e4e-2e0-oozie-test-W",
        "cb3383ec-4003-471d-9e4e-2e0-oozie-test-C",
        "cb3383ec-4003-471d-9e4e-2e04f3d5a1bc-u-B",
    ],
)
def test_what_oozie_calls_its_jobs_is_a_job_id(text):
    assert is_job_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job",
        GOOD[:-1] + "w",
        GOOD[:-1] + "X",
        GOOD[:-2],
        GOOD + "\n",
        "\n" + GOOD,
        GOOD + "@action",
        GOOD + ";id=x",
        f" {GOOD}",
        "042-261122041514971-oozie-prod-W",
        "12345678901-261122041514971-oozie-prod-W",
        "0000042-26112204151497-oozie-prod-W",
        "0000042-261122041514971--W",
        "0000042-261122041514971-oozie/../../x-W",
        "0000042-261122041514971-oozie;status=KILLED-W",
        "0000042-261122041514971-oozie'--W",
        '0000042-261122041514971-"oozie"-W',
        "0000042-261122041514971-oozie%2f-W",
        "0000042-261122041514971-oozie\r\nHost: x-W",
        "0000042-261122041514971-oozie\0-W",
        "0000042-261122041514971-özie-W",
        "0000042-261122041514971-" + "x" * 14 + "-W",
        GOOD + GOOD,
        "cb3383ec-4003-471d-9e4e-2e0-oozie-test-W" * 2,
        "cb3383ec-4003-471d-9e4e-2e-oozie-test-W",
        "cb3383ec-4003-471d-9e4e-2e04-oozie-test-W",
        "CB3383EC-4003-471D-9E4E-2E0-oozie-test-W",
        "0000042-261122041514971-" + "x" * 5000 + "-W",
    ],
)
def test_anything_else_is_no_job_id(text):
    assert not is_job_id(text)


def test_digits_of_other_scripts_make_no_job_id():
    assert not is_job_id("٠٠٠٠٠٤٢-261122041514971-oozie-prod-W")


@pytest.mark.parametrize(
    ("letter", "kind"),
    [("W", JobType.WORKFLOW), ("C", JobType.COORDINATOR), ("B", JobType.BUNDLE)],
)
def test_the_last_letter_of_an_id_tells_the_kind_of_job(letter, kind):
    assert type_of(JobId(GOOD[:-1] + letter)) == kind


def test_a_word_that_nobody_knows_is_an_unknown_state():
    assert JobStatus.from_oozie("LEVITATING") == JobStatus.UNKNOWN
    assert JobStatus.from_oozie(None) == JobStatus.UNKNOWN
    assert JobStatus.from_oozie("running") == JobStatus.UNKNOWN


def test_a_word_of_oozie_is_its_own_state():
    assert JobStatus.from_oozie("RUNNINGWITHERROR") == JobStatus.RUNNINGWITHERROR


def test_only_states_that_a_job_cannot_leave_by_itself_are_terminal():
    terminal = {status for status in JobStatus if status.is_terminal}

    assert terminal == {
        JobStatus.SUCCEEDED,
        JobStatus.KILLED,
        JobStatus.FAILED,
        JobStatus.DONEWITHERROR,
        JobStatus.IGNORED,
        JobStatus.TIMEDOUT,
        JobStatus.SKIPPED,
        JobStatus.NOT_FOUND,
    }


def is_news(new: str, known: str, run: int = 0, known_run: int = 0) -> bool:
    return supersedes(seen(JobId(GOOD), new, run), known_run, JobStatus(known))


def test_another_state_of_a_job_that_has_not_ended_is_news():
    assert is_news("SUSPENDED", known="RUNNING")
    assert is_news("RUNNING", known="SUSPENDED")
    assert is_news("KILLED", known="RUNNING")


def test_the_same_state_again_is_no_news():
    assert not is_news("RUNNING", known="RUNNING")
    assert not is_news("KILLED", known="KILLED")


def test_a_late_answer_does_not_bring_an_ended_job_back_to_life():
    assert not is_news("RUNNING", known="SUCCEEDED")
    assert not is_news("KILLED", known="SUCCEEDED")


def test_a_job_that_was_run_again_leaves_its_end():
    assert is_news("RUNNING", known="KILLED", run=1)


def test_the_same_end_of_a_later_run_is_news():
    assert is_news("KILLED", known="KILLED", run=1)


@pytest.mark.parametrize("known", ["RUNNING", "KILLED"])
def test_an_earlier_run_is_never_news(known):
    assert not is_news("SUCCEEDED", known=known, run=0, known_run=1)


@pytest.mark.parametrize("known", ["UNKNOWN", "NOT_FOUND"])
def test_an_earlier_run_is_never_news_not_even_of_a_job_out_of_sight(known):
    assert not is_news("SUCCEEDED", known=known, run=0, known_run=1)


@pytest.mark.parametrize("known", ["PREP", "RUNNING", "KILLED", "UNKNOWN"])
def test_an_answer_that_says_nothing_replaces_nothing(known):
    assert not is_news("UNKNOWN", known=known)


def test_a_job_that_was_lost_may_be_wanted_again():
    assert is_news("UNKNOWN", known="NOT_FOUND")
    assert is_news("UNKNOWN", known="NOT_FOUND", run=0, known_run=2)


@pytest.mark.parametrize("new", ["RUNNING", "KILLED", "NOT_FOUND"])
def test_of_a_job_that_nobody_has_seen_everything_is_news(new):
    assert is_news(new, known="UNKNOWN")


def test_a_job_that_was_lost_may_be_found_again():
    assert is_news("RUNNING", known="NOT_FOUND")


def test_a_job_that_ended_is_not_lost_when_oozie_purges_it():
    assert not is_news("NOT_FOUND", known="KILLED")


def test_each_id_is_kept_once_in_the_order_of_its_first_appearance():
    assert unique(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]


def test_a_sub_workflow_action_names_the_workflow_that_it_runs():
    assert sub_workflow(JobId(GOOD), "call", JobId(GOOD)).sub_workflow == GOOD


@pytest.mark.parametrize(
    ("kind", "external"),
    [("shell", GOOD), ("sub-workflow", "-"), ("sub-workflow", None), ("sub-workflow", "x/../y-W")],
)
def test_an_action_without_a_workflow_below_it_names_none(kind, external):
    asked = Action(id=f"{GOOD}@a", name="a", type=kind, status="OK", external_id=external)

    assert asked.sub_workflow is None
