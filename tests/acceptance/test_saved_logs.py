"""What can be done with saved logs, on both clusters: verify, remove, save in any case."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance import command
from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.profiles import REAL_IF_LONG
from tests.stands import SandboxStand, Stand, access
from tests.waiting import until
from tracker_service.errors import PathNotFound

pytestmark = pytest.mark.slow

Tracker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tracker(service: RunningService, tmp_path: Path) -> Tracker:
    """Runs a command of `tracker` as guest."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return command.tracker(tmp_path, command.login(service.url), *arguments)

    return run


@pytest.fixture
def saved(stand: Stand, service: RunningService) -> tuple[str, dict[str, Any]]:
    """A job that has failed and the copy of its only log."""
    job = stand.start("fail")
    service.track(job)
    [copy] = service.wait_saved(job).values()
    return job, copy


def verified(service: RunningService, job: str) -> dict[str, Any]:
    """Have the only saved log of a job verified, and return its copy."""
    answer = service.get(f"job/{job}/logs/status?verify=true")
    assert answer.status_code == 200, answer.text
    [copy] = answer.json()["jobs"].values()
    return dict(copy)


def call(service: RunningService, method: str, path: str, **more: Any) -> requests.Response:
    auth = ("guest", "guest-password")
    return requests.request(method, f"{service.url}/api/{path}", auth=auth, timeout=120, **more)


def names(stand: Stand, directory: str) -> set[str] | None:
    """Return what is in a directory, None if there is none."""
    try:
        return {file.name for file in access(stand).hdfs.list(directory)}
    except PathNotFound:
        return None


@REAL_IF_LONG
def test_a_log_that_somebody_has_damaged_is_found_out(
    stand: Stand, service: RunningService, tracker: Tracker, saved: tuple[str, dict[str, Any]]
) -> None:
    job, copy = saved
    path, hdfs = copy["path"], access(stand).hdfs
    assert copy["completeness"] == "COMPLETE"
    assert service.get(f"job/{job}").json()["logs"] == "saved"
    assert (verified(service, job)["verified"], verified(service, job)["verdict"]) == (
        True,
        "intact",
    )
    shown = tracker("verify", job)
    assert shown.returncode == 0, shown.stderr
    assert "reading 1 of 1" in shown.stderr

    content = b"".join(hdfs.read(path))
    hdfs.write(path, content[:-2] + b"X\n")

    damaged = verified(service, job)
    assert damaged["verified"] is False
    assert copy["sha256"] in damaged["verdict"]
    shown = tracker("verify", job)
    assert (shown.returncode, "  NO  " in shown.stdout) == (1, True)

    hdfs.write(path, content[:-2])
    assert f"{len(content) - 2} bytes, not {len(content)}" in verified(service, job)["verdict"]

    hdfs.delete(path)
    assert verified(service, job)["verdict"] == f"{path} is missing"


def test_removed_logs_are_gone_from_hdfs_and_can_be_copied_again(
    stand: Stand, service: RunningService, tracker: Tracker, saved: tuple[str, dict[str, Any]]
) -> None:
    job, copy = saved
    directory, _, name = copy["path"].rpartition("/")
    access(stand).hdfs.write(f"{directory}/notes.txt", b"mine\n")

    answer = call(service, "DELETE", f"job/{job}/logs")

    assert answer.status_code == 200, answer.text
    removed = [f"{directory}/{name}", f"{directory}/manifest.json"]
    assert (answer.json()["id"], sorted(answer.json()["removed"])) == (job, removed)
    assert names(stand, directory) == {"notes.txt"}
    gone = service.get(f"job/{job}/logs")
    assert (gone.status_code, "you removed the logs" in gone.json()["message"]) == (404, True)
    assert service.get(f"job/{job}").json()["logs"] is None
    assert call(service, "DELETE", f"job/{job}/logs").status_code == 404

    assert tracker("copy-logs", "--wait", job).returncode == 0
    until(lambda: not service.live_tasks(job))
    assert verified(service, job)["verified"] is True

    access(stand).hdfs.delete(f"{directory}/notes.txt")
    shown = tracker("remove-logs", "--yes", job)
    assert (shown.returncode, sorted(shown.stdout.split())) == (0, removed), shown.stderr
    assert names(stand, directory) is None


def test_the_log_of_a_job_that_succeeds_is_saved_if_that_is_wished_when_it_is_posted(
    stand: Stand, service: RunningService
) -> None:
    job = stand.start("ok")

    answer = call(service, "POST", "task/track/?copy=always", json=[job])

    assert answer.status_code == 200, answer.text
    service.wait_for(job, "SUCCEEDED")
    told = until(
        lambda: service.get(f"job/{job}").json(), lambda seen: seen["logs"] == "saved", seconds=180
    )
    [(application, copy)] = told["log-jobs"].items()
    log = service.get(f"job/{job}/logs").content
    assert log == stand.yarn_logs(f"application_{application}", "guest")
    assert (copy["completeness"], copy["bytes"]) == ("COMPLETE", len(log))


def test_a_log_that_waits_is_given_up_when_the_logs_are_removed(
    stand: Stand, service: RunningService
) -> None:
    job = stand.start("sleep")
    assert call(service, "POST", "task/track/?copy=always", json=[job]).status_code == 200
    until(lambda: service.get(f"job/{job}?refresh=true").json()["log-jobs"])

    answer = call(service, "DELETE", f"job/{job}/logs")

    assert (answer.status_code, answer.json()["removed"]) == (200, [])
    [copy] = service.get(f"job/{job}/logs/status").json()["jobs"].values()
    assert (copy["status"], copy["reason"]) == ("KILLED", "you removed the logs")
    stand.kill(job)


def test_old_logs_of_who_tracks_something_are_removed(sandbox: SandboxStand, run: Run) -> None:
    service = run(sandbox, TRACKER_COPYING__KEEP_COPIES_H=0.0001)
    failed, running = sandbox.start("fail"), sandbox.start("sleep")
    service.track(failed, running)
    [copy] = service.wait_saved(failed).values()

    def told() -> dict[str, Any]:
        [now] = service.get(f"job/{failed}/logs/status").json()["jobs"].values()
        return dict(now)

    gone = until(told, lambda seen: seen["status"] == "KILLED")
    assert gone["reason"] == "removed: older than copying.keep_copies_h"
    until(lambda: names(sandbox, copy["path"].rpartition("/")[0]) is None)
    assert service.get(f"job/{failed}").json()["logs"] is None
    sandbox.kill(running)
