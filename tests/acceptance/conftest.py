from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import RunningService
from tests.stands import Stand

Run = Callable[..., RunningService]


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    running: dict[str, RunningService] = {}
    yield running
    for service in running.values():
        service.end()


@pytest.fixture
def service(
    stand: Stand,
    _shared: dict[str, RunningService],
    tmp_path_factory: pytest.TempPathFactory,
) -> RunningService:
    """The service in front of the stand, started once for all tests that leave it running."""
    if stand.name not in _shared:
        state_dir = tmp_path_factory.mktemp("service") / stand.name
        _shared[stand.name] = RunningService(stand, state_dir)
    return _shared[stand.name]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start services of the test's own: `run(stand, TRACKER_POLLING__INTERVAL_S=6)`."""
    running = []

    def run_service(stand: Stand, **settings: object) -> RunningService:
        state_dir = tmp_path / f"state-{len(running)}"
        running.append(RunningService(stand, state_dir, **settings))
        return running[-1]

    yield run_service
    for service in running:
        service.end()
