from __future__ import annotations

import random

import pytest

from tracker_service.domain.backoff import Backoff


def test_each_pause_is_twice_as_long_up_to_the_longest():
    backoff = Backoff(first_s=5, longest_s=60)

    assert [backoff.after(failures) for failures in (1, 2, 3, 4, 5, 6)] == [5, 10, 20, 40, 60, 60]


def test_a_first_pause_is_no_longer_than_the_longest():
    assert Backoff(first_s=10, longest_s=4).after(1) == 4


def test_pauses_stay_finite_however_long_an_outage_lasts():
    assert Backoff(first_s=5, longest_s=600).after(100_000) == 600


@pytest.mark.parametrize("failures", [1, 3, 9])
def test_jitter_makes_pauses_shorter_and_unequal(failures):
    backoff = Backoff(first_s=10, longest_s=60, jitter=0.3, rng=random.Random(7))
    longest = Backoff(first_s=10, longest_s=60).after(failures)

    pauses = [backoff.after(failures) for _ in range(100)]

    assert 0.7 * longest <= min(pauses) < max(pauses) <= longest
