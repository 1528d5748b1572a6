from __future__ import annotations

import pytest

from tracker_service.engine import clock
from tracker_service.engine.clock import ClockWatch


class Clocks:
    """The two clocks of a machine; stands in for the module `time`."""

    def __init__(self) -> None:
        self.wall, self.since_boot = 1_800_000_000.0, 100.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.since_boot

    def go_on(self, seconds: float, drift_s: float = 0.0) -> None:
        self.since_boot += seconds
        self.wall += seconds + drift_s


@pytest.fixture
def clocks(monkeypatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(clock, "time", clocks)
    return clocks


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0, 1.5])
def test_a_clock_that_was_set_is_noticed_once(clocks, jump_s):
    watch = ClockWatch()

    clocks.go_on(60)
    clocks.wall += jump_s

    assert watch.jump_s() == pytest.approx(jump_s)
    assert watch.jump_s() == 0


def test_a_clock_that_drifts_was_not_set(clocks):
    watch = ClockWatch()

    for _ in range(100):
        clocks.go_on(60, drift_s=0.1)

        assert watch.jump_s() == 0
