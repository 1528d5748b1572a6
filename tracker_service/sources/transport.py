"""Send requests to the gateway with retries, limits, and a deadline for every answer."""

from __future__ import annotations

import io
import ssl
import time
from collections.abc import Callable
from http.client import HTTPResponse
from socket import socket
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import MaxRetryError, NewConnectionError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from tracker_service.domain.certificates import certificate_error, form_trouble
from tracker_service.domain.urls import leads_to_this_machine
from tracker_service.sources.protection import Attempt, Health, Protection

MAX_ANSWER_BYTES = 64 * 1024 * 1024  #: a listing of 100,000 files has 25 MB
ANSWER_DEADLINE_S = 60.0  #: for a whole answer that is not streamed, however slowly it drips
SLOWEST_BYTES_PER_S = 1024  #: of what is waited for; less is no answer
NO_SPACE = 507  #: of newer WebHDFS for an exceeded quota: the same request fails again
_CHUNK_BYTES = 16 * 1024


class AnswerTooLong(requests.RequestException):
    """The answer is longer than any expected one."""


class _Paced(io.RawIOBase):
    """Reads a socket, and gives up on an answer that only drips, as on silence.

    Only the time spent waiting for the gateway counts, not that of a slow reader.
    """

    def __init__(self, raw: io.RawIOBase, window_s: float) -> None:
        self._raw, self._window_s = raw, window_s
        self._waited_s, self._bytes = 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401
        began = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited_s += time.monotonic() - began
        self._bytes += count or 0
        if self._waited_s >= self._window_s:
            if count and self._bytes < self._waited_s * SLOWEST_BYTES_PER_S:
                raise TimeoutError("it only drips")
            self._waited_s, self._bytes = 0.0, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(HTTPResponse):
    """An answer that must arrive at a least speed, headers and body."""

    def __init__(self, sock: socket, *args: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **named)
        if read_timeout_s := sock.gettimeout():
            raw = self.fp.detach()
            # Who begins to answer just in time gets the same time again.
            self.fp = io.BufferedReader(_Paced(raw, 2 * read_timeout_s))


