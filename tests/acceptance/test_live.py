"""The logs of containers that still run, read through the gateway by their owner."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.acceptance.test_main_way import wait_until_running
from tests.stands import SandboxStand, Stand, access, sandbox_stand
from tests.waiting import until
from tracker_service.archive.reading.live import Chosen, live_log
from tracker_service.domain.applications import ApplicationId
from tracker_service.errors import NotAllowed, NotRunning, RouteClosed

pytestmark = pytest.mark.slow

STDOUT = Chosen(file="stdout")


def running(stand: Stand) -> tuple[str, ApplicationId]:
    """Start a job of guest that writes a line each second, and wait until it has a container."""
    job = stand.start("sleep")
    [application] = until(lambda: stand.yarn_applications(job))
    wait_until_running(stand, application)
    return job, ApplicationId(application)


def ticks(stand: Stand, application: ApplicationId, user: str = "guest") -> int:
    text = b"".join(live_log(access(stand, user), user, application, STDOUT))
    return len(re.findall(rb"tick \d+\n", text))


@pytest.fixture(scope="module")
def started(stand: Stand) -> Iterator[tuple[str, ApplicationId]]:
    job, application = running(stand)
    yield job, application
    stand.kill(job)


def test_the_owner_sees_the_log_grow_and_nobody_else_sees_it(
    stand: Stand, started: tuple[str, ApplicationId]
) -> None:
    _, application = started
    seen = until(lambda: ticks(stand, application))

    until(lambda: ticks(stand, application) > seen)

    with pytest.raises(NotAllowed, match="belongs to guest"):
        ticks(stand, application, "sam")


def test_all_logs_of_the_container_are_given(
    stand: Stand, started: tuple[str, ApplicationId]
) -> None:
    _, application = started
    until(lambda: ticks(stand, application))

    text = b"".join(live_log(access(stand), "guest", application, Chosen()))

    names = re.findall(rb"(?m)^LogType:(.*)$", text)
    assert {b"prelaunch.err", b"prelaunch.out", b"stderr", b"stdout"} <= set(names)
    number = application.removeprefix("application_").encode()
    assert set(re.findall(rb"(?m)^Container: (container_\S+) on \S+$", text)) == {
        b"container_" + number + b"_01_000001"
    }


def test_once_it_has_ended_its_saved_log_is_to_be_read(stand: Stand) -> None:
    job, application = running(stand)
    stand.kill(job)
    until(lambda: access(stand).yarn.application(application).has_ended)

    with pytest.raises(NotRunning, match="read its saved log"):
        live_log(access(stand), "guest", application, Chosen())


@pytest.fixture
def closed() -> Iterator[SandboxStand]:
    """A site whose topology does not lead to the NodeManagers."""
    with sandbox_stand() as stand:
        stand.server.lacking.add("yarn")
        yield stand


def test_a_site_that_does_not_allow_it_says_so(closed: SandboxStand) -> None:
    _, application = running(closed)

    with pytest.raises(RouteClosed, match="needs the service YARNUI"):
        live_log(access(closed), "guest", application, Chosen())
