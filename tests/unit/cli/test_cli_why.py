"""`tracker why`, in front of a loopback server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.unit.cli.test_cli_jobs import JOB, VIEW, environment, says, tracker

__all__ = ["environment", "tracker"]

QUOTE = {
    "source": "log",
    "text": "\tat Load.main\x1b[2J(Load.java:31)",
    "action": "load",
    "application": "1529519049029_0001",
    "container": "container_1529519049029_0001_01_000002",
    "file": "syslog",
    "line": 31,
    "offset": 4711,
}
OOZIE = dict.fromkeys(QUOTE) | {"source": "oozie", "text": "exit code [1]", "action": "load"}
CAUSE = {
    "id": JOB,
    "run": 0,
    "category": "missing-input",
    "summary": "/data/in is not there",
    "hint": "make it, or correct the path",
    "retryable": "unknown",
    "confidence": 0.85,
    "rule": "hdfs-missing",
    "fingerprint": "f1",
    "action": "load",
    "error": "FileNotFoundException: /data/in",
    "exit-code": 1,
    "evidence": [QUOTE, OOZIE],
    "complete": True,
    "failed-at": "2026-11-26T05:00:00.000+00:00",
    "decided-at": "2026-11-26T05:01:00.000+00:00",
    "also-hit": {
        "jobs": 13,
        "since": "2026-11-26T02:10:00.000+00:00",
        "until": "2026-11-26T04:00:00.000+00:00",
    },
}
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def in_utc(environment: pytest.MonkeyPatch) -> Iterator[None]:
    environment.setenv("TZ", "UTC")
    time.tzset()
    yield
    environment.undo()
    time.tzset()


def test_why_a_job_failed_is_told_with_the_lines_that_prove_it(tracker, loopback, in_utc):
    loopback.says(says(CAUSE))

    told = tracker("why", JOB)

    place = (
        "action load, application 1529519049029_0001, container_1529519049029_0001_01_000002,"
        " syslog:31"
    )
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        f"{JOB}: /data/in is not there",
        "",
        "what       missing-input (85 % sure); nobody can say whether it helps to run it again",
        f"where      {place}",
        "error      FileNotFoundException: /data/in",
        "exit code  1",
        "",
        "proved by",
        f"  {place}",
        "        at Load.main?[2J(Load.java:31)",
        "  Oozie, action load",
        "    exit code [1]",
        "",
        "hint       make it, or correct the path",
        "also hit   13 other jobs since 02:10",
    ]
    assert loopback.asked[0].path == f"/api/job/{JOB}/cause"


def test_a_family_that_began_on_another_day_is_told_with_the_day(tracker, loopback, in_utc):
    others = {"jobs": 1, "since": "2026-11-25T22:10:00Z", "until": "2026-11-25T22:10:00Z"}
    loopback.says(says(CAUSE | {"also-hit": others}))

    assert tracker("why", JOB).stdout.endswith("1 other job since 2026-11-25 22:10\n")


@pytest.mark.parametrize(
    ("decided", "note"), [(None, "from what is known so far"), ("x", "not all of its logs")]
)
def test_what_is_not_complete_is_said_to_be_so(tracker, loopback, decided, note):
    loopback.says(says(CAUSE | {"complete": False, "decided-at": decided}))

    assert note in tracker("why", JOB).stdout.splitlines()[1]


def test_without_a_line_that_proves_it_the_action_is_named(tracker, loopback):
    bare: dict[str, object] = {"evidence": [], "error": None, "exit-code": None, "also-hit": None}
    loopback.says(says(CAUSE | bare))

    told = tracker("why", JOB).stdout.splitlines()

    assert told[2:] == [
        "what       missing-input (85 % sure); nobody can say whether it helps to run it again",
        "where      action load",
        "",
        "hint       make it, or correct the path",
    ]


def test_colours_are_for_terminals(tracker, loopback):
    loopback.says(says(CAUSE))

    shown = tracker("why", JOB, color=True).stdout

    assert "\x1b[31m        at Load.main?[2J(Load.java:31)\x1b[0m" in shown
    assert ESCAPE.sub("", shown) == tracker("why", JOB).stdout


def test_json_is_what_the_service_said(tracker, loopback):
    loopback.says(says(CAUSE))

    assert json.loads(tracker("why", "--output", "json", JOB).stdout) == CAUSE


def test_a_job_that_has_not_failed_is_told_by_the_exit_code(tracker, loopback):
    loopback.says(says({"message": f"{JOB} is RUNNING: ask again later."}, 404))

    told = tracker("why", JOB)

    assert (told.exit_code, told.output) == (1, f"Error: {JOB} is RUNNING: ask again later.\n")


def test_the_status_of_a_job_says_in_a_line_why_it_failed(tracker, loopback):
    loopback.says(says(VIEW | {"cause": CAUSE}))

    assert "  why      /data/in is not there" in tracker("status", JOB).stdout.splitlines()
