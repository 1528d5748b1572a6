"""The table of all attacks: what was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.conftest import (
    client,
    empty_database,
    engine,
    fake_cluster,
    identities,
    key_ring,
    now,
    oozie,
    service,
    store,
)

__all__ = [  # fixtures
    "client",
    "empty_database",
    "engine",
    "fake_cluster",
    "identities",
    "key_ring",
    "now",
    "oozie",
    "service",
    "store",
]

Row = Callable[[str, str, str], None]
_ROWS = pytest.StashKey[list[tuple[str, str, str]]]()


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """Add a line to the table: the kind, the attack and its outcome."""
    rows = request.config.stash.setdefault(_ROWS, [])
    return lambda kind, attack, outcome: rows.append((kind, attack, outcome))


def pytest_terminal_summary(terminalreporter, config) -> None:
    rows = sorted(config.stash.get(_ROWS, []))
    if rows:
        terminalreporter.section("attacks")
    for kind, attack, outcome in rows:
        terminalreporter.write_line(f"{kind:<10} {attack:<58.58} {outcome}")
