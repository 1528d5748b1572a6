"""`tracker logs --follow`: what a job writes is printed while it runs, then the rest of its log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.acceptance import command
from tests.acceptance.service import RunningService
from tests.acceptance.test_main_way import saved_log
from tests.stands import Stand
from tests.waiting import GENEROUS_S, until

pytestmark = pytest.mark.slow


class Followed:
    """The command as it follows a job, and what it has printed so far."""

    def __init__(self, service: RunningService, job: str, directory: Path) -> None:
        self._printed, self._said = directory / "printed", directory / "said"
        own = command.environment(HOME=directory, **command.login(service.url))
        files = warm.Files(self._printed, self._said)
        self.process = warm.start(["logs", "--follow", job], own, files, directory)

    @property
    def printed(self) -> str:
        return self._printed.read_text()

    @property
    def said(self) -> str:
        return self._said.read_text()

    @property
    def ticks(self) -> list[int]:
        return ticks_in(self.printed)


def ticks_in(text: str) -> list[int]:
    """Return the numbers that the job has written, one each second."""
    return [int(number) for number in re.findall(r"tick (\d+)\n", text)]


@pytest.fixture
def followed(
    service: RunningService, stand: Stand, tmp_path: Path
) -> Iterator[tuple[str, Followed]]:
    """A job that runs and is tracked, with the command that has just begun to follow it."""
    job = stand.start("sleep")
    service.track(job)
    following = Followed(service, job, tmp_path)
    yield job, following
    following.process.kill()
    following.process.wait()
    if service.status(job) == "RUNNING":
        stand.kill(job)


def test_what_a_job_writes_is_printed_while_it_runs_and_to_its_end(
    service: RunningService, stand: Stand, followed: tuple[str, Followed]
) -> None:
    job, following = followed
    seen = until(lambda: following.ticks)
    until(lambda: len(following.ticks) > len(seen))
    assert service.status(job) == "RUNNING"
    assert following.process.poll() is None

    stand.kill(job)

    assert following.process.wait(GENEROUS_S) == 0, following.said
    [copy] = service.wait_saved(job).values()
    whole = ticks_in(saved_log(stand, copy["path"]).decode())
    assert set(whole) <= set(following.ticks)
    assert re.search(r"^==> container_\w+/stdout <==$", following.printed, re.MULTILINE)
    if stand.name == "real":  # the sandbox saves the log of another run than the one that it shows
        assert following.ticks == whole == list(range(1, len(whole) + 1))
