"""Talk HTTP to one Knox topology: sessions, cookies, and errors sorted by their meaning.

`direct` does the same without Knox.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from tracker_service.domain.urls import is_same_origin, place_of, spelled_like
from tracker_service.errors import (
    AccessDenied,
    CannotAnswerNow,
    ConfigError,
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    RequestRefused,
)
from tracker_service.sources.bodies import (
    error_body,
    json_object,
    refusal,
    remote_error,
    words_of,
)
from tracker_service.sources.credentials import Credential, TokenCredential
from tracker_service.sources.protection import Protection
from tracker_service.sources.transport import NO_SPACE, Transport, cause, proxies_for

_KEPT_SESSIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRoute(ABC):
    """A route to a cluster: through a gateway, or directly."""

    ca_file: Path | None = None
    verify: bool = True  #: check the certificate
    connect_timeout_s: float = 3.05
    read_timeout_s: float = 25.0
    #: header that goes with each request: filters against forged requests (CSRF) want it
    csrf_header: str = "X-XSRF-HEADER"
    connections: int = 32  #: Knox itself opens at most 32 to each service behind it
    #: called after each request with its path below the topology, its outcome, its seconds
    on_request: Callable[[str, str, float], None] = lambda *_: None
    #: limits that all sessions of this process share
    protection: Protection = field(default_factory=Protection, repr=False, compare=False)

    @abstractmethod
    def session(self, credential: Credential) -> GatewaySession:
        """Return a new session of one identity, with a cookie jar of its own."""

    @abstractmethod
    def url_for(self, credential: Credential) -> str:
        """Return the start of all URLs of an identity, without a slash at the end."""

    @abstractmethod
    def transport(self, url: str) -> Transport:
        """Return the transport for requests to this URL and below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(ClusterRoute):
    """The route through one Knox topology."""

    url: str  #: up to and with the topology, without a slash at the end
    token_url: str | None = None  #: likewise, of the topology that takes tokens; None: the same

    def session(self, credential: Credential) -> GatewaySession:
        """Return a new session of one identity, with a cookie jar of its own."""
        return GatewaySession(self, credential)

    def url_for(self, credential: Credential) -> str:
        """Return the URL of the topology that takes such a credential."""
        return (isinstance(credential, TokenCredential) and self.token_url) or self.url

    def transport(self, url: str) -> Transport:
        """Return the transport for requests to a topology."""
        return Transport(url, self.protection, self.connections, self.on_request)


