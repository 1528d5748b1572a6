"""The command, in front of a running service: on the sandbox and on a real cluster."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance import command
from tests.acceptance.service import RunningService
from tests.profiles import REAL_IF_LONG
from tests.stands import Stand
from tests.waiting import GENEROUS_S

pytestmark = pytest.mark.slow

Tracker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tracker(service: RunningService, tmp_path: Path) -> Tracker:
    """Runs a command of `tracker` as a user of the service."""

    def run(*arguments: str, user: str = "guest", piped: str = "", **variables: str):
        login = command.login(service.url, user) | variables
        return command.tracker(tmp_path, login, *arguments, piped=piped)

    return run


@REAL_IF_LONG
def test_a_job_from_a_pipe_is_followed_to_its_good_end(tracker: Tracker, stand: Stand) -> None:
    job = stand.start("ok")

    told = tracker("track", "--wait", "-", piped=f"job: {job}\n")

    assert told.returncode == 0, told.stderr
    assert told.stderr.splitlines()[-1] == f"{job} SUCCEEDED"
    assert told.stdout.startswith(f"{job} is SUCCEEDED\n")


def test_a_job_that_fails_is_waited_for_until_its_log_can_be_read(
    tracker: Tracker, service: RunningService, stand: Stand
) -> None:
    job = stand.start("fail")

    told = tracker("track", "--wait", "--output", "json", job)

    assert told.returncode == 1, told.stderr
    [shown] = json.loads(told.stdout)
    assert shown["status"] == "KILLED"
    [(application, copy)] = shown["log-jobs"].items()
    assert copy["status"] == "SUCCEEDED"
    assert f"{job} log of {application} SUCCEEDED" in told.stderr.splitlines()
    whole, one = tracker("logs", job), tracker("logs", job, application)
    assert (whole.returncode, whole.stdout) == (0, one.stdout)
    assert "FileNotFoundError" in whole.stdout
    assert len(whole.stdout.encode()) == copy["bytes"]


@REAL_IF_LONG
def test_a_job_is_shown_to_people_and_to_programs(
    tracker: Tracker, service: RunningService, saved_job: str
) -> None:
    job = saved_job
    assert tracker("track", job).returncode == 0

    shown, told = tracker("status", job), tracker("status", "--output", "json", job)

    assert shown.stdout.startswith(f"{job} is KILLED\n")
    assert "Main Class [org.apache.oozie.action.hadoop.ShellMain], exit code [1]" in shown.stdout
    assert f"/user/guest/WORK/logs/{job}/application_" in shown.stdout
    assert json.loads(told.stdout) == service.get(f"job/{job}").json()
    assert job in tracker("jobs").stdout
    assert job not in tracker("jobs", user="sam").stdout


@REAL_IF_LONG
def test_what_is_not_there_is_told_by_1_and_what_cannot_be_told_by_2(
    tracker: Tracker, stand: Stand
) -> None:
    unknown = "0009999-200101000000000-oozie-test-W"

    missing = tracker("status", unknown)
    refused = tracker("status", unknown, TRACKER_PASSWORD="wrong")
    endless = stand.start("sleep")
    never = tracker("track", "--wait", "--timeout", "0.5", endless)
    stand.kill(endless)

    assert (missing.returncode, missing.stdout) == (1, "")
    assert unknown in missing.stderr
    assert refused.returncode == 2
    assert "credentials of guest" in refused.stderr
    assert (never.returncode, never.stdout) == (2, "")
    assert "not over after 0.5 s" in never.stderr


@REAL_IF_LONG
def test_a_job_that_is_untracked_is_followed_no_longer(
    tracker: Tracker, service: RunningService, stand: Stand
) -> None:
    job = stand.start("sleep")
    assert tracker("track", job).returncode == 0

    told = tracker("untrack", job)

    assert (told.returncode, told.stdout) == (0, f"{job} is not tracked any more\n")
    assert job not in tracker("jobs").stdout
    again = tracker("untrack", job)
    assert (again.returncode, job in again.stderr) == (1, True)
    stand.kill(job)


@REAL_IF_LONG
def test_the_logs_of_a_job_that_has_succeeded_are_saved_where_they_are_asked_for(
    tracker: Tracker, stand: Stand
) -> None:
    job = stand.start("ok")
    assert tracker("track", "--wait", job).returncode == 0
    none = tracker("logs", job)
    assert (none.returncode, "SUCCEEDED" in none.stderr) == (1, True)

    told = tracker("copy-logs", "--wait", "--output", "json", job)

    assert told.returncode == 0, told.stderr
    [(application, copy)] = json.loads(told.stdout)[0]["log-jobs"].items()
    assert copy["status"] == "SUCCEEDED"
    log = tracker("logs", job, application)
    assert (log.returncode, len(log.stdout.encode())) == (0, copy["bytes"])


@REAL_IF_LONG
def test_jobs_are_listed_by_state_and_as_oozie_has_them(tracker: Tracker, stand: Stand) -> None:
    ended, untracked = stand.start("ok"), stand.start("ok")
    assert tracker("track", "--wait", ended).returncode == 0

    assert ended in tracker("jobs", "--status", "succeeded").stdout
    assert ended not in tracker("jobs", "--status", "RUNNING").stdout
    shown = tracker("jobs", "--oozie", "--filter", "user=guest")
    assert {ended, untracked} <= {line.split(" ")[0] for line in shown.stdout.splitlines()}
    told = json.loads(tracker("jobs", "--all", "--len", "1", "--output", "json").stdout)
    assert (len(told["workflows"]), told["len"]) == (1, 1)
    assert tracker("jobs", "--type", "coord", "--oozie").returncode == 0
    others = tracker("jobs", "--owner", "sam")
    assert (others.returncode, "admin" in others.stderr) == (2, True)


def test_a_terminal_shows_a_job_going_on(
    service: RunningService, stand: Stand, tmp_path: Path
) -> None:
    job = stand.start("sleep")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [command.TRACKER, "track", "--wait", job],
        env=command.environment(TERM="xterm", COLUMNS="160", **command.login(service.url)),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)

    with process, os.fdopen(ours, "rb", buffering=0) as terminal:
        going_on = drawn_until(terminal, b"RUNNING")
        stand.kill(job)
        end = drawn_until(terminal, None)
        assert process.wait(GENEROUS_S) == 1

    assert b"\x1b[" in going_on
    assert b"RUNNING" in going_on
    assert b"KILLED" in end


def drawn_until(terminal: io.RawIOBase, word: bytes | None) -> bytes:
    """Return what is drawn until a word comes, or until nobody writes to the terminal any more."""
    drawn = b""
    with suppress(OSError):  # how Linux says that nobody does
        while (word is None or word not in drawn) and (piece := terminal.read(65536)):
            drawn += piece
    return drawn
