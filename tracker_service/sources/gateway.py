"""Speak HTTP with one Knox topology: sessions, time-outs, retries, and errors by their meaning."""

from __future__ import annotations

import json
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from tracker_service.errors import (
    AccessDenied,
    ConfigError,
    CredentialsRefused,
    GatewayUnavailable,
    RequestRefused,
)
from tracker_service.sources.protection import PLACES, Protection

MAX_JSON_BYTES = 64 * 1024 * 1024  #: a listing of 100,000 files has 25 MB
JSON_DEADLINE_S = 60.0  #: for a whole answer, however slowly it drips
CHUNK_BYTES = 64 * 1024
_KEPT_SESSIONS = 1000


@dataclass(frozen=True, slots=True)
class BasicCredential:
    """A user name and password of the gateway. Never printed with the password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One topology: its URL, and how to reach it."""

    url: str  #: up to and with the topology, without a slash at the end
    ca_file: Path | None = None
    connect_timeout_s: float = 3.05
    read_timeout_s: float = 25.0
    protection: Protection = field(default_factory=Protection)  #: of all sessions together
    #: is told the path below the topology, the outcome and the seconds of each request
    on_request: Callable[[str, str, float], None] = lambda *_: None

    def session(self, credential: BasicCredential) -> GatewaySession:
        """Return a new session of one identity, with a cookie jar of its own."""
        return GatewaySession(self, credential)

    def path_of(self, request: requests.PreparedRequest) -> str:
        """Return the path of a request below the topology, without the query."""
        path = urlsplit(request.url or "").path.removeprefix(urlsplit(self.url).path)
        return path.lstrip("/")


class _Retry(Retry):
    """Tries again what failed; but who has waited for an answer has waited long enough."""

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


class _Adapter(HTTPAdapter):
    """Sends each request, also each hop of a redirect, under the protection of the gateway."""

    def __init__(self, gateway: Gateway, retries: Retry) -> None:
        super().__init__(max_retries=retries, pool_maxsize=PLACES)
        self._gateway = gateway

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,  # noqa: ANN401
        verify: bool | str = True,
        cert: Any = None,  # noqa: ANN401
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        route = self._gateway.path_of(request).split("/", 1)[0]
        with self._gateway.protection.request(route) as attempt:
            response = super().send(request, stream, timeout, verify, cert, proxies)
            attempt.was_answered = response.status_code < 500
        return response


