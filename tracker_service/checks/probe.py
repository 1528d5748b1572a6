"""Ask one endpoint, and tell how it answered: each phase with its time, and everything bounded.

A connection is made for each request, so that each check sees the name, the connection and the
certificate as a new client would.
"""

from __future__ import annotations

import io
import json
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urljoin, urlsplit

from cryptography import x509

from tracker_service.checks.check import Check, Request
from tracker_service.checks.reach import NotAllowedHere, Reach

_LARGEST_BODY = 1024**2  #: bytes of an answer that are read, before and after it is unpacked
_MOST_REDIRECTS = 5
_CONNECT_TRIES = 3  #: before an endpoint counts as out of reach
_PAUSE_S = 0.1  #: between two of them
_LONGEST_VALUE = 1000  #: characters of a value that are kept
_LONGEST_ERROR = 500  #: characters
_PIECE = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


class _Fault(Exception):
    """The endpoint did not answer as it should."""

    def __init__(self, text: str, *, is_unreachable: bool = False) -> None:
        super().__init__(text)
        self.is_unreachable = is_unreachable


@dataclass(slots=True)
class Probe:
    """What one try has found."""

    is_ok: bool = False
    is_unreachable: bool = False  #: no connection: another worker may reach it
    status: int | None = None
    latency_ms: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)  #: milliseconds
    values: dict[str, Any] = field(default_factory=dict)  #: of the answer
    missing: int = 0  #: values that the answer does not have
    error: str | None = None
    certificate_until: datetime | None = None
    steps: list[str] = field(default_factory=list)  #: for people, where they are wanted


