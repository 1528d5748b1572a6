from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.service import RunningService
from tests.stands import Stand


@pytest.fixture(scope="session")
def _services(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, RunningService]]:
    running: dict[str, RunningService] = {}
    yield running
    for service in running.values():
        service.stop()


@pytest.fixture
def service(
    stand: Stand,
    _services: dict[str, RunningService],
    tmp_path_factory: pytest.TempPathFactory,
) -> RunningService:
    """The service in front of the stand, started once for all tests that leave it running."""
    if stand.name not in _services:
        state_dir = tmp_path_factory.mktemp("service") / stand.name
        _services[stand.name] = RunningService(stand, state_dir)
    return _services[stand.name]
