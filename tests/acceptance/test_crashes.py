"""Pull the plug at bad moments: an id that was answered with 200 is never lost."""

from __future__ import annotations

import os
import signal

import pytest

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService, alive
from tests.stands import SandboxStand, Stand, access
from tests.waiting import GENEROUS_S, until

pytestmark = pytest.mark.slow


@pytest.fixture
def own_service(stand: Stand, run: Run) -> RunningService:
    return run(stand)


def test_all_processes_killed_at_once_after_the_answer_lose_nothing(
    own_service: RunningService, stand: Stand
) -> None:
    failing, endless = stand.start("fail"), stand.start("sleep")
    own_service.track(failing, endless)

    own_service.kill_all()
    own_service.start()

    [application] = own_service.wait_saved(failing)
    expected = stand.yarn_logs(f"application_{application}", "guest")
    assert own_service.get(f"job/{failing}/logs").content == expected
    assert own_service.status(endless) == "RUNNING"
    stand.kill(endless)
    assert own_service.wait_saved(endless)


def test_a_workflow_is_found_again_after_a_crash_in_its_middle(run: Run, stand: Stand) -> None:
    own_service = run(stand, TRACKER_COPYING__STRATEGY="workflow")
    job = stand.start("fail")
    own_service.track(job)
    running = "SELECT job FROM copies WHERE status = 'RUNNING' AND job IS NOT NULL"
    [[copy_job]] = until(lambda: own_service.query(running))

    own_service.kill_all()
    own_service.start()

    [copy] = own_service.wait_saved(job).values()
    assert (copy["status"], copy["job"]) == ("SUCCEEDED", copy_job)
    assert own_service.query("SELECT attempt FROM copies") == [(1,)]
    files = access(stand).hdfs.list(f"/user/guest/WORK/logs/{job}")
    assert {file.name for file in files} == {
        f"application_{copy['application']}.log",
        "manifest.json",
    }


def test_no_process_outlives_the_supervisor(sandbox: SandboxStand, run: Run) -> None:
    service = run(sandbox)
    pids = service.processes()
    assert len(pids) >= 4  # supervisor, worker, gunicorn and its worker

    service.kill_supervisor()

    until(lambda: not alive(pids))


@pytest.mark.parametrize("role", ["worker", "serve"])
def test_a_child_that_dies_is_started_again(sandbox: SandboxStand, run: Run, role: str) -> None:
    service = run(sandbox)
    job = sandbox.start("fail")
    service.track(job)

    child = service.child(role)
    assert child
    family = service.processes(below=child)

    os.kill(child, signal.SIGKILL)

    until(lambda: not alive(family))
    until(service.is_ready)
    assert service.wait_saved(job)
    assert f"child={role} exit=-9" in service.log.read_text()
    assert service.stop() == 0


def test_one_state_directory_serves_one_tracker_run(sandbox: SandboxStand, run: Run) -> None:
    service = run(sandbox)

    second = service.launch()

    assert second.wait(GENEROUS_S) == 1
    assert "another `tracker run` uses" in service.log.read_text()
    assert service.is_ready()
    assert service.stop() == 0


def test_an_orderly_stop_gives_all_jobsets_back_at_once(sandbox: SandboxStand, run: Run) -> None:
    service = run(sandbox)
    service.track(sandbox.start("sleep"))
    until(lambda: service.query("SELECT 1 FROM jobsets WHERE owner IS NOT NULL"))
    pids = service.processes()

    assert service.stop() == 0

    assert not alive(pids)
    assert service.query("SELECT owner FROM jobsets") == [(None,)]
    assert service.query("SELECT count(*) FROM workers") == [(0,)]
