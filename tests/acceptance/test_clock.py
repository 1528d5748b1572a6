"""The clock of the tracker's machine is set while it works."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.acceptance.clocks import SettableClock
from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.stands import SandboxStand

pytestmark = pytest.mark.slow


@pytest.fixture
def clock(tmp_path: Path) -> SettableClock:
    """The clock of the service."""
    return SettableClock(tmp_path)


@pytest.fixture
def service(run: Run, sandbox: SandboxStand, clock: SettableClock) -> RunningService:
    return run(sandbox, **clock.environment)


@pytest.mark.parametrize("seconds", [3600, -3600], ids=["ahead", "back"])
def test_a_clock_that_is_set_delays_nothing_and_does_nothing_twice(
    service: RunningService, sandbox: SandboxStand, clock: SettableClock, seconds: int
) -> None:
    before, endless = [sandbox.start("fail") for _ in range(3)], sandbox.start("sleep")
    service.track(*before, endless)
    service.wait_for(endless, "RUNNING")

    clock.set_ahead(seconds)
    after = sandbox.start("fail")
    service.track(after)

    saved = {job: service.wait_saved(job) for job in [*before, after]}
    copies = [copy for theirs in saved.values() for copy in theirs.values()]
    assert {copy["status"] for copy in copies} == {"SUCCEEDED"}
    assert sorted(renamed(sandbox, saved)) == sorted(set(renamed(sandbox, saved)))
    assert "clock_was_set" in service.log.read_text()


def renamed(sandbox: SandboxStand, jobs: Iterable[str]) -> list[str]:
    """Return which logs of these jobs got their name, as often as they did."""
    return [
        seen.path
        for seen in list(sandbox.server.requests)
        if seen.method == "PUT" and "op=RENAME" in seen.query and ".log.part" in seen.path
        if any(job in seen.path for job in jobs)
    ]