class GatewaySession(requests.Session):
    """The connections and the cookies of one identity.

    Knox's session cookie wins over the credentials sent beside it, so a session never serves two
    identities. Credentials are sent to the gateway only, whatever a `Location` says.
    """

    def __init__(self, gateway: Gateway, credential: BasicCredential) -> None:
        super().__init__()
        self.gateway = gateway
        self.trust_env = False  # no .netrc, no proxies, no other CA by accident
        self.user = credential.user
        self.auth = HTTPBasicAuth(credential.user.encode(), credential.password.encode())
        self.verify = str(gateway.ca_file) if gateway.ca_file else True
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
        adapter = _Adapter(gateway, retries)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request while no other thread of this identity stores a cookie."""
        with self.cookies._cookies_lock:  # type: ignore[attr-defined]
            return super().prepare_request(request)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        """Send one request to the gateway and sort what went wrong by its meaning.

        Returns:
            the answer, whose status is below 500 and not a 401 of the gateway.

        Raises:
            CredentialsRefused: 401 of the gateway. Knox says the same while its LDAP is down.
            GatewayUnavailable: no answer, an answer that is no answer, or a redirect elsewhere.
        """
        self._refuse_foreign(request.url or "")
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (self.gateway.connect_timeout_s, self.gateway.read_timeout_s)
        began = time.monotonic()
        try:
            response = super().send(request, **kwargs)
        except (requests.RequestException, ssl.SSLError) as error:
            self._tell(request, "no_answer", began)
            raise GatewayUnavailable(f"{self._place(request)}: {_cause(error)}") from error
        self._tell(request, _outcome(response.status_code), began)
        if response.status_code == 401 and "oozie-error-code" not in response.headers:
            response.close()
            raise CredentialsRefused(f"the gateway refuses the credentials of {self.user}")
        # Knox has no 502 to 504 of its own: "the service is away" is a 500 with an HTML page or
        # with nothing. What Oozie, YARN or HDFS say with a 500 is nothing to act upon either.
        if response.status_code >= 500:
            told = f"answered {response.status_code}"
            response.close()
            raise GatewayUnavailable(f"{self._place(request)}: {told}")
        return response

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for a small body below the topology and read it to its end.

        Args:
            path: below the topology, for example `oozie/v2/jobs`.

        Raises:
            GatewayUnavailable: also for a body that is too long or arrives too slowly.
        """
        began = time.monotonic()
        response = self.request(
            method,
            f"{self.gateway.url}/{path}",
            params=params,
            data=data,
            headers=headers,
            allow_redirects=False,
            stream=True,
        )
        body = bytearray()
        try:
            for chunk in response.iter_content(CHUNK_BYTES):
                body += chunk
                if len(body) > MAX_JSON_BYTES or time.monotonic() - began > JSON_DEADLINE_S:
                    raise GatewayUnavailable(f"{path}: the answer is too long or too slow")
        except requests.RequestException as error:
            raise GatewayUnavailable(f"{path}: {_cause(error)}") from error
        finally:
            response.close()
        return Answer(path, response.status_code, response.headers, bytes(body))

    def _refuse_foreign(self, url: str) -> None:
        ours, theirs = urlsplit(self.gateway.url), urlsplit(url)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise GatewayUnavailable(
                f"the gateway sends us to {theirs.scheme}://{theirs.netloc}, which is not the "
                "gateway itself; correct gateway.frontend.url there"
            )

    def _tell(self, request: requests.PreparedRequest, outcome: str, began: float) -> None:
        self.gateway.on_request(self.gateway.path_of(request), outcome, time.monotonic() - began)

    def _place(self, request: requests.PreparedRequest) -> str:
        """Name a request in an error: without its query, which may hold a signed location."""
        return f"{request.method} {self.gateway.path_of(request) or '/'} at {self.gateway.url}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of the gateway with a status below 500."""

    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body.

        Raises:
            GatewayUnavailable: there is none. Knox cuts bodies silently and answers 200 with
                nothing in place of what it cannot parse, so this is never data.
            AccessDenied: status 403, or a 401 of Oozie (E0508).
            RequestRefused: another status from 400 on.
        """
        if self.status in (401, 403):
            raise AccessDenied(self.explanation())
        if self.status >= 400:
            raise RequestRefused(self.explanation())
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise GatewayUnavailable(
                f"{self.path}: the gateway sent {len(self.body)} bytes, no JSON"
            )
        return value

    def explanation(self) -> str:
        """Return what the service says about an error, in one line."""
        told = self.headers.get("oozie-error-message") or remote_message(self.body)
        return told or f"{self.path}: answered {self.status}"


def _outcome(status: int) -> str:
    """Return what came of a request, in one word of few."""
    if status < 400:
        return "ok"
    named = {401: "unauthenticated", 403: "denied", 404: "not_found"}
    return named.get(status, "refused" if status < 500 else "broken")


def remote_message(body: bytes) -> str | None:
    """Return the first line of Hadoop's `RemoteException`: the rest is a Java stack trace."""
    try:
        message = json.loads(body)["RemoteException"]["message"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(message).strip().splitlines()[0] if message else None


def _cause(error: Exception) -> str:
    """Say in a few words why there was no answer."""
    if isinstance(error, requests.exceptions.SSLError):
        reason = getattr(error.args[0], "reason", error)
        return f"TLS failed: {reason}; is TRACKER_GATEWAY__CA_FILE the gateway's authority?"
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the answer broke off"
    return "no connection"


def checked_gateway(gateway: Gateway) -> Gateway:
    """Return the gateway if its CA file can be used.

    Raises:
        ConfigError: the file holds no certificate.
    """
    if gateway.ca_file:
        try:
            ssl.create_default_context(cafile=str(gateway.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"gateway.ca_file {gateway.ca_file}: {error}") from error
    return gateway


Access = TypeVar("Access")


class AccessPool(Generic[Access]):
    """Keeps what was opened for each identity, the most recently used ones only."""

    def __init__(self, open_access: Callable[[BasicCredential], Access]) -> None:
        self._open = open_access
        self._kept: OrderedDict[BasicCredential, Access] = OrderedDict()
        self._lock = Lock()

    def of(self, credential: BasicCredential) -> Access:
        """Return the access of exactly this user name and password."""
        with self._lock:
            if credential not in self._kept:
                self._kept[credential] = self._open(credential)
                if len(self._kept) > _KEPT_SESSIONS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(credential)
            return self._kept[credential]

    def forget(self, credential: BasicCredential) -> None:
        """Drop the session of credentials that were refused."""
        with self._lock:
            self._kept.pop(credential, None)
