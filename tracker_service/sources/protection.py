"""Protect a gateway from this process: few requests at once, at a pace, none while it is away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock

import structlog

from tracker_service.errors import GatewayUnavailable

log = structlog.get_logger()

PLACES = 32  #: Knox itself opens at most 32 connections to each service behind it
_PLACE_WAIT_S = 10.0
_FAILURES_IN_A_ROW = 5
_FIRST_REST_S = 1.0
_LONGEST_REST_S = 15.0
_BURST_S = 0.25  #: what was not asked for in this time may be asked for at once


class Breaker:
    """Lets nobody wait for a service that does not answer.

    After some failures in a row it is open: requests fail at once. After a rest one request may
    try (half-open); if it succeeds all may, if not the rest is twice as long.
    """

    def __init__(
        self,
        route: str,
        on_open: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._route, self._on_open, self._now = route, on_open, now
        self._failures = 0
        self._rests = 0  # in a row; 0 while it is closed
        self._open_until = 0.0
        self._is_probing = False
        self._lock = Lock()

    def enter(self) -> None:
        """Begin a request.

        Raises:
            GatewayUnavailable: it is open; says for how long.
        """
        with self._lock:
            if not self._rests:
                return
            rest = self._open_until - self._now()
            if rest > 0 or self._is_probing:
                raise GatewayUnavailable(
                    f"{self._route} did not answer {_FAILURES_IN_A_ROW} times in a row; it is "
                    f"asked again in {max(rest, 1):.0f} s"
                )
            self._is_probing = True

    def leave(self, *, was_answered: bool) -> None:
        """End a request."""
        with self._lock:
            if was_answered:
                was_open = self._rests > 0
                self._failures, self._rests, self._is_probing = 0, 0, False
                if was_open:
                    log.info("gateway_answers_again", route=self._route)
                return
            self._failures += 1
            if self._is_probing or (not self._rests and self._failures >= _FAILURES_IN_A_ROW):
                self._open()

    def _open(self) -> None:
        longest = min(_FIRST_REST_S * 2.0**self._rests, _LONGEST_REST_S)
        rest = longest * random.uniform(0.7, 1.0)  # noqa: S311
        self._rests = min(self._rests + 1, 20)
        self._open_until, self._is_probing = self._now() + rest, False
        log.warning("gateway_rests", route=self._route, seconds=round(rest, 1))
        self._on_open(self._route)


@dataclass(slots=True)
class Attempt:
    """A request that is under way."""

    was_answered: bool = False


class Protection:
    """What all sessions of one process and gateway share."""

    def __init__(
        self,
        places: int = PLACES,
        on_open: Callable[[str], None] = lambda _: None,
        place_wait_s: float = _PLACE_WAIT_S,
    ) -> None:
        """Make a protection.

        Args:
            places: requests at the same time, each until its answer begins.
            on_open: is told the route of each breaker that opens.
            place_wait_s: for so long a request waits for a place.
        """
        self._places, self._count = BoundedSemaphore(places), places
        self._on_open, self._place_wait_s = on_open, place_wait_s
        self._breakers: dict[str, Breaker] = {}
        self._lock = Lock()

    @contextmanager
    def request(self, route: str) -> Iterator[Attempt]:
        """Guard one request; the block notes whether it was answered.

        Args:
            route: the service behind the gateway: a dead Oozie closes no way to HDFS.

        Raises:
            GatewayUnavailable: the route rests, or there was no place in time.
        """
        breaker = self._breaker(route)
        if not self._places.acquire(timeout=self._place_wait_s):
            raise GatewayUnavailable(f"{self._count} requests wait for the gateway already")
        try:
            breaker.enter()
            attempt = Attempt()
            try:
                yield attempt
            finally:
                breaker.leave(was_answered=attempt.was_answered)
        finally:
            self._places.release()

    def _breaker(self, route: str) -> Breaker:
        with self._lock:
            if route not in self._breakers:
                self._breakers[route] = Breaker(route, self._on_open)
            return self._breakers[route]


class Pace:
    """Lets requests pass at a rate, in the order in which they came."""

    def __init__(
        self,
        per_s: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_s, self._now, self._sleep = per_s, now, sleep
        self._sharers = 1
        self._next = float("-inf")
        self._lock = Lock()

    def share(self, sharers: int) -> None:
        """Leave to others their part of the rate: so many ask the same gateway."""
        with self._lock:
            self._sharers = max(1, sharers)

    def wait(self) -> None:
        """Return when the next request may be made."""
        with self._lock:
            now = self._now()
            mine = max(self._next, now - _BURST_S)
            self._next = mine + self._sharers / self._per_s
        if mine > now:
            self._sleep(mine - now)
