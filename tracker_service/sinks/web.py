"""Send HTTP requests to one receiver, and read its answers as outcomes."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from tracker_service.domain.certificates import certificate_error
from tracker_service.sinks.reach import NotReachable, Reach
from tracker_service.sinks.sink import Outcome, delivered, refused, try_again

_CONNECT_S, _READ_S = 5.0, 10.0  #: without a sign of the receiver
_TIMEOUT = urllib3.Timeout(connect=_CONNECT_S, read=_READ_S)
_LONGEST_S = 20.0  #: of one answer, however slowly a receiver sends it
_MOST_BYTES = 4096  #: of an answer that are read
#: Statuses that may change, by RFC 9110 and RFC 6585; other answers of 4xx stay as they are.
_MAY_CHANGE = frozenset({401, 403, 404, 407, 408, 423, 425, 429})


class WebReceiver:
    """One URL of a receiver. It follows no redirect, because that may lead where nobody allowed.

    A name is looked up once for each connection, and the connection goes to the address that was
    checked. See https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
    """

    def __init__(self, url: str, reach: Reach, ca_file: Path | None = None) -> None:
        """Prepare to send.

        Args:
            url: with http or https.
            ca_file: PEM with the authority of the receiver's certificate; None for the system's.
        """
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._is_tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._target = urlsplit(url)._replace(scheme="", netloc="", fragment="").geturl() or "/"
        self._reach, self._ca_file = reach, ca_file
        self._pool: urllib3.HTTPConnectionPool | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._pool:
            self._pool.close()
            self._pool = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Send a body; return what the receiver says to it.

        2xx is accepted. 410 and most of 4xx are final; 429, 5xx and no answer are not.
        """
        try:
            return _outcome(self._answer(body, headers))
        except NotReachable as error:
            return refused(str(error))
        except (HTTPError, OSError) as error:
            self.close()
            return try_again(f"{self._host}: {_why(error)}", is_outage=True)

    def _answer(self, body: bytes, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        if self._pool is None:
            self._pool = self._connected()
        return self._pool.urlopen(
            "POST",
            self._target,
            body=body,
            headers={"User-Agent": "tracker-service", **headers, "Host": self._authority},
            timeout=_TIMEOUT,
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def _connected(self) -> urllib3.HTTPConnectionPool:
        address, *_ = self._reach.addresses(self._host, self._port)
        if not self._is_tls:
            return _Pool(address, self._port, maxsize=1)
        tls: dict[str, Any] = {"server_hostname": self._host, "assert_hostname": self._host}
        if self._ca_file:
            tls["ca_certs"] = str(self._ca_file)
        return _TlsPool(address, self._port, maxsize=1, **tls)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast(socket.socket, _Bounded(self.sock))


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast(socket.socket, _Bounded(self.sock))


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Bounded:
    """A socket whose answers end at a deadline; the time-out of a socket begins anew each time."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a socket has)
        return getattr(self._socket, name)

    def makefile(self, *_: object) -> io.BufferedReader:
        """Return a reader of the next answer."""
        return io.BufferedReader(_Answer(self._socket, time.monotonic() + _LONGEST_S))


class _Answer(io.RawIOBase):
    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = connected, deadline
        self._raw = connected.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 (as in `io`: any writable buffer)
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(min(left_s, _READ_S))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _why(error: Exception) -> str:
    """Return what went wrong, without the words of the library around it."""
    if certificate := certificate_error(error):
        return f"its certificate is refused: {certificate.verify_message}"
    inner = [each for each in error.args if isinstance(each, Exception)]
    text = str(inner[-1] if inner else error)
    return text.partition("): ")[2] or text


def _outcome(answer: urllib3.BaseHTTPResponse) -> Outcome:
    text = answer.read(_MOST_BYTES).decode("utf-8", "replace").strip()
    answer.drain_conn() if answer.length_remaining in (0, None) else answer.close()
    said = f"{answer.status} {answer.reason or ''} {text}".strip()
    if 200 <= answer.status < 300:
        return delivered(said)
    if 300 <= answer.status < 400:
        return refused(f"{said}: redirects are not followed, subscribe with the new URL")
    if is_final(answer.status):
        return refused(said)
    pause_s = _retry_after(answer.headers.get("Retry-After"))
    return try_again(said, pause_s, is_outage=answer.status != 500)


def is_final(status: int) -> bool:
    """Tell whether a receiver that refuses a request will refuse it again."""
    return 400 <= status < 500 and status not in _MAY_CHANGE


def _retry_after(value: str | None) -> float | None:
    """Return how many seconds a receiver asks to wait: RFC 9110, section 10.2.3."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())
