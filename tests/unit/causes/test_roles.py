"""Which complaint is the end of a job, which one it survived, and which one only follows."""

from __future__ import annotations

import pytest

from tests.unit.cause_samples import APP, CONTAINER, a_log, text_of
from tracker_service.causes.roles import Role
from tracker_service.causes.rules import Rules, load_rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.causes.verdict import cause_of
from tracker_service.domain.causes import Category, Cause
from tracker_service.domain.failures import Failure, Witness
from tracker_service.domain.jobs import Action, JobId, JobStatus

JOB = JobId("0000042-261122041514971-oozie-test-W")
OWN = """\
26/11/30 10:02:00 ERROR ApplicationMaster: User class threw exception: \
com.acme.NoKeyException: 17 rows
com.acme.NoKeyException: 17 rows
\tat com.acme.Job.main(Job.scala:20)
"""
DENIED = 'java.io.IOException: Permission denied: user=anna, access=WRITE, inode="/out"\n'


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules()


@pytest.fixture
def roles(rules):
    """Return the role of each line that a rule knows, by a part of its text."""

    def of(content: str) -> dict[str, Role]:
        scanner = Scanner(rules)
        for _ in scanner.of([text_of(a_log(content))]):
            pass
        return {line.text: line.role for line in scanner.findings.lines if line.rule}

    return of


@pytest.fixture
def card(rules):
    def of(content: str, diagnostics: str | None = None) -> Cause:
        scanner = Scanner(rules)
        for _ in scanner.of([text_of(a_log(content, container=CONTAINER))]):
            pass
        witness = Witness(
            application=APP,
            action="load",
            workflow_id=JOB,
            role="launcher",
            diagnostics=diagnostics,
            findings=scanner.findings.as_json(),
        )
        action = Action(id=f"{JOB}@load", name="load", type="spark", status="ERROR")
        told = cause_of(
            Failure(
                job_id=JOB,
                run=0,
                status=JobStatus.KILLED,
                actions=[action],
                witnesses=[witness],
                is_complete=True,
            ),
            rules,
        )
        assert told is not None
        return told

    return of


def test_a_stack_trace_has_the_role_of_its_record(roles):
    found = roles(f"{OWN}26/11/30 10:00:00 WARN Load: slow\n{DENIED}\tat a.B.c(B.java:1)\n")

    assert found["com.acme.NoKeyException: 17 rows"] is Role.END
    assert found[DENIED.strip()] is Role.AFTER


@pytest.mark.parametrize(
    "complaint",
    [
        f"26/11/30 10:00:00 WARN Client: retrying in 2 s: {DENIED}",
        f"26/11/30 10:00:00 ERROR LineageHook: not sent\n{DENIED}",
        f"26/11/30 10:00:00 INFO Plugins: optional plugin not loaded\n{DENIED}",
        "26/11/30 10:00:00 ERROR YarnScheduler: Lost executor 2 on w: Container released on a "
        "*lost* node\n26/11/30 10:01:40 INFO DAGScheduler: Job 1 finished: count, took 91 s\n",
    ],
)
def test_what_was_survived_does_not_decide(roles, card, complaint):
    assert Role.SURVIVED in roles(complaint + OWN).values()
    assert card(complaint + OWN).evidence[0].text.endswith("17 rows")


def test_a_lost_executor_is_not_survived_if_no_job_finishes_after_it(roles):
    lost = "26/11/30 10:00:00 ERROR YarnScheduler: Lost executor 2 on w: node was lost\n"

    assert set(roles(lost).values()) == {Role.OPEN}


@pytest.mark.parametrize(
    "complaint",
    [
        "26/11/30 10:02:01 ERROR Utils: in thread shutdown-hook-0\njava.io.IOException: "
        "Filesystem closed\n\tat a.B.c(B.java:1)\n",
        f"26/11/30 10:02:01 ERROR Sender: cannot report\n{DENIED}\tat a.B.c(B.java:1)\n",
    ],
)
def test_what_comes_after_the_end_does_not_decide(card, complaint):
    told = card(OWN + complaint)

    assert told.category is Category.APPLICATION_ERROR
    assert told.evidence[0].text.endswith("17 rows")


def test_yarns_diagnostics_decide_over_a_graver_complaint(card):
    told = card(
        f"26/11/30 10:00:00 ERROR Out: trouble\n{DENIED}\tat a.B.c(B.java:1)\n",
        "User class threw exception: com.acme.NoKeyException: 17 rows",
    )

    assert told.evidence[0].text.endswith("17 rows")


