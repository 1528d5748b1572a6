from __future__ import annotations

import pytest

from tracker_service.tracking.places import Pace, Places


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


def test_places_are_taken_and_left():
    places = Places(3)

    places.take(2)
    assert places.free() == 1

    places.leave(0.5)
    assert places.free() == 2


def test_how_busy_they_were_is_told_since_the_last_time():
    places = Places(1)
    places.take(1)
    places.leave(1e9)

    assert places.busy() == 1
    assert places.busy() == 0


def test_to_wait_for_the_next_request_is_no_work():
    paced = []
    places = Places(1, lambda: paced.append("waited"))
    places.take(1)

    places.wait()
    places.leave(0)

    assert paced == ["waited"]
    assert places.busy() == 0