class GatewaySession(requests.Session):
    """The connections and the cookies of one identity.

    Knox's session cookie wins over the credentials sent beside it, so a session never serves two
    identities. Credentials are sent to the gateway only, whatever a `Location` says.
    """

    def __init__(self, gateway: ClusterRoute, credential: Credential) -> None:
        super().__init__()
        self.gateway = gateway
        self.trust_env = False  # no .netrc and no other CA by accident
        self.user = credential.user
        self.url = gateway.url_for(credential)  #: of the topology
        self.auth = credential.auth()
        self.headers[gateway.csrf_header] = "tracker"  # its value does not matter
        self.verify = gateway.verify and (str(gateway.ca_file) if gateway.ca_file else True)
        adapter = gateway.transport(self.url)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request while no other thread of this identity stores a cookie."""
        request.url = self._own_spelling(request.url)
        with self.cookies._cookies_lock:  # type: ignore[attr-defined]
            return super().prepare_request(request)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where an answer sends to, spelled like the gateway's own URL if it is there."""
        target = super().get_redirect_target(resp)
        return self._own_spelling(urljoin(resp.url, target)) if target else None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        """Send one request to the gateway, and raise errors by their meaning.

        Returns:
            the answer, whose status is below 500 and not a 401 of the gateway.

        Raises:
            CredentialsRefused: 401 of the gateway. Knox says the same while its LDAP is down.
            GatewayUnavailable: no answer, a broken one, a 5xx, or a redirect to another site; or
                the request was not sent because the gateway is down.
        """
        self._refuse_foreign(request.url or "")
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (self.gateway.connect_timeout_s, self.gateway.read_timeout_s)
        kwargs["proxies"] = proxies_for(request.url or "")
        try:
            response = super().send(request, **kwargs)
        except (requests.RequestException, ssl.SSLError) as error:
            raise GatewayUnavailable(f"{self._place(request)}: {cause(error)}") from error
        if refused := self._refusal(response):
            response.close()
            raise refused
        # Knox has no 502 to 504 of its own: "the service is away" is a 500 with an HTML page or
        # with nothing. What Oozie, YARN or HDFS say with a 500 is nothing to act upon either,
        # unless a repeat cannot help.
        if response.status_code >= 500:
            raise self._broken(request, response)
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
        response = self.request(
            method,
            f"{self.url}/{path}",
            params=params,
            data=data,
            headers=headers,
            allow_redirects=False,
        )
        return Answer(
            path,
            response.status_code,
            response.headers,
            response.content,
            method=method,
            reason=response.reason,
        )

    def _broken(
        self, request: requests.PreparedRequest, response: requests.Response
    ) -> GatewayError:
        """Return the error of a 5xx, with the words of the service if it has any."""
        status, body = response.status_code, error_body(response)
        words = words_of(response.headers, body, response.reason)
        text = f"{self._place(request)}: answered {status}" + (f": {words}" if words else "")
        error = remote_error(body)
        if status == NO_SPACE or (error and "Quota" in error.exception):
            return RequestRefused(text)
        if error and error.exception in CANNOT_ANSWER_NOW:
            return CannotAnswerNow(text)
        return GatewayUnavailable(text)

    def _refusal(self, response: requests.Response) -> GatewayError | None:
        """Return the error of an answer that refuses the identity, None for other answers."""
        if response.status_code == 401 and "oozie-error-code" not in response.headers:
            return CredentialsRefused(f"the gateway refuses the credentials of {self.user}")
        return None

    def _own_spelling(self, url: str) -> str:
        """Return a URL of the gateway spelled as in the settings, so that cookies fit it too."""
        return spelled_like(urljoin(f"{self.url}/", url), self.url)

    def _refuse_foreign(self, url: str) -> None:
        if not is_same_origin(url, self.url):
            raise GatewayUnavailable(
                f"the gateway sends us to {place_of(url)}, which is not the gateway itself "
                f"({place_of(self.url)}); correct gateway.frontend.url there"
            )

    def _place(self, request: requests.PreparedRequest) -> str:
        """Name a request in an error: without its query, which may hold a signed location."""
        path = urlsplit(request.url or "").path.removeprefix(urlsplit(self.url).path)
        return f"{request.method} {path.lstrip('/') or '/'} at {self.url}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of the gateway with a status below 500."""

    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    method: str = "GET"
    reason: str | None = None  #: the words after the status

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body.

        Raises:
            GatewayUnavailable: there is none. Knox cuts bodies silently and answers 200 with
                nothing in place of what it cannot parse, so this is never data.
            CannotAnswerNow: a NameNode says so (standby, safe mode).
            AccessDenied: status 403, or a 401 of Oozie (E0508).
            RequestRefused: another status from 400 on.
        """
        error = remote_error(self.body) if self.status >= 400 else None
        if error and error.exception in CANNOT_ANSWER_NOW:
            raise CannotAnswerNow(f"{self.path}: {error.exception}: {error.message}")
        if self.status in (401, 403):
            raise AccessDenied(self.explanation())
        if self.status >= 400:
            raise RequestRefused(self.explanation())
        value = json_object(self.body)
        if value is None:
            raise GatewayUnavailable(self._without_json())
        return value

    def explanation(self) -> str:
        """Return what the service says about an error, in one line."""
        words = words_of(self.headers, self.body, self.reason)
        text = refusal(self.method, self.status, words)
        return text if text == words else f"{self.path}: {text}"

    def _without_json(self) -> str:
        """Say what came in place of JSON; a standby resource manager names the active one."""
        text = f"{self.path}: the gateway sent {len(self.body)} bytes, no JSON"
        if place := self.headers.get("Location"):
            text += f": it answered {self.status} and sends to {place_of(place)}"
        words = words_of({}, self.body) if self.body[:1] != b"{" else None
        return text + (f" ({words})" if words else "")


#: What a NameNode says that cannot answer just now: it is the standby, it starts, or no block may
#: be changed. The same request may succeed later.
CANNOT_ANSWER_NOW = frozenset({"StandbyException", "RetriableException", "SafeModeException"})
Checked = TypeVar("Checked", bound=ClusterRoute)


def checked_gateway(gateway: Checked) -> Checked:
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
    """Keeps one access for each credential, for the last 1,000 that were used."""

    def __init__(self, open_access: Callable[[Credential], Access]) -> None:
        self._open = open_access
        self._kept: OrderedDict[Credential, Access] = OrderedDict()
        self._lock = Lock()

    def of(self, credential: Credential) -> Access:
        """Return the access of exactly this credential."""
        with self._lock:
            if credential not in self._kept:
                self._kept[credential] = self._open(credential)
                if len(self._kept) > _KEPT_SESSIONS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(credential)
            return self._kept[credential]

    def forget(self, credential: Credential) -> None:
        """Drop the session of credentials that were refused."""
        with self._lock:
            self._kept.pop(credential, None)
