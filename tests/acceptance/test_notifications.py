"""Oozie notifies of changes, and jobs are looked at long before their time."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.profiles import REAL_IF_LONG
from tests.stands import SandboxStand, Stand, ask
from tests.waiting import until

pytestmark = pytest.mark.slow

#: So seldom that whatever is known earlier is known because Oozie notified.
SELDOM = {"TRACKER_POLLING__INTERVAL_S": 600, "TRACKER_POLLING__MAX_INTERVAL_S": 600}
GUEST = ("guest", "guest-password")


def new_token(service: RunningService) -> dict[str, Any]:
    answer = requests.post(f"{service.url}/api/notify-tokens", auth=GUEST, timeout=120)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def seen_by_oozie(stand: Stand, job: str) -> str:
    return str(ask(stand, f"oozie/v2/job/{job}?show=status").json()["status"])


def tracked_while_they_run(
    service: RunningService, stand: Stand, *properties: dict[str, str]
) -> list[str]:
    """Start a job with each of these properties, and track all before one of them has ended."""
    for _ in range(10):
        jobs = [stand.start("ok", **each) for each in properties]
        service.track(*jobs)
        if {service.status(job) for job in jobs} <= {"PREP", "RUNNING"}:
            return jobs
    raise AssertionError("each time a job ended before it was tracked")


def test_the_end_of_a_job_that_notifies_is_known_at_once(stand: Stand, run: Run) -> None:
    service = run(stand, **SELDOM)
    properties = new_token(service)["properties"]
    told, quiet = tracked_while_they_run(service, stand, properties, {})

    service.wait_for(told, "SUCCEEDED")

    until(lambda: service.live_tasks(told) == 0)
    until(lambda: seen_by_oozie(stand, quiet), lambda status: status == "SUCCEEDED")
    assert service.status(quiet) != "SUCCEEDED"  # only the notification made the difference
    assert service.query("SELECT count(*) FROM hints")[0][0] == 0


@REAL_IF_LONG
def test_the_logs_of_a_job_that_notifies_of_its_failure_are_saved(stand: Stand, run: Run) -> None:
    service = run(stand, **SELDOM)
    job = stand.start("fail", **new_token(service)["properties"])
    service.track(job)

    copies = service.wait_saved(job)

    assert [copy["status"] for copy in copies.values()] == ["SUCCEEDED"]


@REAL_IF_LONG
def test_a_token_stands_in_no_log_and_in_no_database(stand: Stand, run: Run) -> None:
    service = run(stand, **SELDOM)
    new = new_token(service)
    job = stand.start("ok", **new["properties"])
    service.track(job)
    service.wait_for(job, "SUCCEEDED")
    service.stop()

    log = service.log.read_bytes()
    kept = b"".join(file.read_bytes() for file in service.state_dir.rglob("*") if file.is_file())
    assert log.count(b"/api/notify/") >= 1
    assert new["token"].encode() not in log + kept


def test_a_revoked_token_hastens_nothing(sandbox: SandboxStand, run: Run) -> None:
    service = run(sandbox, **SELDOM)
    new = new_token(service)
    revoked = f"{service.url}/api/notify-tokens/{new['id']}"
    assert requests.delete(revoked, auth=GUEST, timeout=120).status_code == 204
    [job] = tracked_while_they_run(service, sandbox, new["properties"])

    until(lambda: seen_by_oozie(sandbox, job), lambda status: status == "SUCCEEDED")
    until(lambda: service.log.read_text().count("status=404") >= 2)  # it began, and it ended

    assert service.status(job) == "RUNNING"


def test_a_run_that_notifies_after_the_end_is_followed(sandbox: SandboxStand, run: Run) -> None:
    service = run(sandbox, **SELDOM)
    job = sandbox.start("ok", **new_token(service)["properties"])
    service.track(job, sandbox.start("sleep"))  # whose credential is still needed
    until(lambda: service.live_tasks(job) == 0)

    sandbox.rerun(job, "ok")

    until(lambda: service.live_tasks(job) == 1)
    until(lambda: service.live_tasks(job) == 0)
    runs = service.query("SELECT run, status FROM jobs WHERE external_id = ?", (job,))
    assert sorted(runs) == [(0, "SUCCEEDED"), (1, "SUCCEEDED")]
