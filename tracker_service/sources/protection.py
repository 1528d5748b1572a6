"""Limit concurrent requests, and stop sending to a gateway that is down."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from threading import BoundedSemaphore, Lock

import structlog

from tracker_service.domain.backoff import Backoff
from tracker_service.errors import GatewayUnavailable

log = structlog.get_logger()

GATEWAY = "gateway"  #: the name of the circuit that all requests pass
FAILURES = 5  #: in a row; then nothing is asked for a while
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
PLACE_WAIT_S = 5.0  #: for one of the other requests to be over
#: Ends of paths that are about many things, or about none.
_LISTS = ("jobs", "apps", "v1")


class Health(Enum):
    """What one request shows about the health of whoever should answer it."""

    ALIVE = "alive"
    DEAD = "dead"
    NONE = "none"  #: it says nothing


@dataclass(slots=True)
class Attempt:
    """One request, and what it shows about the gateway and the service behind it."""

    gateway: Health = Health.NONE
    service: Health = Health.NONE
    reason: str = ""  #: why one of them is taken for dead


class Circuit:
    """Stops requests after several in a row had no answer, then lets one through now and then.

    What only ever fails for one path says something about that path; it does not open the circuit.
    """

    def __init__(
        self,
        name: str,
        on_change: Callable[[str, bool], None],
        monotonic: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._name, self._on_change = name, on_change
        self._monotonic = monotonic
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, jitter=0.3, rng=rng)
        self._lock = Lock()
        self._failed: list[str] = []  #: paths, without an answer in between
        self._pauses = 0  #: in a row; 0: closed
        self._next_try = 0.0
        self._is_probed = False
        self._turn = 0  #: what entered in an earlier one says nothing any more

    def look(self) -> None:
        """Raise if a request would be refused now.

        Raises:
            GatewayUnavailable: says when the next request is let through.
        """
        with self._lock:
            self._refuse_while_open()

    def enter(self) -> int:
        """Admit a request; call `leave` afterwards with the result.

        Raises:
            GatewayUnavailable: as `look`.
        """
        with self._lock:
            self._refuse_while_open()
            if self._pauses:
                self._is_probed = True
                self._turn += 1
            return self._turn

    def leave(self, turn: int, health: Health, path: str, reason: str) -> None:
        """Record the outcome of a request.

        Args:
            turn: what `enter` returned.
            path: below the topology.
            reason: for the log.
        """
        with self._lock:
            if turn != self._turn:
                return
            self._is_probed = False
            if health is Health.DEAD:
                self._fail(path, reason)
            elif health is Health.ALIVE:
                self._failed.clear()
                if self._pauses:
                    self._close()

    def _refuse_while_open(self) -> None:
        if not self._pauses:
            return
        left = max(self._next_try - self._monotonic(), FIRST_PAUSE_S if self._is_probed else 0.0)
        if left > 0:
            what = "the gateway" if self._name == GATEWAY else f"{self._name} behind the gateway"
            raise GatewayUnavailable(
                f"{what} did not answer {FAILURES} times in a row; it is asked again in "
                f"{math.ceil(left)} s",
                retry_after_s=math.ceil(left),
            )

    def _fail(self, path: str, reason: str) -> None:
        self._failed = [*self._failed[1 - FAILURES :], path]
        is_general = len(set(self._failed)) > 1 or path.rstrip("/").endswith(_LISTS)
        if self._pauses or (len(self._failed) == FAILURES and is_general):
            self._open(reason)

    def _open(self, reason: str) -> None:
        self._pauses += 1
        pause = self._backoff.after(self._pauses)
        self._turn += 1
        self._next_try = self._monotonic() + pause
        log.warning("circuit_opened", route=self._name, next_try_s=round(pause, 1), reason=reason)
        self._on_change(self._name, True)

    def _close(self) -> None:
        log.info("circuit_closed", route=self._name, tries=self._pauses)
        self._pauses = 0
        self._turn += 1
        self._on_change(self._name, False)


class Protection:
    """The limits of one process for all its requests to one gateway."""

    def __init__(
        self,
        max_concurrent: int = 24,
        on_circuit: Callable[[str, bool], None] = lambda *_: None,
        monotonic: Callable[[], float] = time.monotonic,
        place_wait_s: float = PLACE_WAIT_S,
    ) -> None:
        """Begin with all circuits closed.

        Args:
            max_concurrent: requests at the same time; bodies that stream do not count.
            on_circuit: is told the route and whether its circuit is open, at each change.
        """
        self._places = BoundedSemaphore(max_concurrent)
        self._max_concurrent, self._place_wait_s = max_concurrent, place_wait_s
        self._on_circuit, self._monotonic = on_circuit, monotonic
        self._rng = random.Random()  # noqa: S311 - it is for jitter
        self._circuits: dict[str, Circuit] = {}
        self._lock = Lock()

    @contextmanager
    def admitted(self, path: str, *, is_streamed: bool = False) -> Iterator[Attempt]:
        """Count a request as running during the block, which notes its outcome.

        A dead service closes its own route, a gateway that takes no connection closes all.

        Args:
            path: below the topology; its first part is the route.
            is_streamed: what is sent comes from elsewhere as it is needed: waiting for a place with
                a place in hand could go round in a circle, so it needs none.

        Raises:
            GatewayUnavailable: a circuit is open, or there was no place in time.
        """
        route = path.split("/", 1)[0]
        gateway, service = self._circuit(GATEWAY), self._circuit(route)
        gateway.look()
        service.look()
        attempt = Attempt()
        with self._place(is_streamed):
            at_gateway = gateway.enter()
            try:
                at_service = service.enter()
                try:
                    yield attempt
                finally:
                    service.leave(at_service, attempt.service, path, attempt.reason)
            finally:
                gateway.leave(at_gateway, attempt.gateway, path, attempt.reason)

    def _circuit(self, route: str) -> Circuit:
        with self._lock:
            if route not in self._circuits:
                self._circuits[route] = Circuit(route, self._on_circuit, self._monotonic, self._rng)
            return self._circuits[route]

    @contextmanager
    def _place(self, is_streamed: bool) -> Iterator[None]:
        if is_streamed:
            yield
            return
        if not self._places.acquire(timeout=self._place_wait_s):
            raise GatewayUnavailable(
                f"{self._max_concurrent} requests to the gateway are on their way and none has "
                f"been answered for {self._place_wait_s:g} s",
                retry_after_s=math.ceil(self._place_wait_s),
            )
        try:
            yield
        finally:
            self._places.release()
