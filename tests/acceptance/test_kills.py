"""Kill fifty processes of the service: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crashes.driver import Order, run

pytestmark = pytest.mark.slow


def test_fifty_kills_lose_nothing_and_nothing_is_done_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"again: python -m tests.crashes --kills 50 --seed {seed}")

    report = run(Order(kills=50, seed=seed), tmp_path, print)

    assert report.problems == [], f"with seed {seed}:\n{report}"
    assert report.kills.total() >= 50
    assert report.hits.total() > 0
    assert report.answered > 0
    assert report.saved > 0
    assert report.reports > 0
