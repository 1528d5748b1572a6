from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import RunningService
from tests.stands import Stand

Run = Callable[..., RunningService]

_shared_services: list[RunningService] = []


def _shared(stand: str) -> Callable[..., Iterator[RunningService]]:
    """Return the fixture of the one service in front of a stand."""

    def service(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[RunningService]:
        state_dir = tmp_path_factory.mktemp("service") / stand
        started = RunningService(request.getfixturevalue(stand), state_dir)
        _shared_services.append(started)
        yield started
        started.end()

    return pytest.fixture(scope="session", name=f"service_of_{stand}")(service)


_of_sandbox, _of_real = _shared("sandbox"), _shared("real")


@pytest.fixture
def service(stand: Stand, request: pytest.FixtureRequest) -> RunningService:
    """The service in front of the stand, started once for all tests that leave it running.

    If it cannot be started, all of these tests fail, and only the first one waits. While tests use
    the one of the other stand, it is stopped: a service that waits computes, too.
    """
    started: RunningService = request.getfixturevalue(f"service_of_{stand.name}")
    for each in _shared_services:
        if each is not started and each.process.poll() is None:
            each.stop()
    if started.process.poll() is not None:
        started.start()
    return started


@pytest.fixture
def saved_job(service: RunningService, stand: Stand) -> str:
    """A job that has failed and whose log is saved, for tests that change neither."""
    return service.saved_job(stand, "fail")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start services for one test alone: `run(stand, TRACKER_POLLING__INTERVAL_S=6)`."""
    running: list[RunningService] = []

    def run_service(stand: Stand, **settings: object) -> RunningService:
        state_dir = tmp_path / f"state-{len(running)}"
        running.append(RunningService(stand, state_dir, **settings))
        return running[-1]

    yield run_service
    for service in running:
        service.end()
