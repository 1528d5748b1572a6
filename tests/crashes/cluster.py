"""The cluster: a sandbox that records its requests, and kills the senders of some of them."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import unquote

from werkzeug.exceptions import ClientDisconnected

from tests.crashes.processes import Family
from tests.crashes.steps import Moment, Plan, Point
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.server import SandboxServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_PUBLISHED = re.compile(
    r"^PUT .*/user/(?P<user>[^/]+)/WORK/logs/(?P<job>[^/]+)/(?P<name>[^?]+)\.part-"
    r"(?P<copy>[0-9a-f]+)-(?P<attempt>\d+)\?.*op=RENAME"
)
_MANIFEST = re.compile(r"^PUT .*/WORK/logs/[^?]*\.manifest[^?]*\?.*op=RENAME")
_MIDDLE_BYTES = 10_000
_CHOICE_S = 2.0
_PAUSE_S = 0.25  #: on average between two kills at a point
_SHARE_OF_DATABASE = 0.1  #: of these kills


@dataclass(frozen=True, slots=True)
class Published:
    """A part of a log that was renamed to the log."""

    at: float
    user: str
    job: str
    name: str
    copy: str
    attempt: int

    @property
    def path(self) -> str:
        return f"/user/{self.user}/WORK/logs/{self.job}/{self.name}"


@dataclass
class Record:
    """The requests that the cluster has carried out."""

    requests: Counter[str] = field(default_factory=Counter)  #: by the service behind the gateway
    published: list[Published] = field(default_factory=list)
    manifests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, request: str, status: str) -> None:
        """Record a request that was carried out, also if its answer gets lost."""
        with self._lock:
            path = request.partition("/gateway/sandbox/")[2]
            self.requests[path.partition("/")[0] or "other"] += 1
            if not status.startswith("200"):
                return
            if told := _PUBLISHED.match(unquote(request)):
                user, job, name, copy, attempt = told.groups()
                self.published.append(Published(time.time(), user, job, name, copy, int(attempt)))
            self.manifests += bool(_MANIFEST.match(request))


class Traps:
    """Waits at the chosen points for the processes to kill there."""

    def __init__(
        self, family: Family, plan: Plan, rng: Random, crash_database: Callable[[], bool]
    ) -> None:
        self._family, self._plan, self._rng = family, plan, rng
        self._crash_database = crash_database
        self._is_armed = False
        self._next = self._choose_at = 0.0
        self._lock = threading.Lock()

    def arm(self) -> None:
        """Choose the points to wait at for the next seconds."""
        now = time.monotonic()
        if now >= self._choose_at:
            with self._lock:
                self._plan.choose()
            self._choose_at = now + _CHOICE_S
        self._is_armed = True

    def disarm(self) -> None:
        """Stop killing: all requests pass."""
        self._is_armed = False

    def sprung(self, request: str, sender: Callable[[], int | None]) -> tuple[Point, int] | None:
        """Return the point at which to kill the sender of a request, and its process."""
        if time.monotonic() < self._next:
            return None
        fitting = [p for p in self._plan.chosen if p.step.pattern.search(request)]
        if not self._is_armed or not fitting or (pid := sender()) is None:
            return None
        role = self._family.role_of(pid)
        with self._lock:
            left = [p for p in fitting if p in self._plan.chosen and p.step.role == role]
            if not left or time.monotonic() < self._next:
                return None
            point = self._rng.choice(left)
            self._plan.hit(point)
            self._next = time.monotonic() + self._rng.expovariate(1 / _PAUSE_S)
            return point, pid

    def kill(self, point: Point, pid: int) -> None:
        """Kill the sender of a request, or sometimes the database under it.

        The kill counts unless the sender is already dead.
        """
        if self._rng.random() < _SHARE_OF_DATABASE and self._crash_database():
            return
        if not self._family.kill(pid):
            with self._lock:
                self._plan.hits[point] -= 1

    def kill_soon(self, point: Point, pid: int) -> None:
        """Kill the sender while its request goes on."""
        timer = threading.Timer(self._rng.uniform(0, 0.05), self.kill, (point, pid))
        timer.daemon = True
        timer.start()


class WatchedSandbox(SandboxServer):
    """A sandbox that records its requests, and has traps for the processes that send them."""

    def __init__(self, cluster: Cluster, family: Family, traps: Traps) -> None:
        super().__init__(cluster)
        self._family, self._traps = family, traps
        self.record = Record()
        self._server.app = self._watched

    def _watched(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']}"

        def sender() -> int | None:
            return self._family.owner_of(environ["REMOTE_PORT"], self._server.server_port)

        trap = self._traps.sprung(request, sender)
        if trap is None:
            return self._carried_out(request, environ, start_response)
        point, pid = trap
        if point.moment == Moment.BEFORE:
            self._traps.kill(point, pid)
            raise ConnectionAbortedError("the request is lost with its sender")
        answer = self._carried_out(request, environ, start_response)
        if point.moment == Moment.MIDDLE:
            return self._half_of(answer, point, pid)
        if point.moment == Moment.AFTER:
            self._traps.kill_soon(point, pid)
            return answer
        self._traps.kill(point, pid)
        raise ConnectionAbortedError("the answer is lost with who asked")

    def _carried_out(
        self, request: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        told: list[str] = []

        def noted(status: str, headers: list[tuple[str, str]], *more: object) -> object:
            told.append(status)
            return start_response(status, headers)

        try:
            answer = self.gateway(environ, noted)  # type: ignore[arg-type]
        except (OSError, ClientDisconnected) as error:  # its sender was killed while it sent
            raise ConnectionAbortedError(str(error)) from error
        self.record.note(request, told[0])
        return answer

    def _half_of(self, answer: Iterable[bytes], point: Point, pid: int) -> Iterator[bytes]:
        sent = 0
        for piece in answer:
            yield piece[: _MIDDLE_BYTES - sent]
            sent += len(piece)
            if sent >= _MIDDLE_BYTES:
                break
        self._traps.kill(point, pid)
        raise ConnectionAbortedError("the answer breaks off with who asked")
