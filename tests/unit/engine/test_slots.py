from __future__ import annotations

import pytest

from tracker_service.engine.slots import Pace, Slots


class Time:
    """A clock that sleepers move on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def test_requests_pass_at_their_rate(time):
    pace = Pace(50, time, time.sleep)
    began = time.now

    for _ in range(500):
        pace.wait()

    assert time.now - began == pytest.approx(10, abs=0.3)


def test_who_was_quiet_for_long_saves_no_more_than_a_moment(time):
    pace = Pace(50, time, time.sleep)
    time.now += 3600
    began = time.now

    for _ in range(100):
        pace.wait()

    assert time.now - began >= 1.7


def test_workers_share_the_rate(time):
    pace = Pace(50, time, time.sleep)
    pace.share(4)
    began = time.now

    for _ in range(100):
        pace.wait()

    assert time.now - began == pytest.approx(8, abs=0.5)


def test_slots_are_taken_and_left():
    slots = Slots(3)

    slots.take(2)
    assert slots.free() == 1

    slots.release(0.5)
    assert slots.free() == 2


def test_how_busy_they_were_is_told_since_the_last_time():
    slots = Slots(1)
    slots.take(1)
    slots.release(1e9)

    assert slots.busy() == 1
    assert slots.busy() == 0


def test_to_wait_for_the_next_request_is_no_work():
    paced = []
    slots = Slots(1, lambda: paced.append("waited"))
    slots.take(1)

    slots.wait()
    slots.release(0)

    assert paced == ["waited"]
    assert slots.busy() == 0
