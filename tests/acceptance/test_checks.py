"""Real processes check the cluster, and endpoints of a file; a killed worker loses nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.stands import SandboxStand
from tests.unit.checks.endpoints import Endpoint, http
from tests.unit.loopback_server import Loopback, Reply
from tests.waiting import until

pytestmark = pytest.mark.slow

EVERY = "  cron_schedule: '@every 1s'\n  on_missed: run_all(1000)\n  jitter: 0s\n"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint(http())
    yield server
    server.close()


@pytest.fixture
def receiver() -> Iterator[Loopback]:
    server = Loopback()
    server.says(Reply(202))
    yield server
    server.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "checks"
    directory.mkdir()
    return directory


@pytest.fixture
def service(run: Run, sandbox: SandboxStand, files: Path, tmp_path: Path) -> RunningService:
    password = tmp_path / "password"
    password.write_text("guest-password\n")
    settings = {
        "directories": [str(files)],
        "cluster": True,
        "cluster_user": "guest",
        "cluster_password_file": str(password),
        "spread_s": 0,
    }
    return run(sandbox, TRACKER_CHECKS=json.dumps(settings))


def check(service: RunningService, name: str, runs: int = 1000) -> dict[str, Any]:
    answer = service.get(f"checks/{name}?runs={runs}")
    return answer.json() if answer.status_code == 200 else {"state": None, "runs": []}


def have_more(service: RunningService, counts: dict[str, int]) -> bool:
    return all(len(check(service, n)["runs"]) > count + 5 for n, count in counts.items())


def test_the_services_of_the_cluster_are_up(service):
    for name in ("knox", "oozie", "webhdfs", "resourcemanager", "jobhistory"):
        found = until(partial(check, service, f"cluster:{name}"), lambda c: c["runs"])
        assert found["error"] is None
        assert found["state"] == "up"


def test_results_are_posted_and_shown(service, files, endpoint, receiver):
    name = f"{endpoint.authority}/health"
    (files / "a.yml").write_text(
        f"{name}:\n{EVERY}  response_json_values: [status]\n"
        f"  post_endpoint: {receiver.origin}/api/v1/events\n"
        "  post_json_info: {title: 'health {status}', tags: [{status: {status}}]}\n"
    )

    until(lambda: len(receiver.asked) > 1)

    assert json.loads(receiver.asked[0].body) == {"title": "health ok", "tags": ["status:ok"]}
    assert len({asked.headers["Idempotency-Key"] for asked in receiver.asked}) > 1
    page = requests.get(f"{service.url}/metrics/checks", timeout=60).text
    assert f'probe_success{{check="{name}"}} 1.0' in page


def test_when_a_worker_is_killed_no_due_time_is_lost_and_none_runs_twice(service, files, endpoint):
    other = service.command("worker")
    names = [f"{endpoint.authority}/{n}" for n in range(5)]
    for n, name in enumerate(names):
        (files / f"{n}.yml").write_text(f"{name}:\n{EVERY}")
    until(lambda: all(len(check(service, name)["runs"]) > 3 for name in names))

    for n in range(3):
        victim = other.pid if n == 0 else until(lambda: service.child("worker"))
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        counts = {name: len(check(service, name)["runs"]) for name in names}
        until(partial(have_more, service, counts))

    for name in names:
        due = sorted(datetime.fromisoformat(run["due"]) for run in check(service, name)["runs"])
        assert due == [due[0] + timedelta(seconds=n) for n in range(len(due))]
