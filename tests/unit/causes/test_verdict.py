from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.cause_samples import APP, CONTAINER, RULES, a_log, scanned, text_of
from tracker_service.causes.findings import Findings
from tracker_service.causes.verdict import cause_of, failing_actions
from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.causes import Category, Cause, Retryable, Source
from tracker_service.domain.failures import Failure, Witness
from tracker_service.domain.jobs import Action, JobId, JobStatus

JOB = JobId("0000042-261122041514971-oozie-test-W")
CHILD = ApplicationId("application_1795577930939_0008")
OTHER = ApplicationId("application_1795577930939_0009")
LAUNCHED = """\
java.lang.reflect.InvocationTargetException
\tat org.apache.oozie.action.hadoop.LauncherAM.main(LauncherAM.java:143)
Caused by: org.apache.oozie.action.hadoop.LauncherMainException
\tat org.apache.oozie.action.hadoop.ShellMain.run(ShellMain.java:77)
Failing Oozie Launcher, Main Class [org.apache.oozie.action.hadoop.ShellMain], exit code [1]
"""
MAIN_CLASS = "Main Class [org.apache.oozie.action.hadoop.ShellMain], exit code [1]"
DENIED = "java.io.IOException: Permission denied: user=anna"


def action(name: str = "load", status: str = "ERROR", **more: Any) -> Action:
    return Action(id=f"{JOB}@{name}", name=name, type="shell", status=status, **more)


#: The launcher of an action, its child, and the launcher of another action.
APPLICATIONS = {APP: ("load", "launcher"), CHILD: ("load", "child"), OTHER: ("other", "launcher")}


def ran(
    *actions: Action,
    logs: dict[ApplicationId, str] | None = None,
    findings: dict[ApplicationId, Findings] | None = None,
    diagnostics: dict[ApplicationId, str] | None = None,
    applications: dict[ApplicationId, tuple[str, str]] = APPLICATIONS,
    **more: Any,
) -> Cause | None:
    """Judge a job; an application without a log has an empty one."""
    found = {id: scanned(text_of(a_log(log, "stdout"))) for id, log in (logs or {}).items()}
    found |= findings or {}
    witnesses = [
        Witness(
            application=id,
            action=name,
            workflow_id=JOB,
            role=role,
            diagnostics=(diagnostics or {}).get(id),
            findings=found.get(id, Findings()).as_json(),
        )
        for id, (name, role) in applications.items()
    ]
    facts: dict[str, Any] = {"status": JobStatus.KILLED, "is_complete": True, **more}
    return cause_of(
        Failure(job_id=JOB, run=0, actions=actions, witnesses=witnesses, **facts), RULES
    )


def cause(*actions: Action, **more: Any) -> Cause:
    found = ran(*(actions or (action(),)), **more)
    assert found is not None
    return found


def test_a_job_that_did_not_fail_has_no_cause():
    assert ran(action(status="OK"), status=JobStatus.SUCCEEDED, logs={APP: DENIED}) is None
    assert ran(action(status="RUNNING"), status=JobStatus.RUNNING, logs={APP: DENIED}) is None


def test_a_card_says_what_where_and_what_to_do():
    told = cause(logs={APP: f"work\n{DENIED}\n{LAUNCHED}"})

    assert told.category is Category.PERMISSION
    assert (told.rule, told.summary, told.hint) == ("denied", "It is denied.", "Mend it.")
    assert told.retryable is Retryable.NO
    assert told.action == "load"
    assert told.is_complete
    proof = told.evidence[0]
    assert proof.source is Source.LOG
    assert (proof.action, proof.application, proof.container) == ("load", APP, CONTAINER)
    assert (proof.file, proof.line, proof.text) == ("stdout", 2, DENIED)
    assert len(told.evidence) <= 5


def test_the_specific_beats_the_general_and_the_deepest_its_wrappers():
    told = cause(
        logs={
            APP: "ERROR something failed\norg.acme.LoadException: no\n\tat a.B.c(B.java:1)\n"
            f"Caused by: {DENIED}\n\tat a.B.c(B.java:1)\n{LAUNCHED}"
        }
    )

    assert told.rule == "denied"
    assert told.error == DENIED


def test_a_child_knows_better_than_its_launcher():
    told = cause(logs={APP: f"ERROR child failed\n{LAUNCHED}", CHILD: "ERROR no row\n"})

    assert told.evidence[0].application == CHILD


def test_of_two_errors_the_last_one_decides():
    told = cause(logs={APP: f"{DENIED}\nwent on\nOutOfMemoryError\n"})

    assert told.rule == "memory"


def test_of_two_tries_that_say_the_same_the_last_one_proves_it():
    last = ApplicationId("application_1795577930939_0010")
    launchers = {id: ("load", "launcher") for id in (last, APP)}

    told = cause(logs={APP: f"much work\n{DENIED}\n", last: f"{DENIED}\n"}, applications=launchers)

    assert [each.application for each in told.evidence] == [last]


def test_logs_of_actions_that_went_well_prove_nothing():
    told = cause(
        action("other", "OK"), action(), logs={OTHER: DENIED, APP: "org.acme.LoadException: no\n"}
    )

    assert told.rule == "java"


def test_oozies_word_counts_where_the_logs_say_nothing_better():
    said = action(error_code="JA009", error_message=DENIED)

    told = cause(said, logs={APP: LAUNCHED})

    assert told.evidence[0].source is Source.OOZIE
    assert told.evidence[0].text == DENIED


