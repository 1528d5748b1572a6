"""Few wrong credentials of a name reach the gateway, and nobody is kept out by those of others."""

from __future__ import annotations

import pytest

from tracker_service.errors import GatewayUnavailable, NotAuthenticated, TooManyRequests
from tracker_service.identities import Callers, Identities, KeptCredentials
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import AccessPool

GUEST, SAM = BasicCredential("guest", "guest-password"), BasicCredential("sam", "sam-password")


def guess(identities: Identities, user: str = "guest", password: str = "wrong") -> None:
    with pytest.raises(NotAuthenticated):
        identities.verify(BasicCredential(user, password))


@pytest.fixture
def guessed(identities) -> Identities:
    """Three wrong passwords of guest were tried just now."""
    for number in range(3):
        guess(identities, password=f"wrong {number}")
    return identities


def test_the_fourth_wrong_one_waits_and_does_not_reach_the_gateway(guessed, fake_cluster):
    with pytest.raises(TooManyRequests) as refused:
        guessed.verify(BasicCredential("guest", "wrong 3"))

    assert len(fake_cluster.verified) == 3
    assert 0 < refused.value.retry_after_s <= 60


def test_the_right_one_waits_as_well_if_nobody_knows_that_it_is_right(guessed, fake_cluster):
    with pytest.raises(TooManyRequests):
        guessed.verify(GUEST)

    assert len(fake_cluster.verified) == 3


def test_who_was_verified_lately_gets_in_whatever_others_try(identities, now, fake_cluster):
    identities.verify(GUEST)
    now.advance(hours=11)
    for number in range(3):
        guess(identities, password=f"wrong {number}")

    assert identities.verify(GUEST).name == "guest"


def test_what_was_right_yesterday_counts_once_it_is_wrong(identities, now, fake_cluster):
    identities.verify(GUEST)
    now.advance(minutes=2)
    fake_cluster.passwords["guest"] = "changed"
    for _ in range(3):
        guess(identities, password="guest-password")

    with pytest.raises(TooManyRequests):
        identities.verify(GUEST)


def test_right_ones_do_not_count(identities, now, fake_cluster):
    for _ in range(5):
        identities.verify(GUEST)
        now.advance(minutes=2)

    guess(identities)


def test_an_outage_counts_nothing(identities, fake_cluster):
    fake_cluster.is_away = True
    for _ in range(5):
        with pytest.raises(GatewayUnavailable):
            identities.verify(GUEST)

    fake_cluster.is_away = False
    assert identities.verify(GUEST).name == "guest"


def test_in_no_minute_there_are_more_than_three(identities, now, fake_cluster):
    tried = []
    for second in range(180):
        now.advance(seconds=1)
        try:
            identities.verify(BasicCredential("guest", f"wrong {second}"))
        except NotAuthenticated:
            tried.append(second)
        except TooManyRequests:
            pass

    assert len(tried) == len(fake_cluster.verified) == 9
    assert all(later - first >= 60 for first, later in zip(tried, tried[3:], strict=False))


def test_names_are_counted_as_the_directory_compares_them(guessed):
    with pytest.raises(TooManyRequests):
        guessed.verify(BasicCredential("GUEST", "wrong 3"))


def test_each_name_has_tries_of_its_own(guessed):
    assert guessed.verify(SAM).name == "sam"


def test_all_processes_count_together(guessed, store, key_ring, fake_cluster, now):
    pool = AccessPool(fake_cluster.access)
    callers, kept = Callers(store, key_ring, pool, now), KeptCredentials(store, key_ring, pool, now)
    other = Identities(callers, kept, pool, "http://knox")

    with pytest.raises(TooManyRequests):
        other.verify(BasicCredential("guest", "wrong 3"))
