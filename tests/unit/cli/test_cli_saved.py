"""The verbs that look after saved logs, in front of a loopback server."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.test_cli_jobs import JOB, SAVED, environment, says, tracker
from tests.unit.loopback_server import Reply

__all__ = ["environment", "tracker"]

FIRST = SAVED | {"sha256": "ab", "verified": True, "verdict": "intact"}
SECOND = FIRST | {"application": "1529519049029_0002"}
DAMAGED = SECOND | {"verified": False, "verdict": "/a.log is missing"}


def answered(*copies: dict[str, object]) -> Reply:
    told = {copy["application"]: copy for copy in copies}
    return says({"finished": True, "succeeded": True, "jobs": told})


def test_saved_logs_are_verified_one_by_one(tracker, loopback):
    loopback.says(*[answered(FIRST, SECOND)] * 3)

    told = tracker("verify", JOB)

    assert told.exit_code == 0
    assert told.stderr.splitlines() == [
        "reading 1 of 2: 1529519049029_0001",
        "reading 2 of 2: 1529519049029_0002",
    ]
    assert told.stdout.splitlines()[1] == "1529519049029_0001  yes     12     intact"
    assert [asked.query for asked in loopback.asked] == [
        {},
        {"verify": "true", "id": "1529519049029_0001"},
        {"verify": "true", "id": "1529519049029_0002"},
    ]


def test_a_damaged_log_is_told_by_the_exit_code(tracker, loopback):
    loopback.says(*[answered(FIRST, DAMAGED)] * 3)

    told = tracker("verify", "--output", "json", JOB)

    assert told.exit_code == 1
    assert [(each["verified"], each["verdict"]) for each in json.loads(told.stdout)] == [
        (True, "intact"),
        (False, "/a.log is missing"),
    ]


def test_a_log_that_cannot_be_compared_is_not_called_intact(tracker, loopback):
    loopback.says(*[answered(FIRST | {"verified": None})] * 2)

    assert tracker("verify", JOB).exit_code == 1


def test_nothing_to_verify_is_no(tracker, loopback):
    loopback.says(answered())

    told = tracker("verify", JOB)

    assert (told.exit_code, told.stdout) == (1, "")
    assert f"{JOB} has no logs" in told.stderr


def test_whether_a_log_is_intact_cannot_be_told_without_the_cluster(tracker, loopback):
    loopback.says(answered(FIRST), says({"message": "HDFS does not answer"}, 503))

    told = tracker("verify", JOB)

    assert (told.exit_code, told.stdout) == (2, "")
    assert "HDFS does not answer" in told.stderr


def test_logs_are_removed_by_who_is_sure(tracker, loopback):
    loopback.says(says({"id": JOB, "removed": ["/a.log", "/manifest.json"]}))

    told = tracker("remove-logs", "--yes", JOB)

    assert (told.exit_code, told.stdout) == (0, "/a.log\n/manifest.json\n")
    assert (loopback.asked[0].method, loopback.asked[0].path) == ("DELETE", f"/api/job/{JOB}/logs")


def test_without_a_terminal_nobody_can_be_asked_and_nothing_is_removed(tracker, loopback):
    told = tracker("remove-logs", JOB, input="y\n")

    assert told.exit_code == 2
    assert "--yes" in told.stderr
    assert loopback.asked == []


@pytest.mark.parametrize(("typed", "code", "calls"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0)])
def test_at_a_terminal_the_user_is_asked(tracker, loopback, environment, typed, code, calls):
    environment.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    loopback.says(says({"id": JOB, "removed": []}))

    told = tracker("remove-logs", JOB, input=typed)

    assert told.exit_code == code
    assert f"Remove the saved logs of {JOB}" in told.stderr
    assert len(loopback.asked) == calls


@pytest.mark.parametrize(("status", "code"), [(404, 1), (409, 2)])
def test_what_cannot_be_removed_is_told(tracker, loopback, status, code):
    loopback.says(says({"message": "it is so"}, status))

    told = tracker("remove-logs", "--yes", JOB)

    assert (told.exit_code, told.output) == (code, "Error: it is so\n")
