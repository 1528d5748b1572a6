"""Send one GET on a connection of its own, and measure each phase of it exactly.

The phases are those of https://github.com/szmarczak/http-timer, in seconds.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from tracker_service.domain.certificates import certificate_error, form_trouble
from tracker_service.errors import NoUsableAnswer

_PIECE_BYTES = 64 * 1024
_PORTS = {"http": 80, "https": 443}


class Phase(StrEnum):
    """A part of a request; those that follow each other add up to the total."""

    WAIT = "wait"  #: until the look-up of the name begins
    DNS = "dns"  #: the look-up
    TCP = "tcp"  #: the connection
    TLS = "tls"  #: the handshake; only of https
    REQUEST = "request"  #: the request is written
    FIRST_BYTE = "first_byte"  #: until the head of the answer is there
    DOWNLOAD = "download"  #: the body is read
    TOTAL = "total"  #: from the start to the end, or to the failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take."""

    seconds: float  #: from the start to the last byte
    body_bytes: int


@dataclass(slots=True)
class Watch:
    """Measures the phases of one request."""

    began: float = field(default_factory=time.perf_counter)
    phases: dict[Phase, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def end(self, phase: Phase) -> None:
        """End a phase; the next one begins."""
        now = time.perf_counter()
        self.phases[phase], self._last = now - self._last, now

    def fail(self) -> None:
        """Keep only the total: the phases of a request that failed compare with nothing."""
        self.phases.clear()
        self.stop()

    def stop(self) -> None:
        """End the request."""
        self.phases[Phase.TOTAL] = time.perf_counter() - self.began


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """A whole answer of a server, with any status."""

    status: int
    location: str | None  #: where a redirect leads
    body: bytes


def timed_get(
    url: str,
    watch: Watch,
    limits: Limits,
    *,
    headers: Mapping[str, str],
    authority: Path | None = None,
) -> TimedAnswer:
    """Send a GET to a server, without a proxy and without following a redirect.

    Args:
        url: http or https, without user and password.
        watch: gets the phases, also those of a request that fails.
        headers: beside those that HTTP/1.1 wants (RFC 9110).
        authority: PEM with a further authority to trust, beside those of the system.

    Raises:
        NoUsableAnswer: there was no whole answer in time; says of which kind the failure is.
    """
    deadline = watch.began + limits.seconds
    try:
        with _Wire.to(url, watch, deadline, authority) as wire:
            answer = _ask(wire, url, headers, watch)
            body = _body(answer, limits.body_bytes, deadline)
            watch.end(Phase.DOWNLOAD)
    except NoUsableAnswer:
        watch.fail()
        raise
    except Exception as error:
        watch.fail()
        raise _translated(error, limits) from error
    watch.stop()
    return TimedAnswer(answer.status, answer.getheader("Location"), body)


@dataclass(frozen=True, slots=True)
class _Wire:
    """A connection whose waits all end at one instant, however slowly the server sends."""

    socket: socket.socket
    deadline: float

    @classmethod
    def to(cls, url: str, watch: Watch, deadline: float, authority: Path | None) -> _Wire:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        watch.end(Phase.WAIT)
        addresses = _resolved(host, port, deadline)
        watch.end(Phase.DNS)
        connected = _connected(addresses, deadline)
        watch.end(Phase.TCP)
        if parts.scheme == "https":
            connected.settimeout(_left(deadline))
            try:
                connected = _tls(authority).wrap_socket(connected, server_hostname=host)
            except BaseException:
                connected.close()
                raise
            watch.end(Phase.TLS)
        return cls(connected, deadline)

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def sendall(self, data: bytes) -> None:
        self.socket.settimeout(_left(self.deadline))
        self.socket.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self.socket, self.deadline), _PIECE_BYTES)

    def close(self) -> None:
        """Do nothing: `http.client` closes as soon as it has the head, and the body follows."""