def test_the_exception_of_a_task_is_found_within_the_line_of_its_driver(card):
    told = card(
        "26/11/30 10:04:11 ERROR ApplicationMaster: User class threw exception: "
        "org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 2.0 "
        "failed 4 times, most recent failure: Lost task 3.3 in stage 2.0 (TID 19, w, executor 1): "
        "com.acme.BadRow: row 7 has 3 fields\n"
        "26/11/30 10:04:11 ERROR Other: com.acme.RowException: row 8\n"
    )

    assert "row 7" in told.evidence[0].text


@pytest.mark.parametrize("deepest", ["com.acme.ConvertException", "java.lang.NullPointerException"])
def test_a_deepest_cause_without_a_message_leaves_it_to_its_parent(card, deepest):
    told = card(
        "com.acme.ReadException: field 'price' is no number\n\tat a.B.c(B.java:1)\n"
        f"Caused by: {deepest}\n\tat a.D.e(D.java:2)\n"
    )

    assert told.summary == (
        "The program ended with com.acme.ReadException: field 'price' is no number."
    )


def test_two_stories_are_both_told_and_neither_is_sure(card):
    told = card(
        f"26/11/30 10:00:00 ERROR Out: trouble\n{DENIED}\tat a.B.c(B.java:1)\n"
        "26/11/30 10:00:01 ERROR Load: it is over\njava.lang.OutOfMemoryError: Java heap space\n"
        "\tat a.B.c(B.java:1)\n"
    )

    assert " Or else: " in told.summary
    assert told.confidence < 0.5
    assert {quote.text for quote in told.evidence[:2]} == {
        DENIED.strip(),
        "java.lang.OutOfMemoryError: Java heap space",
    }


def test_an_end_that_does_not_say_why_leaves_it_to_an_earlier_error(card):
    told = card(
        f"26/11/30 10:00:00 ERROR Out: trouble\n{DENIED}\tat a.B.c(B.java:1)\n"
        'Exception in thread "main" com.acme.LoadException: load failed\n'
    )

    assert told.category is Category.PERMISSION


@pytest.mark.parametrize(
    "echo",
    [
        "+ test -w /out || { echo Permission denied; exit 3; }",
        "0: jdbc:hive2://h:1> select * from a where m like '%Permission denied%';",
        "  --no-check     do not test for No space left on device",
        "+ spark-submit --conf spark.driver.maxResultSize=4g load.py",
    ],
)
def test_what_is_only_echoed_is_no_complaint(roles, echo):
    assert roles(f"{echo}\nrows differ\n") == {}


def test_a_cause_in_the_middle_of_a_long_file_is_found(card):
    rows = "26/11/30 10:00:00 INFO load.Step: 1000 rows so far\n" * 2000

    told = card(f"{rows}cp: a.csv: No space left on device\n{rows}")

    assert told.category is Category.DISK_OR_QUOTA


TROUBLE = 'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\nKeyError: 17\n'
ROWS = "26/11/30 10:00:00 INFO load.Step: 1000 rows so far\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "26/11/30 10:00:00 WARN Rates: answer 503, retrying in 2 s\n",
            "26/11/30 10:05:01 ERROR Utils: Uncaught exception in thread shutdown-hook-0\n",
        ),
        (ROWS, ROWS * 700),
    ],
)
def test_a_traceback_is_no_part_of_a_record_that_only_stands_above_it(card, before, after):
    assert card(f"{before}{TROUBLE}{after}").evidence[0].text == "KeyError: 17"


def test_the_causes_of_a_stack_trace_are_not_those_of_the_one_before(card):
    told = card(
        f"26/11/30 10:00:00 WARN Load: slow\n{DENIED}\tat a.B.c(B.java:1)\n"
        "26/11/30 10:00:01 ERROR Sql: Error executing statement\ncom.acme.LinkException: no link\n"
        "\nThe last packet was sent 0 ms ago.\n\tat a.B.c(B.java:1)\n"
        "Caused by: java.net.NoRouteToHostException: No route to host\n\tat a.D.e(D.java:2)\n"
    )

    assert told.category is Category.NETWORK
    assert told.confidence > 0.8


def test_last_words_are_found_among_the_rows_of_a_log(card):
    told = card(f"{ROWS * 700}sums of the bills differ\n{ROWS * 700}")

    assert told.error == "sums of the bills differ"


def test_a_line_that_only_says_error_makes_no_sure_card(card):
    told = card("Error: Could not start\n")

    assert told.rule == "error-line"
    assert told.confidence < 0.8
