"""How the service is started: by its users, and by these tests, which leave nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance import command
from tests.acceptance.conftest import Run
from tests.acceptance.service import InstalledService, RunningService, alive
from tests.stands import SandboxStand
from tests.waiting import GENEROUS_S

pytestmark = pytest.mark.slow


class NeverReady(RunningService):
    """A service whose test gives up when all its processes are there."""

    seen: set[int]

    def is_ready(self) -> bool:
        self.seen = self.processes()
        if len(self.seen) >= 4:  # supervisor, worker, gunicorn and its worker
            raise AssertionError("it never becomes ready")
        return False


def test_a_service_that_does_not_become_ready_leaves_no_process(
    sandbox: SandboxStand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []

    def end(service: NeverReady) -> None:
        seen.append(service.seen)
        RunningService.end(service)

    monkeypatch.setattr(NeverReady, "end", end)

    with pytest.raises(AssertionError, match="never becomes ready"):
        NeverReady(sandbox, tmp_path / "state")

    [pids] = seen
    assert len(pids) >= 4
    assert not alive(pids)


def test_a_service_that_ends_at_its_start_is_not_waited_for(
    sandbox: SandboxStand, run: Run
) -> None:
    with pytest.raises(AssertionError, match="interval_s"):
        run(sandbox, TRACKER_POLLING__INTERVAL_S="never")


def test_the_installed_command_runs_the_service_and_asks_it(
    sandbox: SandboxStand, tmp_path: Path
) -> None:
    service = InstalledService(sandbox, tmp_path / "state")
    try:
        job = sandbox.start("fail")
        service.track(job)
        service.wait_saved(job)

        own = command.environment(HOME=tmp_path, **command.login(service.url))
        told = command.installed(["status", job], own, tmp_path / "told")

        assert told.wait(GENEROUS_S) == 0
        assert (tmp_path / "told").read_text().startswith(f"{job} is KILLED\n")
        assert service.stop() == 0
    finally:
        service.end()


def test_only_the_supervisor_holds_the_lock_of_the_state_directory(
    sandbox: SandboxStand, run: Run
) -> None:
    service = run(sandbox)
    lock = service.state_dir / "lock"

    holders = {pid for pid in service.processes() if lock in open_files(pid)}

    assert holders == {service.process.pid}


def open_files(pid: int) -> set[Path]:
    return {Path(os.readlink(each)) for each in Path(f"/proc/{pid}/fd").iterdir()}
