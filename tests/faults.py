"""A proxy in front of the gateway whose faults are switched on and off while it is used."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler
from threading import Event, Lock, local
from urllib.parse import parse_qs, urlsplit

from tests.acceptance.between import Between, BodyCut, body_of
from tests.stands import Address

DEAD_HOST = "http://127.0.0.1:1"
_HTML = b"<html><head><title>Error</title></head><body><h2>Service connectivity error</h2></body>"
_DATE = "%a, %d %b %Y %H:%M:%S GMT"
_DATES = re.compile(rb"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
_DRIP_S = 0.2
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Passed:
    """A request that came to the proxy."""

    at: float  #: seconds of the monotonic clock
    method: str
    target: str  #: path and query
    status: int | None  #: of the gateway's answer; None if the request never reached it
    authorization: str

    @property
    def renamed_to(self) -> str | None:
        """Return the new name of a file that the request has renamed; otherwise None."""
        query = parse_qs(urlsplit(self.target).query)
        if self.method != "PUT" or query.get("op") != ["RENAME"] or self.status != 200:
            return None
        return query["destination"][0]

    @property
    def is_submission(self) -> bool:
        """Tell whether the request has started a workflow."""
        return self.method == "POST" and self.target.partition("?")[0].endswith("/oozie/v2/jobs")


@dataclass
class Fault:
    """The fault, and the requests that it strikes, until `heal`."""

    kind: str
    route: re.Pattern[str]
    healed: Event
    met: int = 0  #: requests that it has struck


class FaultyWay(Between):
    """A proxy in front of the gateway with one fault at a time; it records its requests."""

    def __init__(self, stand: Address) -> None:
        super().__init__(stand)
        self.passed: list[Passed] = []
        self._fault: Fault | None = None
        self._guard = Lock()
        self._asking = local()  #: the answer of the gateway in each thread

    @contextmanager
    def broken(self, kind: str, route: str = "") -> Iterator[Fault]:
        """Make requests fail while the block runs.

        Args:
            kind: one of `FAULTS`.
            route: a pattern of method and target: `/oozie/` strikes Oozie only.
        """
        fault = self.start(kind, route)
        try:
            yield fault
        finally:
            self.heal()

    def start(self, kind: str, route: str = "") -> Fault:
        """Make requests fail until `heal`."""
        self.heal()
        fault = Fault(kind, re.compile(route), Event())
        self._fault = fault
        return fault

    def heal(self) -> None:
        """End the fault, and release the requests that hang."""
        if self._fault:
            self._fault.healed.set()
        self._fault = None

    def renames(self) -> Counter[str]:
        """Count how often each file was published under its name."""
        return Counter(p.renamed_to for p in list(self.passed) if p.renamed_to)

    def submissions(self) -> int:
        return sum(p.is_submission and p.status is not None for p in list(self.passed))

    def busiest(self, window_s: float, since: float = 0.0, target: str = "") -> int:
        """Return the most requests that came within a time."""
        times = sorted(p.at for p in list(self.passed) if p.at >= since and target in p.target)
        ends = [sum(1 for t in times[i:] if t < at + window_s) for i, at in enumerate(times)]
        return max(ends, default=0)

    def _pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        fault, at = self._fault, time.monotonic()
        line = f"{handler.command} {handler.path}"
        strikes = fault is not None and fault.route.search(line)
        self._asking.status = None
        try:
            if fault is None or not strikes:
                self._plainly(handler)
            else:
                with self._guard:
                    fault.met += 1
                FAULTS[fault.kind](self, handler, fault)
        except (OSError, BodyCut):
            handler.close_connection = True  # the client has given up
        finally:
            authorization = handler.headers.get("Authorization", "")
            status = self._asking.status
            told = Passed(at, handler.command, handler.path, status, authorization)
            self.passed.append(told)

    def _plainly(self, handler: BaseHTTPRequestHandler) -> None:
        answer, content = self.carry_out(handler)
        self._send(handler, answer, content)

    def carry_out(self, handler: BaseHTTPRequestHandler) -> tuple[HTTPResponse, bytes]:
        """Send a request on, and record the answer, also if the client does not wait for it."""
        answer, content = self._asked(handler, body_of(handler))
        self._asking.status = answer.status
        return answer, content


Breaking = Callable[[FaultyWay, BaseHTTPRequestHandler, Fault], None]


def _hang(_: FaultyWay, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
    fault.healed.wait(60)
    handler.close_connection = True


def _drip(handler: BaseHTTPRequestHandler, fault: Fault, begin: bytes, rest: bytes) -> None:
    """Send the beginning at once, and the rest byte by byte with pauses."""
    handler.close_connection = True
    handler.connection.sendall(begin)
    for byte in rest:
        if fault.healed.wait(_DRIP_S):
            return  # in the middle
        handler.connection.sendall(bytes([byte]))


def _drip_headers(_: FaultyWay, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
    body_of(handler)
    _drip(handler, fault, b"HTTP/1.1 200 OK\r\n", b"X-Slow: " + b"x" * 10_000)


def _drip_body(way: FaultyWay, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
    answer, content = way.carry_out(handler)
    head = f"HTTP/1.1 {answer.status} {answer.reason}\r\nContent-Length: {len(content) + 9999}\r\n"
    _drip(handler, fault, head.encode() + b"\r\n", content + b" " * 9999)


def _reset(way: FaultyWay, handler: BaseHTTPRequestHandler, _: Fault) -> None:
    """Carry the request out and drop its answer."""
    _answer, _content = way.carry_out(handler)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    handler.connection.close()
    handler.close_connection = True


def _half_closed(_: FaultyWay, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
    """Send no answer, and keep the connection open."""
    body_of(handler)
    handler.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
    handler.connection.shutdown(socket.SHUT_WR)
    handler.close_connection = True
    fault.healed.wait(2)


def _truncated(way: FaultyWay, handler: BaseHTTPRequestHandler, _: Fault) -> None:
    _answer, content = way.carry_out(handler)
    half = content[: len(content) // 2]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    handler.connection.sendall(head + b"%x\r\n%b\r\n" % (len(half) or 1, half or b"{"))
    handler.close_connection = True


def _says(status: int, body: bytes, **headers: str) -> Breaking:
    """Send a fixed answer without asking the gateway."""

    def answer(_: FaultyWay, handler: BaseHTTPRequestHandler, _fault: Fault) -> None:
        body_of(handler)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _clock_ahead(way: FaultyWay, handler: BaseHTTPRequestHandler, _: Fault) -> None:
    """Shift the clock of the cluster to the day after tomorrow, in headers and in Oozie's times."""
    answer, content = way.carry_out(handler)
    date = answer.headers.get_all("Date") or []
    del answer.headers["Date"]
    for value in date:
        answer.headers["Date"] = _later(value.encode()).decode()
    if "/oozie/" in handler.path:
        content = _DATES.sub(lambda found: _later(found[0]), content)
    way._send(handler, answer, content)


def _later(date: bytes) -> bytes:
    moved = datetime.strptime(date.decode(), _DATE) + timedelta(days=2)
    return moved.strftime(_DATE).encode()


FAULTS: dict[str, Breaking] = {
    "hang": _hang,
    "headers that drip": _drip_headers,
    "a body that drips": _drip_body,
    "reset": _reset,
    "half-closed": _half_closed,
    "truncated chunks with 200": _truncated,
    "nothing with 200": _says(200, b"", Content_Type="application/json"),
    "HTML with 200": _says(200, _HTML, Content_Type="text/html"),
    "HTML with 500": _says(500, _HTML, Content_Type="text/html"),
    "401": _says(401, b"", WWW_Authenticate='BASIC realm="application"'),
    "503": _says(503, b""),
    "a redirect to a dead host": _says(307, b"", Location=f"{DEAD_HOST}/webhdfs/v1/x?op=OPEN"),
    "a clock that jumps": _clock_ahead,
}
