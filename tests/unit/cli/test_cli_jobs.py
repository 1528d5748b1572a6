"""The verbs that ask a service, in front of a loopback server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from click.testing import CliRunner, Result

from tests.unit.loopback_server import Loopback, Reply
from tracker_service import cli
from tracker_service.cli import login, options, tables
from tracker_service.settings import load

JOB = "0000001-261122041514971-oozie-test-W"
OTHER = "0000002-261122041514971-oozie-test-C"
SAVED = {
    "id": JOB,
    "application": "1529519049029_0001",
    "job": "0000003-261122041514971-oozie-test-W",
    "status": "SUCCEEDED",
    "path": f"/user/guest/WORK/logs/{JOB}/application_1529519049029_0001.log",
    "bytes": 12,
}
WAITING = SAVED | {"application": "1529519049029_0002", "status": "WAITING", "reason": "in a queue"}
del WAITING["bytes"]
VIEW = {
    "id": JOB,
    "status": "KILLED",
    "name": "nightly",
    "user": "guest",
    "tracked": True,
    "reason": None,
    "application-ids": ["1529519049029_0001"],
    "logs": "at risk until 2026-11-29T05:00:00.000+00:00",
    "log-jobs": {"1529519049029_0001": SAVED, "1529519049029_0002": WAITING},
    "actions": [
        {
            "name": "load",
            "type": "shell",
            "status": "ERROR",
            "error-code": "JA018",
            "error-message": "exit\n\x1b[31mcode [1]",
        }
    ],
}

Tracker = Callable[..., Result]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A home without files, in an empty directory."""
    for variable in ("TRACKER_URL", "TRACKER_USER", "TRACKER_PASSWORD", "NETRC"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def tracker(loopback: Loopback, environment: pytest.MonkeyPatch) -> Tracker:
    """Runs a command of `tracker` as guest."""
    environment.setenv("TRACKER_URL", loopback.origin)
    environment.setenv("TRACKER_USER", "guest")
    environment.setenv("TRACKER_PASSWORD", "guest-password")

    def run(*arguments: str, **more: Any) -> Result:
        return CliRunner().invoke(cli.main, arguments, **more)

    return run


def says(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


def credentials(loopback: Loopback) -> str:
    return b64decode(loopback.asked[-1].headers["Authorization"].removeprefix("Basic ")).decode()


def test_jobs_are_tracked(tracker, loopback):
    loopback.says(says([{"id": JOB, "status": "RUNNING", "applications-ids": []}]))

    told = tracker("track", JOB, JOB)

    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout == (
        f"JOB                                   STATUS   APPLICATIONS\n{JOB}  RUNNING  -\n"
    )
    assert json.loads(loopback.asked[0].body) == [JOB]
    assert credentials(loopback) == "guest:guest-password"
    [shown] = json.loads(tracker("track", "--output", "json", JOB).stdout)
    assert shown == {"id": JOB, "status": "RUNNING", "applications-ids": []}


@pytest.mark.parametrize(
    "text",
    [
        f"job: {JOB}\n",
        f"Job {JOB}@load of {JOB}. ({OTHER})",
        json.dumps({"id": JOB, "parent": OTHER}),
        f"\xff {JOB}".encode("latin-1"),
    ],
)
def test_ids_are_found_in_whatever_comes_through_a_pipe(tracker, loopback, text):
    loopback.says(says([]))

    told = tracker("track", "-", input=text)

    assert told.exit_code == 0, told.output
    assert json.loads(loopback.asked[0].body)[0] == JOB
    assert set(json.loads(loopback.asked[0].body)) <= {JOB, OTHER}


@pytest.mark.parametrize("text", ["", "Error: E0501\n"])
def test_a_pipe_without_an_id_is_refused_and_nothing_is_asked(tracker, loopback, text):
    told = tracker("track", "-", input=text)

    assert told.exit_code == 2
    assert "no Oozie job id in standard input" in told.stderr
    assert text.strip() in told.stderr
    assert loopback.asked == []


def test_an_id_that_oozie_does_not_know_is_told_by_the_exit_code(tracker, loopback):
    loopback.says(says([{"id": JOB, "status": "RUNNING"}, {"id": OTHER, "status": "NOT_FOUND"}]))

    told = tracker("track", JOB, OTHER)

    assert told.exit_code == 1
    assert told.stderr == f"Error: Oozie does not know {OTHER}\n"
    assert JOB in told.stdout


def test_logs_may_be_wanted_however_a_job_ends(tracker, loopback):
    loopback.says(says([{"id": JOB, "status": "RUNNING"}]))

    assert tracker("track", "--copy", "always", JOB).exit_code == 0
    assert loopback.asked[0].query == {"copy": "always"}
    assert tracker("track", JOB).exit_code == 0
    assert loopback.asked[1].query == {}
    assert tracker("track", "--copy", "never", JOB).exit_code == 2


def test_jobs_are_untracked_one_by_one(tracker, loopback):
    loopback.says(Reply(204))

    told = tracker("untrack", JOB, OTHER)

    assert told.exit_code == 0
    assert [asked.path.rpartition("/")[2] for asked in loopback.asked] == [JOB, OTHER]


def test_a_job_is_told_with_its_actions_and_copies(tracker, loopback):
    loopback.says(says(VIEW))

    told = tracker("status", JOB)

    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert lines[0] == f"{JOB} is KILLED"
    assert "  logs     at risk until 2026-11-29T05:00:00.000+00:00" in lines
    assert "load    shell  ERROR   JA018: exit ?[31mcode [1]" in lines
    assert f"1529519049029_0001  SUCCEEDED  12     {SAVED['path']}" in lines
    assert "1529519049029_0002  WAITING    -      in a queue" in lines


def test_of_the_nodes_that_do_nothing_only_those_that_say_why_are_shown(tracker, loopback):
    start = {"name": ":start:", "type": ":START:", "status": "OK"}
    kill = {"name": "no-data", "type": ":KILL:", "status": "OK", "error-message": "no data came"}
    loopback.says(says(VIEW | {"actions": [start, kill]}))

    told = tracker("status", JOB).stdout

    assert "no data came" in told
    assert ":start:" not in told


def test_json_is_what_the_service_said(tracker, loopback):
    loopback.says(says(VIEW))

    told = tracker("status", "--refresh", "--output", "json", JOB)

    assert json.loads(told.stdout) == VIEW
    assert loopback.asked[0].query == {"refresh": "true"}


def test_a_log_goes_to_standard_output_as_it_is(tracker, loopback):
    loopback.says(Reply(body=b"\x00\xff line\r\n" * 10_000))

    told = tracker("logs", JOB, "application_1529519049029_0001")

    assert told.exit_code == 0
    assert told.stdout_bytes == b"\x00\xff line\r\n" * 10_000
    assert loopback.asked[0].path.endswith("/logs/application_1529519049029_0001")


def test_who_reads_only_the_beginning_of_a_log_gets_no_complaint(tracker, loopback):
    loopback.says(Reply(body=b"line\n" * 1_000_000))
    process = subprocess.Popen(
        [sys.executable, "-m", "tracker_service.cli", "logs", JOB],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert (process.wait(180), process.stderr.read()) == (0, b"")


def test_copies_are_asked_for(tracker, loopback):
    answer = {"finished": False, "succeeded": False, "jobs": [SAVED, WAITING], "not-found": []}
    loopback.says(says(answer))

    told = tracker("copy-logs", "-", "--refresh", input=f"job: {JOB}")

    assert told.exit_code == 0
    assert "1529519049029_0002  WAITING    -      in a queue" in told.stdout
    assert told.stdout.endswith("\ncopying is going on: tracker status ID shows how far it is\n")
    assert (loopback.asked[0].path, loopback.asked[0].query) == (
        "/api/task/copy-logs/",
        {"refresh": "true"},
    )
    assert json.loads(tracker("copy-logs", "--output", "json", JOB).stdout) == answer


def test_copies_of_a_job_that_is_not_there_are_told_by_the_exit_code(tracker, loopback):
    loopback.says(says({"finished": True, "succeeded": True, "jobs": [], "not-found": [JOB]}))

    told = tracker("copy-logs", JOB)

    assert told.exit_code == 1
    assert f"not found: {JOB}" in told.stdout


def test_the_tracked_jobs_are_listed(tracker, loopback):
    named = {"id": JOB, "status": "KILLED", "owner": "sam", "name": "nightly"}
    listed = named | {"applications": VIEW["log-jobs"]}
    loopback.says(says([listed]))

    told = tracker("jobs", "--status", "killed", "--owner", "sam")

    assert told.stdout.splitlines()[1] == f"{JOB}  KILLED  sam    nightly  1/2         -"
    assert loopback.asked[0].query == {"status": "KILLED", "user": "sam"}
    assert json.loads(tracker("jobs", "--output", "json").stdout) == [listed]


def test_oozies_own_list_is_shown(tracker, loopback):
    page = {
        "total": 9,
        "offset": 3,
        "len": 1,
        "workflows": [{"id": JOB, "appName": "nightly", "status": "KILLED", "user": "sam"}],
    }
    loopback.says(says(page))

    page_two = ["--filter", "user=sam", "--offset", "3", "--len", "1"]
    told = tracker("jobs", "--oozie", "--status", "killed", *page_two)

    assert told.stdout.splitlines()[1] == f"{JOB}  KILLED  nightly  sam   -"
    assert told.stdout.endswith("\n1 of 9 jobs\n")
    assert loopback.asked[0].query["filter"] == "user=sam;status=KILLED"
    assert json.loads(tracker("jobs", "--all", "--output", "json").stdout) == page


@pytest.mark.parametrize(("status", "code"), [(404, 1), (401, 2), (403, 2), (400, 2), (500, 2)])
def test_no_is_1_and_who_cannot_tell_is_2(tracker, loopback, status, code):
    loopback.says(says({"message": "it is so"}, status))

    told = tracker("status", JOB)

    assert (told.exit_code, told.output) == (code, "Error: it is so\n")


def test_a_service_that_is_away_is_told_in_one_line(tracker):
    told = tracker("status", "--url", "http://127.0.0.1:1", JOB)

    assert told.exit_code == 2
    assert told.output == (
        "Error: http://127.0.0.1:1 cannot be reached; is the service running there?\n"
    )


def test_a_password_over_a_network_without_tls_is_warned_of(environment):
    environment.setenv("TRACKER_PASSWORD", "x")

    told = CliRunner().invoke(cli.main, ["status", "--url", "http://tracker.invalid:1", JOB])

    assert "not encrypted" in told.stderr.splitlines()[0]


def test_the_first_password_is_that_of_the_file(tracker, loopback, tmp_path):
    loopback.says(says([]))
    (tmp_path / "password").write_text("of the: file \nsecond line\n")

    assert tracker("jobs", "--password-file", "password").exit_code == 0

    assert credentials(loopback) == "guest:of the: file "


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_password_file_without_one_is_told(tracker, loopback, tmp_path, content):
    if content is not None:
        (tmp_path / "password").write_bytes(content)

    told = tracker("jobs", "--password-file", "password")

    assert told.exit_code == 2
    assert "--password-file password" in told.stderr
    assert loopback.asked == []


def write_netrc(directory: Path, text: str) -> Path:
    file = directory / ".netrc"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_user_and_password_may_stand_in_netrc(tracker, environment, loopback, tmp_path):
    loopback.says(says([]))
    write_netrc(tmp_path, "machine 127.0.0.1 login sam password of-netrc\n")
    environment.delenv("TRACKER_PASSWORD")
    environment.delenv("TRACKER_USER")

    assert tracker("jobs").exit_code == 0

    assert credentials(loopback) == "sam:of-netrc"


def test_the_case_of_a_host_does_not_matter_in_netrc(tracker, environment, loopback, tmp_path):
    loopback.says(says([]))
    write_netrc(tmp_path, "machine LocalHost login sam password of-netrc\n")
    environment.delenv("TRACKER_PASSWORD")
    environment.delenv("TRACKER_USER")
    environment.setenv("TRACKER_URL", loopback.origin.replace("127.0.0.1", "localhost"))

    assert tracker("jobs").exit_code == 0

    assert credentials(loopback) == "sam:of-netrc"


def test_the_password_of_another_user_is_not_taken_from_netrc(
    tracker, environment, loopback, tmp_path
):
    write_netrc(tmp_path, "machine 127.0.0.1 login sam password of-netrc\n")
    environment.delenv("TRACKER_PASSWORD")
    environment.setattr(os, "open", no_terminal)

    told = tracker("jobs", "--user", "guest")

    assert told.exit_code == 2
    assert "no password of guest for http://127.0.0.1" in told.stderr
    assert loopback.asked == []


def no_terminal(*_: object) -> int:
    raise OSError


def test_a_netrc_that_is_none_is_told(tracker, environment, tmp_path):
    file = write_netrc(tmp_path, "machine\n")
    environment.delenv("TRACKER_PASSWORD")
    environment.setenv("NETRC", str(file))

    told = tracker("jobs")

    assert told.exit_code == 2
    assert f"{file} cannot be used" in told.stderr


def test_a_password_is_asked_for_at_the_terminal(tracker, environment, loopback):
    loopback.says(says([]))
    environment.delenv("TRACKER_PASSWORD")
    environment.setattr(os, "open", lambda *_: os.dup(0))
    typing = mock.Mock(return_value="typed")
    environment.setattr("getpass.getpass", typing)

    assert tracker("jobs").exit_code == 0

    typing.assert_called_once_with(f"Password of guest for {loopback.origin}: ")
    assert credentials(loopback) == "guest:typed"


def test_nobody_gives_a_password_as_an_argument(tracker):
    for command in cli.main.commands.values():
        assert "--password" not in {name for each in command.params for name in each.opts}


def test_no_password_is_in_what_is_printed():
    assert "secret" not in repr(login.Login("guest", "secret"))


def test_the_variables_of_the_command_are_no_unknown_settings(environment):
    for name in ("URL", "USER", "PASSWORD", "CA_FILE"):
        environment.setenv(f"TRACKER_{name}", "x")

    assert load().serve.bind in options.DEFAULT_URL


def test_a_verb_that_asks_reads_no_settings_and_makes_no_file(
    tracker, environment, loopback, tmp_path
):
    loopback.says(says([]))
    environment.setenv("TRACKER_CONFIG", str(tmp_path / "missing.yml"))
    environment.setenv("TRACKER_POLLING__INTERVAL_S", "often")

    assert tracker("jobs").stdout == "no jobs\n"

    assert list(tmp_path.iterdir()) == []


def test_a_verb_that_asks_starts_without_the_service(tracker, loopback):
    heavy = ["sqlalchemy", "flask", "gunicorn", "pydantic", "hdfs", "structlog", "apscheduler"]
    code = (
        "import sys\nfrom tracker_service.cli import main\n"
        f"main(['status', {JOB!r}], standalone_mode=False)\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    loopback.says(says(VIEW))

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stderr == "[]\n"


def test_columns_are_aligned_and_nothing_is_a_dash():
    shown = tables.table(("A", "LONG"), [("longer", None), ("x", 3), (None, "")])

    assert shown == "A       LONG\nlonger  -\nx       3\n-       -"


OTHER_W = "0000002-261122041514971-oozie-test-W"
RANDOM = "cb3383ec-4003-471d-9e4e-2e0-oozie-test-W"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"\ufeffjob: {JOB}\r\n".encode("utf-16-le"), [JOB]),
        (f"{JOB}\n{OTHER_W}\n".encode("utf-8-sig"), [JOB, OTHER_W]),
        (f"{JOB}\u200b, {RANDOM}", [JOB, RANDOM]),
        (f"{OTHER}@12", [f"{OTHER}@12"]),
        (f"the actions {OTHER}@1-3", [f"{OTHER}@1", f"{OTHER}@2", f"{OTHER}@3"]),
        (f"{JOB}@load failed", [JOB]),
        (f"# {OTHER_W}\n{JOB}", [JOB]),
    ],
)
def test_a_pipe_is_read_as_the_service_reads_a_body(tracker, loopback, text, ids):
    loopback.says(says([]))

    told = tracker("track", "-", input=text)

    assert told.exit_code == 0, told.output
    assert json.loads(loopback.asked[0].body) == ids


@pytest.mark.parametrize("text", [JOB + OTHER_W, f"{JOB}\n{OTHER_W[:-1]}w", f"{JOB[1:]}"])
def test_a_pipe_with_a_broken_id_is_refused_and_nothing_is_asked(tracker, loopback, text):
    told = tracker("track", "-", input=text)

    assert told.exit_code == 2
    assert "in standard input" in told.stderr
    assert loopback.asked == []


def test_arguments_are_read_like_a_body_and_what_an_action_means_is_told(tracker, loopback):
    note = f"{OTHER}@1 has started the workflow {OTHER_W}, which is tracked."
    loopback.says(
        says(
            [
                {"id": JOB, "status": "RUNNING"},
                {"id": OTHER_W, "status": "RUNNING", "posted": f"{OTHER}@1", "message": note},
            ]
        )
    )

    told = tracker("track", f"{JOB},", f"{OTHER}@1-2")

    assert told.exit_code == 0, told.output
    assert json.loads(loopback.asked[0].body) == [JOB, f"{OTHER}@1", f"{OTHER}@2"]
    assert told.stdout.endswith(f"\n\n{note}\n")


def test_an_argument_that_is_no_id_is_for_the_service_to_refuse(tracker, loopback):
    loopback.says(says([]))

    tracker("track", "first; drop")

    assert json.loads(loopback.asked[0].body) == ["first; drop"]
