from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.checks.endpoints import Endpoint
from tracker_service.checks.check import Check
from tracker_service.checks.grammar import Secrets, check_of


@pytest.fixture
def endpoint() -> Iterator[Callable[..., Endpoint]]:
    """Starts endpoints, and closes them in the end."""
    opened: list[Endpoint] = []

    def start(*facts: Any, **more: Any) -> Endpoint:
        opened.append(Endpoint(*facts, **more))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def check() -> Callable[..., Check]:
    """Makes checks as a file would."""

    def make(place: str, **keys: Any) -> Check:
        found = check_of(place, {"cron_schedule": "* * * * *", **keys}, 1, Secrets())
        assert found
        return found

    return make
