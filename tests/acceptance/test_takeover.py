"""A worker that was killed is replaced at once, however long its lease lasts."""

from __future__ import annotations

import os
import signal

import pytest

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.stands import SandboxStand
from tests.waiting import until

pytestmark = pytest.mark.slow

HOUR_S = 3600  #: longer than a test waits for anything


@pytest.fixture
def service(run: Run, sandbox: SandboxStand) -> RunningService:
    return run(sandbox, TRACKER_WORKER__LEASE_S=HOUR_S)


def work(service: RunningService, sandbox: SandboxStand) -> None:
    """Have the worker hold a jobset with a job that has not ended."""
    failed = sandbox.start("fail")
    service.track(failed, sandbox.start("sleep"))
    service.wait_saved(failed)


def test_after_all_processes_were_killed_the_next_start_takes_over_at_once(
    service: RunningService, sandbox: SandboxStand
) -> None:
    work(service, sandbox)

    service.kill_all()
    service.start()

    work(service, sandbox)


def test_after_its_worker_was_killed_the_service_goes_on_at_once(
    service: RunningService, sandbox: SandboxStand
) -> None:
    work(service, sandbox)

    os.kill(until(lambda: service.child("worker") or 0, bool), signal.SIGKILL)

    work(service, sandbox)
