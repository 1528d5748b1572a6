"""Every call of the API on both clusters, beyond the way of one failed job."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import Any

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.profiles import REAL_IF_LONG
from tests.stands import SandboxStand, Stand, access
from tests.waiting import until
from tracker_service.domain.applications import ApplicationId


def copy_logs(
    service: RunningService, *jobs: str, refresh: bool = False, user: str = "guest"
) -> dict[str, Any]:
    answer = requests.post(
        f"{service.url}/api/task/copy-logs/{'?refresh=true' if refresh else ''}",
        json=list(jobs),
        auth=(user, f"{user}-password"),
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def wait_copied(service: RunningService, job: str) -> dict[str, Any]:
    """Wait until each wanted log of a job is saved, and return its copies."""

    def look() -> tuple[bool, dict[str, Any]]:
        told = service.get(f"job/{job}/logs/status").json()
        return told["succeeded"] and bool(told["jobs"]), told["jobs"]

    return until(look, lambda seen: seen[0])[1]


@REAL_IF_LONG
def test_the_logs_of_a_job_that_succeeds_are_saved_if_somebody_wants_them(
    stand: Stand, service: RunningService
) -> None:
    job = stand.start("ok")
    first = copy_logs(service, job)
    assert (first["finished"], first["succeeded"]) == (False, False)

    service.wait_for(job, "SUCCEEDED")
    [(application, copy)] = wait_copied(service, job).items()

    log = service.get(f"job/{job}/logs")
    assert log.content == stand.yarn_logs(f"application_{application}", "guest")
    assert copy["bytes"] == len(log.content)
    until(lambda: not service.live_tasks(job))
    again = copy_logs(service, job)
    assert (again["finished"], again["succeeded"]) == (True, True)
    assert [each["status"] for each in again["jobs"]] == ["SUCCEEDED"]


def test_a_saved_log_is_copied_again_with_refresh_and_is_readable_all_the_time(
    stand: Stand, service: RunningService
) -> None:
    job = stand.start("fail")
    service.track(job)
    before = service.wait_saved(job)
    log = service.get(f"job/{job}/logs").content
    assert log

    copy_logs(service, job, refresh=True)

    def is_new() -> bool:
        assert service.get(f"job/{job}/logs").content == log
        now = service.get(f"job/{job}/logs/status").json()
        changed = {app: copy["attempts"] for app, copy in now["jobs"].items()} != {
            app: copy["attempts"] for app, copy in before.items()
        }
        return bool(now["succeeded"] and changed)

    until(is_new)


def test_a_log_that_is_wanted_while_the_job_runs_is_saved_when_the_application_ends(
    stand: Stand, service: RunningService
) -> None:
    job = stand.start("sleep")
    service.track(job)
    service.wait_for(job, "RUNNING")
    applications = until(lambda: service.get(f"job/{job}?refresh=true").json()["applications-ids"])
    yarn = access(stand).yarn  # a container that was never started has no log
    until(
        lambda: yarn.application(ApplicationId(f"application_{applications[0]}")).state == "RUNNING"
    )

    told = copy_logs(service, job)
    assert {each["application"] for each in told["jobs"]} == set(applications)
    assert {each["status"] for each in told["jobs"]} == {"WAITING"}

    stand.kill(job)
    service.wait_for(job, "KILLED")
    copies = wait_copied(service, job)
    assert set(applications) <= set(copies)


@REAL_IF_LONG
def test_who_stops_tracking_keeps_what_is_saved(stand: Stand, service: RunningService) -> None:
    saved, running = stand.start("fail"), stand.start("sleep")
    service.track(saved, running)
    service.wait_saved(saved)
    log = service.get(f"job/{saved}/logs").content

    for job in (saved, running):
        answer = requests.delete(
            f"{service.url}/api/task/track/{job}", auth=("guest", "guest-password"), timeout=120
        )
        assert (answer.status_code, answer.content) == (204, b"")

    listed = {each["id"] for each in service.get("jobs/tracking").json()}
    assert not listed & {saved, running}
    assert service.get(f"job/{saved}/logs").content == log
    assert service.get(f"job/{running}").json()["tracked"] is False
    until(lambda: not service.live_tasks(running))
    stand.kill(running)


def test_oozies_own_list_is_passed_on(stand: Stand, service: RunningService) -> None:
    job = stand.start("sleep")

    told = service.get("jobs/", params={"filter": f"id={job}", "len": 5, "jobtype": "wf"}).json()

    assert [each["id"] for each in told["workflows"]] == [job]
    assert (told["total"], told["offset"], told["len"]) == (1, 1, 5)
    assert service.get("jobs?len=1&offset=1").json()["len"] == 1
    assert "coordinatorjobs" in service.get("jobs/?jobtype=coord").json()
    stand.kill(job)


@pytest.mark.parametrize("query", ["filter=status%3DBROKEN", "filter=size%3D1"])
def test_what_oozie_does_not_understand_is_the_callers_to_mend(
    stand: Stand, service: RunningService, query: str
) -> None:
    answer = service.get(f"jobs/?{query}")

    assert answer.status_code == 400
    assert "E0420" in answer.json()["message"]


def test_posting_one_id_costs_at_most_two_requests(sandbox: SandboxStand, run: Run) -> None:
    job = sandbox.start("sleep")
    service = run(sandbox, TRACKER_POLLING__INTERVAL_S=3600)
    sandbox.server.requests.clear()

    assert service.post(job).status_code == 200  # by a caller who was never seen before

    assert len(sandbox.server.requests) <= 2, sandbox.server.requests
    sandbox.server.requests.clear()
    assert service.post(job).status_code == 200
    assert len(sandbox.server.requests) <= 1


def test_the_metrics_of_all_processes_are_counted(sandbox: SandboxStand, run: Run) -> None:
    service = run(sandbox, TRACKER_SERVE__PROCESSES=2)
    job = sandbox.start("sleep")
    service.track(job)
    for _ in range(40):
        service.get(f"job/{job}/status")

    def told() -> str:
        return requests.get(f"{service.url}/metrics", timeout=120).text

    count = (
        'tracker_http_request_duration_seconds_count{method="GET",'
        'route="/api/job/<job_id>/status",status="200"} 40.0'
    )
    until(lambda: count in told())
    # The worker, which nobody can ask, has asked the gateway too.
    worker_asked = 'tracker_gateway_request_duration_seconds_count{outcome="ok",route="oozie"}'
    before = _value(told(), worker_asked)
    until(lambda: _value(told(), worker_asked) > before)


def _value(text: str, name: str) -> float:
    return max((float(line.split()[-1]) for line in text.splitlines() if name in line), default=0)


def test_a_body_of_a_gigabyte_is_refused_at_once(sandbox: SandboxStand, run: Run) -> None:
    service = run(sandbox)
    client = HTTPConnection(service.url.removeprefix("http://"), timeout=120)
    client.putrequest("POST", "/api/task/track/")
    client.putheader("Content-Type", "text/plain")
    client.putheader("Content-Length", str(2**30))
    client.endheaders()  # and none of the body

    answer = client.getresponse()

    assert answer.status == 413
    assert answer.headers["Connection"] == "close"
    assert "1 MiB" in answer.read().decode()
    answer.close()
    client.close()
