"""The clock of the tracker's machine is set while it works."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.stands import SandboxStand
from tests.waiting import until

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).with_name("settable_clock.c")
SetClock = Callable[[int], None]


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """Return the file that says how far the clock of the service is ahead."""
    file = tmp_path / "clock"
    file.write_bytes(struct.pack("q", 0))
    return file


@pytest.fixture
def set_clock(clock: Path) -> SetClock:
    """Set the clock of the service so many seconds ahead of the true time, at once."""

    def set_ahead(seconds: int) -> None:
        with clock.open("r+b") as file:
            file.write(struct.pack("q", seconds))

    return set_ahead


@pytest.fixture
def service(run: Run, sandbox: SandboxStand, tmp_path: Path, clock: Path) -> RunningService:
    if not (compiler := shutil.which("cc")):
        if os.environ.get("CI"):
            pytest.fail("a C compiler must not be missing in CI", pytrace=False)
        pytest.skip("there is no C compiler")
    library = tmp_path / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE], check=True)
    return run(sandbox, LD_PRELOAD=library, SETTABLE_CLOCK=clock)


@pytest.mark.parametrize("seconds", [3600, -3600], ids=["ahead", "back"])
def test_a_clock_that_is_set_delays_nothing_and_does_nothing_twice(
    service: RunningService, sandbox: SandboxStand, set_clock: SetClock, seconds: int
) -> None:
    before = [sandbox.start("fail") for _ in range(3)]
    service.track(*before)
    until(lambda: [service.status(job) for job in before], lambda seen: "RUNNING" in seen)

    set_clock(seconds)
    after = sandbox.start("fail")
    service.track(after)

    saved = {job: service.wait_saved(job) for job in [*before, after]}
    copies = [copy for theirs in saved.values() for copy in theirs.values()]
    assert {copy["status"] for copy in copies} == {"SUCCEEDED"}
    assert sorted(renamed(sandbox, saved)) == sorted(set(renamed(sandbox, saved)))
    assert "clock_was_set" in service.log.read_text()


def renamed(sandbox: SandboxStand, jobs: dict[str, object]) -> list[str]:
    """Return which logs of these jobs got their name, as often as they did."""
    return [
        seen.path
        for seen in list(sandbox.server.requests)
        if seen.method == "PUT" and "op=RENAME" in seen.query and ".log.part" in seen.path
        if any(job in seen.path for job in jobs)
    ]