class Prober:
    """Asks endpoints; any number of threads may use it."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def probe(self, check: Check) -> Probe:
        """Ask an endpoint, and again after a failure as often as the check wants."""
        for _ in range(check.retries):
            found = self._once(check)
            if found.is_ok:
                return found
        return self._once(check)

    def _once(self, check: Check) -> Probe:
        found = Probe()
        began = time.perf_counter()
        visit = _Visit(self._reach, check.request.timeout_s, found)
        try:
            answer = visit.ask(check.request)
            found.latency_ms = (time.perf_counter() - began) * 1000
            _judge(check, answer, found)
        except NotAllowedHere as error:
            found.error = str(error)
        except _Fault as fault:
            found.error, found.is_unreachable = str(fault), fault.is_unreachable
        except (HTTPException, OSError, ValueError) as error:
            found.error = f"{_text(error)}"
        if not found.latency_ms:
            found.latency_ms = (time.perf_counter() - began) * 1000
        if found.error:
            found.error = found.error[:_LONGEST_ERROR]
        return found


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool  #: False if it is longer than what is read


def _text(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, HTTPException):
        return f"it does not speak HTTP: {type(error).__name__}: {error}"
    reason = getattr(error, "strerror", None)
    return str(reason or error) or type(error).__name__


class _Visit:
    """One try: all its requests end at one deadline."""

    def __init__(self, reach: Reach, timeout_s: float, found: Probe) -> None:
        self._reach, self._found = reach, found
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s

    def ask(self, request: Request) -> _Answer:
        url, seen = request.url, set[str]()
        method, body, headers = request.method, request.body, dict(request.headers)
        for _ in range(_MOST_REDIRECTS + 1):
            seen.add(url)
            answer = self._request(url, method, headers, body, request)
            self._found.status = answer.status
            place = answer.headers.get("location")
            is_redirect = answer.status in _REDIRECTS and place and request.follows_redirects
            if not is_redirect or not place:
                return answer
            target = urljoin(url, place)
            if urlsplit(target).scheme not in ("http", "https"):
                raise _Fault(f"it redirects to {urlsplit(target).scheme}:, which is not followed")
            if target in seen:
                raise _Fault("its redirects go in a circle")
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {n: v for n, v in headers.items() if n.lower() not in _SECRET_HEADERS}
            if answer.status in (301, 302, 303) and method not in ("GET", "HEAD"):
                method, body = "GET", None
            url = target
        raise _Fault(f"it redirects more than {_MOST_REDIRECTS} times")

    def _request(
        self, url: str, method: str, headers: Mapping[str, str], body: str | None, how: Request
    ) -> _Answer:
        parts = urlsplit(url)
        host, is_tls = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        connected = self._connected(host, port)
        try:
            if is_tls:
                connected = self._encrypted(connected, host, how)
            connection = HTTPConnection(host, port)
            connection.auto_open = 0
            connection.sock = _Bounded(connected, self)
            target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            return self._exchange(connection, method, target, headers, body)
        finally:
            with suppress(OSError):
                connected.close()

    def _exchange(
        self,
        connection: HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: str | None,
    ) -> _Answer:
        began = time.perf_counter()
        default = {"User-Agent": "tracker-service", "Accept-Encoding": "identity"}
        known = {name.lower() for name in headers}
        own = {n: v for n, v in default.items() if n.lower() not in known}
        connection.request(
            method,
            target,
            body=body.encode() if body is not None else None,
            headers={**own, "Connection": "close", **headers},
        )
        response = connection.getresponse()
        self._took("processing", began)
        began = time.perf_counter()
        raw, is_whole = self._body(response)
        self._took("transfer", began)
        lower = {name.lower(): value for name, value in response.getheaders()}
        text, is_unpacked = _unpacked(raw, lower.get("content-encoding", ""))
        return _Answer(response.status, lower, text, is_whole and is_unpacked)

    def _body(self, response: HTTPResponse) -> tuple[bytes, bool]:
        pieces, size = list[bytes](), 0
        while size <= _LARGEST_BODY:
            piece = response.read(_PIECE)
            if not piece:
                if response.length:
                    raise _Fault(f"its answer lacks {response.length} bytes at its end")
                return b"".join(pieces), True
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)[:_LARGEST_BODY], False

    def _connected(self, host: str, port: int) -> socket.socket:
        began = time.perf_counter()
        try:
            places = self._reach.places(host, port)
        except (OSError, UnicodeError) as error:
            raise _Fault(f"{host} has no address: {_text(error)}", is_unreachable=True) from error
        self._took("resolve", began)
        began = time.perf_counter()
        last: Exception | None = None
        for n in range(_CONNECT_TRIES):
            for family, address in places:
                try:
                    connected = self._connect(family, address)
                except OSError as error:
                    last = error
                else:
                    self._took("connect", began)
                    return connected
            if self.left_s(least=0.0) <= _PAUSE_S or n + 1 == _CONNECT_TRIES:
                break
            time.sleep(_PAUSE_S)
        text = _text(last) if last else "no address"
        raise _Fault(f"no connection to {host}:{port}: {text}", is_unreachable=True) from last

    def _connect(
        self,
        family: socket.AddressFamily,
        address: Any,  # noqa: ANN401 (what `connect` takes)
    ) -> socket.socket:
        new = socket.socket(family, socket.SOCK_STREAM)
        try:
            new.settimeout(self.left_s())
            new.connect(address)
            new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            new.close()
            raise
        return new

    def _encrypted(self, plain: socket.socket, host: str, how: Request) -> socket.socket:
        began = time.perf_counter()
        try:
            plain.settimeout(self.left_s())
            encrypted = _tls(how.verify, how.ca_file).wrap_socket(plain, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise _Fault(f"its certificate is refused: {error.verify_message}") from error
        except ssl.SSLError as error:
            plain.close()
            raise _Fault(f"no encryption: {error.reason or error}") from error
        self._took("tls", began)
        self._found.certificate_until = _ends(encrypted)
        return encrypted

    def _took(self, phase: str, began: float) -> None:
        passed = (time.perf_counter() - began) * 1000
        self._found.phases[phase] = round(self._found.phases.get(phase, 0.0) + passed, 3)

    def left_s(self, least: float = 0.001) -> float:
        """Return the seconds until the deadline.

        Raises:
            TimeoutError: it is over, and `least` is positive.
        """
        left = self._deadline - time.monotonic()
        if left <= 0 and least:
            raise TimeoutError
        return max(left, least)


class _Bounded:
    """A socket that is read until the deadline; the time-out of a socket begins anew each time."""

    def __init__(self, connected: socket.socket, visit: _Visit) -> None:
        self._socket, self._visit = connected, visit

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self._visit.left_s())
        self._socket.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._socket, self._visit))

    def close(self) -> None:
        """Do nothing: `http.client` closes before the answer is read."""


class _Reader(io.RawIOBase):
    def __init__(self, connected: socket.socket, visit: _Visit) -> None:
        self._socket, self._visit = connected, visit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (as in `io`: any writable buffer)
        self._socket.settimeout(self._visit.left_s())
        return self._socket.recv_into(buffer)


@cache
def _tls(verify: bool, ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _ends(encrypted: ssl.SSLSocket) -> datetime | None:
    if not (der := encrypted.getpeercert(binary_form=True)):
        return None
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError:
        return None


def _unpacked(raw: bytes, encoding: str) -> tuple[bytes, bool]:
    """Return an answer unpacked, and whether that is all of it."""
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return raw, True
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        text = unpacker.decompress(raw, _LARGEST_BODY)
    except zlib.error as error:
        raise _Fault(f"its answer cannot be unpacked: {error}") from error
    return text, not unpacker.unconsumed_tail


def _judge(check: Check, answer: _Answer, found: Probe) -> None:
    """Decide whether an answer is a success, and take its values."""
    if not any(answer.status in statuses for statuses in check.statuses):
        found.error = f"it answered {answer.status}"
    if not check.values and not check.tests:
        found.is_ok = found.error is None
        return
    body, fault = _json(answer)
    for name, path in check.values:
        is_there, value = path.find(body)
        found.missing += not is_there
        found.values[name] = _bounded(value)
    if found.error is None and fault and check.tests:
        found.error = fault
    if found.error is None:
        built_in = built_ins(found)
        faults = (test.fault(built_in, body) for test in check.tests)
        found.error = next((each for each in faults if each), None)
    found.is_ok = found.error is None


def built_ins(found: Probe) -> dict[str, Any]:
    """Return the values that every run has, whatever the endpoint answers."""
    days = None
    if found.certificate_until:
        days = (found.certificate_until - datetime.now(UTC)).total_seconds() / 86400
    return {
        "http_status": found.status,
        "latency_ms": round(found.latency_ms, 3),
        "certificate_days": days,
    }


def _json(answer: _Answer) -> tuple[Any, str | None]:
    if not answer.is_whole:
        return None, f"its answer is longer than {_LARGEST_BODY} bytes"
    try:
        return json.loads(answer.body), None
    except (ValueError, RecursionError):
        return None, "its answer is no JSON"


def _bounded(value: Any) -> Any:  # noqa: ANN401 (of JSON)
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= _LONGEST_VALUE:
        return value
    return f"{text[:_LONGEST_VALUE]}…"
