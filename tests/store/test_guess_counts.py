"""Wrong credentials are counted over all processes, by name, by address and over all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tracker_service.errors import GatewayUnavailable, NotAuthenticated, TooManyRequests
from tracker_service.identities.failed_logins import FailedLogins

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _reached(store, guesses: list[tuple[str | None, str]]) -> int:
    """Guess from three processes at once; return how many guesses the gateway would see."""
    processes = [FailedLogins(store, lambda: NOW) for _ in range(3)]

    def guess(number: int) -> bool:
        try:
            with processes[number % 3].counted(*guesses[number]):
                raise NotAuthenticated
        except NotAuthenticated:
            return True
        except TooManyRequests:
            return False

    with ThreadPoolExecutor(6) as threads:
        return sum(threads.map(guess, range(len(guesses))))


def test_an_address_has_thirty_guesses_whatever_the_names(store):
    assert _reached(store, [(f"user{n}", "192.0.2.1") for n in range(40)]) == 30


def test_a_name_has_three_guesses_and_one_for_an_address_that_has_not_guessed(store):
    spellings = ["guest", "GUEST", " guest", "gues\\74"] * 3

    assert _reached(store, [(name, "192.0.2.1") for name in spellings]) == 3
    assert _reached(store, [(name, "192.0.2.2") for name in spellings]) == 1


def test_a_client_that_changes_its_part_of_an_ipv6_address_is_one_client(store):
    assert _reached(store, [(f"user{n}", f"2001:db8::{n:x}") for n in range(1, 36)]) == 30


def test_what_the_gateway_could_not_say_costs_no_guess(store):
    logins = FailedLogins(store, lambda: NOW)
    for _ in range(5):
        with pytest.raises(GatewayUnavailable), logins.counted("guest", "192.0.2.1"):
            raise GatewayUnavailable("away")

    with logins.counted("guest", "192.0.2.1"):
        pass