def test_yarns_word_counts_where_the_logs_say_nothing_better():
    told = cause(
        logs={APP: LAUNCHED}, diagnostics={APP: "it ended\nCaused by OutOfMemoryError\nfailing"}
    )

    assert told.rule == "memory"
    assert told.evidence[0].source is Source.YARN
    assert told.evidence[0].text == "Caused by OutOfMemoryError"


def test_the_exit_code_of_the_script_is_told_rather_than_the_launchers():
    said = action(error_code="1", error_message=MAIN_CLASS)

    told = cause(said, logs={APP: f"Exit code of the Shell command 7\n{LAUNCHED}"})

    assert told.exit_code == 7


def test_an_exit_code_may_tell_the_cause():
    told = cause(logs={APP: f"Exit code of the Shell command 137\n{LAUNCHED}"})

    assert (told.rule, told.category, told.exit_code) == ("sigkill", Category.MEMORY, 137)


def test_the_last_words_of_a_program_are_told_if_no_rule_knows_them():
    said = scanned(text_of(a_log("no rows\n", "stderr"), a_log(LAUNCHED, "stdout")))
    told = cause(findings={APP: said})

    assert told.rule == "unknown"
    assert told.category is Category.APPLICATION_ERROR
    assert told.evidence[0].text == "no rows"
    assert told.summary == "The action load failed with exit code 1; its last words: no rows."
    assert told.confidence < 0.5


def test_what_a_script_wrote_before_it_ended_is_quoted_but_may_be_no_complaint():
    told = cause(logs={APP: f"Stdoutput two rows\nExit code of the Shell command 7\n{LAUNCHED}"})

    assert told.category is Category.UNKNOWN
    assert told.summary == "The action load failed with exit code 7, and says nowhere why."
    assert "Stdoutput two rows" in [quote.text for quote in told.evidence]


def test_a_failure_without_a_word_is_unknown():
    told = cause(logs={})

    assert told.category is Category.UNKNOWN
    assert told.evidence == ()
    assert told.confidence < 0.2


def test_a_job_without_a_failed_action_was_killed():
    told = cause(action(status="KILLED"), logs={APP: LAUNCHED})

    assert told.category is Category.KILLED_BY_USER
    assert told.action == "load"


def test_what_a_job_said_before_it_was_killed_is_not_the_cause():
    stopped = action(status="KILLED")
    by_whom = {APP: "Application killed by user anna at 10.0.0.1"}

    untold, told = cause(stopped, logs={APP: DENIED}), cause(stopped, diagnostics=by_whom)

    assert untold.category is Category.KILLED_BY_USER
    assert untold.evidence[0].text == "KILLED"
    assert told.evidence[0].source is Source.YARN


def test_yarn_may_say_who_killed_an_application():
    told = cause(diagnostics={APP: "Application killed by user anna at 10.0.0.1"})

    assert (told.rule, told.category) == ("killed", Category.KILLED_BY_USER)


def test_words_that_are_missing_make_it_less_sure():
    logs = {APP: DENIED}

    sure, unsure = (cause(logs=logs, is_complete=complete) for complete in (True, False))

    assert not unsure.is_complete
    assert unsure.confidence < sure.confidence


def test_no_line_is_quoted_twice():
    told = cause(
        action(error_code="JA009", error_message=DENIED),
        logs={APP: f"{DENIED}\n", CHILD: f"Caused by: {DENIED}\n"},
    )

    assert len(told.evidence) == 1


def test_failures_of_one_family_have_one_fingerprint():
    one = cause(logs={APP: "OutOfMemoryError on node1:8041 after 17 rows\n"})
    same = cause(logs={APP: "work\nOutOfMemoryError on node2:8041 after 3 rows\n"})
    other = cause(logs={APP: DENIED})

    assert one.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("lines", [0, 300])
def test_diagnostics_of_any_length_are_read(lines):
    assert cause(diagnostics={APP: "OutOfMemoryError\n" + "x\n" * lines}).rule == "memory"


# Which action


def names(*actions: Action) -> list[str]:
    return [each.name for each in failing_actions(actions)]


def test_what_failed_counts_and_not_what_oozie_stopped_then():
    assert names(action("a", "KILLED"), action("b", "ERROR"), action("c", "OK")) == ["b"]


def test_the_action_in_a_sub_workflow_counts_and_not_the_one_that_called_it():
    call = Action(id=f"{JOB}@call", name="call", type="sub-workflow", status="ERROR")

    assert names(call, action("inner")) == ["inner"]
    assert names(call) == ["call"]


def test_the_first_that_failed_comes_first():
    now = datetime(2026, 11, 22, tzinfo=UTC)
    later, first = (action(n, ended_at=now + timedelta(seconds=s)) for n, s in (("a", 9), ("b", 1)))

    assert names(later, first) == ["b", "a"]


def test_an_action_that_oozie_could_not_even_start_has_failed():
    assert names(action("a", "START_MANUAL", error_code="JA009")) == ["a"]


def test_a_decision_that_oozie_cannot_make_is_what_failed():
    switch = Action(id=f"{JOB}@sw", name="sw", type="switch", status="FAILED", error_code="E0612")

    assert names(switch) == ["sw"]