class _Incoming(io.RawIOBase):
    """What a socket receives until a deadline."""

    def __init__(self, receiving: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = receiving, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (as in `io`: any writable buffer)
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.perf_counter()
    if left <= 0:
        raise TimeoutError
    return left


def _resolved(host: str, port: int, deadline: float) -> list[tuple[Any, ...]]:
    """Look up the addresses of a host; the system's own look-up knows no time limit."""
    found: SimpleQueue[list[tuple[Any, ...]] | OSError] = SimpleQueue()
    with suppress(OSError):  # what is an address already needs no look-up
        flags = socket.AI_NUMERICHOST
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))

    def look_up() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            found.put(error if isinstance(error, OSError) else socket.gaierror(str(error)))

    Thread(target=look_up, name="look-up", daemon=True).start()
    try:
        addresses = found.get(timeout=_left(deadline))
    except Empty:
        raise TimeoutError from None
    if isinstance(addresses, OSError):
        raise addresses
    return addresses


def _connected(addresses: list[tuple[Any, ...]], deadline: float) -> socket.socket:
    """Connect to the first address that answers."""
    error: OSError = ConnectionError("no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        connecting = socket.socket(family, kind, protocol)
        try:
            # An address that swallows all packets leaves time for those after it.
            connecting.settimeout(_left(deadline) / (len(addresses) - number))
            connecting.connect(address)
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as refused:
            connecting.close()
            error = refused
        else:
            return connecting
    raise error


def _tls(authority: Path | None) -> ssl.SSLContext:
    try:
        return _context(authority, authority.stat().st_mtime_ns if authority else 0)
    except OSError as error:
        message = f"cannot read the authority in {authority}: {_words(error)}"
        raise NoUsableAnswer(message, kind="certificate") from error


@lru_cache(maxsize=64)
def _context(authority: Path | None, _changed_at: int) -> ssl.SSLContext:
    """Return the authorities to trust; to read those of the system takes 20 ms."""
    context = ssl.create_default_context()
    if authority:
        context.load_verify_locations(authority)
    return context


def _ask(wire: _Wire, url: str, headers: Mapping[str, str], watch: Watch) -> HTTPResponse:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or _PORTS[parts.scheme])
    connection.default_port = _PORTS[parts.scheme]  # left out in `Host`
    connection.sock = wire
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", target, headers={"Connection": "close", **headers})
    watch.end(Phase.REQUEST)
    answer = connection.getresponse()
    watch.end(Phase.FIRST_BYTE)
    return answer


def _body(answer: HTTPResponse, longest: int, deadline: float) -> bytes:
    pieces, length = list[bytes](), 0
    while piece := answer.read1(_PIECE_BYTES):
        _left(deadline)
        length += len(piece)
        if length > longest:
            raise NoUsableAnswer(f"the answer is longer than {longest} bytes", kind="too_long")
        pieces.append(piece)
    if answer.length:  # `read1` says nothing of an end that comes too early
        raise IncompleteRead(b"", answer.length)
    return b"".join(pieces)


def _certificate(error: Exception) -> str:
    refused = certificate_error(error)
    words = (form_trouble(refused) or refused.verify_message) if refused else ""
    return f"the certificate is refused: {words}"


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


_KINDS: tuple[tuple[type[Exception], str, Callable[[Exception], str]], ...] = (
    (socket.gaierror, "dns", lambda error: f"the name of the host is not known: {error.args[-1]}"),
    (ssl.SSLCertVerificationError, "certificate", _certificate),
    (ssl.SSLError, "tls", lambda error: f"there is no TLS: {error.args[-1]}"),
    (IncompleteRead, "truncated", lambda _: "the answer breaks off"),
    (HTTPException, "broken_answer", lambda error: f"this is no HTTP: {error!r:.200}"),
    (OSError, "connection", lambda error: f"no connection: {_words(error)}"),
    # Its words may have a secret that was to be sent.
    (ValueError, "broken_request", lambda _: "the request cannot be written: correct the headers"),
)


def _translated(error: Exception, limits: Limits) -> Exception:
    if isinstance(error, TimeoutError):
        return NoUsableAnswer(f"no whole answer within {limits.seconds:.3g} s", kind="timeout")
    for its_type, kind, words in _KINDS:
        if isinstance(error, its_type):
            return NoUsableAnswer(words(error), kind=kind)
    return error