class _Connection(HTTPConnection):
    response_class = _PacedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _PacedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class _Retry(Retry):
    """Repeats a request that failed, but not one that was ended by a time-out."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """Return the retries that are left, or raise the error."""
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class Transport(HTTPAdapter):
    """Sends requests to one topology; reads an answer to its end here unless it is streamed."""

    def __init__(
        self,
        url: str,
        protection: Protection,
        connections: int,
        on_request: Callable[[str, str, float], None],
    ) -> None:
        """Open nothing yet.

        Args:
            url: of the topology.
            on_request: is told the path below the topology, the outcome and the seconds.
        """
        self._topology = urlsplit(url).path
        self._protection, self._on_request = protection, on_request
        # Connect errors never reached the server, so each method may be tried again; the rest
        # only where a repetition changes nothing.
        retries = _Retry(
            total=2,
            status_forcelist=(502, 503, 504),
            allowed_methods=("GET", "HEAD"),
            backoff_factor=0.1,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        super().__init__(max_retries=retries, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **named: Any) -> None:  # noqa: ANN401
        """Make all connections end an answer that only drips."""
        super().init_poolmanager(*args, **named)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:  # noqa: ANN401
        """Return the connections through a proxy; they end an answer that only drips, too."""
        manager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(  # type: ignore[override]
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        **named: Any,  # noqa: ANN401
    ) -> requests.Response:
        """Send one request as soon as fewer than the allowed number are on their way.

        Raises:
            GatewayUnavailable: it was not sent, to spare the gateway.
            requests.RequestException: there was no answer, or not a whole one.
        """
        path = self.path_of(request)
        is_streamed = not isinstance(request.body, (bytes, str, type(None)))
        with self._protection.admitted(path, is_streamed=is_streamed) as attempt:
            began, outcome = time.monotonic(), "no_answer"
            try:
                response = super().send(request, stream=stream, **named)
                if not stream:
                    _read(response, began)
                outcome = _outcome(response.status_code)
                _judge_answer(attempt, response)
            except (requests.RequestException, ssl.SSLError) as error:
                self.judge_error(attempt, error)
                raise
            finally:
                self._on_request(path, outcome, time.monotonic() - began)
        return response

    def path_of(self, request: requests.PreparedRequest) -> str:
        """Return the path below the topology, without the query."""
        return urlsplit(request.url or "").path.removeprefix(self._topology).lstrip("/")

    def judge_error(self, attempt: Attempt, error: Exception) -> None:
        """Judge the gateway and the service by a missing answer."""
        attempt.reason = cause(error)
        if is_without_connection(error):
            attempt.gateway = Health.DEAD
        elif not isinstance(error, AnswerTooLong):
            attempt.service = Health.DEAD


def _read(response: requests.Response, began: float) -> None:
    """Read the body to its end, within a length and a time."""
    body = bytearray()
    try:
        for chunk in response.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise AnswerTooLong(f"more than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() - began > ANSWER_DEADLINE_S:
                raise requests.ReadTimeout(f"not at its end after {ANSWER_DEADLINE_S:g} s")
    except BaseException:
        response.close()
        raise
    response._content = bytes(body)


def _judge_answer(attempt: Attempt, response: requests.Response) -> None:
    """Judge a service by an answer: only a 5xx without an explanation counts against it.

    Oozie and Hadoop explain their errors. A service that explains is alive; its error is about
    one request.
    """
    attempt.gateway = Health.ALIVE
    status, headers = response.status_code, response.headers
    says_why = "oozie-error-code" in headers or "json" in headers.get("Content-Type", "")
    explains = says_why or status == NO_SPACE
    if status in (502, 503, 504) or (status >= 500 and not explains):
        attempt.service, attempt.reason = Health.DEAD, f"answered {status}"
    elif status != 401 or explains:  # a 401 is the gateway's own
        attempt.service = Health.ALIVE


def is_without_connection(error: Exception) -> bool:
    """Tell whether the gateway itself could not be reached."""
    there_is_no_way = (
        requests.ConnectTimeout,
        requests.exceptions.SSLError,
        requests.exceptions.ProxyError,
    )
    if isinstance(error, there_is_no_way):
        return True
    inner = error.args[0] if error.args else None
    return isinstance(inner, MaxRetryError) and isinstance(inner.reason, NewConnectionError)


#: Why there was no answer, by the error that says so; the first that fits counts.
_CAUSES: dict[type[Exception], str] = {
    requests.exceptions.ProxyError: "no connection through the proxy that HTTPS_PROXY or "
    "HTTP_PROXY names",
    requests.ConnectTimeout: "no connection in time",
    requests.Timeout: "no answer in time",
    requests.exceptions.ChunkedEncodingError: "the answer broke off",
    AnswerTooLong: "the answer is too long",
}


def cause(error: Exception) -> str:
    """Return in a few words why there was no answer."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS failed: {_tls_trouble(error)}"
    if error.args and isinstance(error.args[0], ReadTimeoutError):
        return _CAUSES[requests.Timeout]
    return next(
        (text for kind, text in _CAUSES.items() if isinstance(error, kind)), "no connection"
    )


def _tls_trouble(error: Exception) -> str:
    refused = certificate_error(error)
    if refused and (trouble := form_trouble(refused)):
        return trouble
    inner = error.args[0] if error.args else None
    reason = refused.verify_message if refused else getattr(inner, "reason", error)
    return f"{reason}; is TRACKER_GATEWAY__CA_FILE the gateway's authority?"


def proxies_for(url: str) -> dict[str, str]:
    """Return the proxies of the environment for a URL: none for an address of this machine.

    `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` mean what they mean to curl.
    """
    return {} if leads_to_this_machine(url) else get_environ_proxies(url, no_proxy=None)


def _outcome(status: int) -> str:
    """Return the outcome of a request, as the label of a metric."""
    if status < 400:
        return "ok"
    named = {401: "unauthenticated", 403: "denied", 404: "not_found"}
    return named.get(status, "refused" if status < 500 else "broken")
