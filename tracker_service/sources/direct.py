"""Talk HTTP to the services of a cluster directly, with Kerberos in place of Knox.

The service logs in as itself and names in each request the user for whom it acts (`doAs`). Follows
https://hadoop.apache.org/docs/r3.3.6/hadoop-project-dist/hadoop-common/Superusers.html
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import local
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from requests.hooks import default_hooks

from tracker_service.domain.urls import below, place_of
from tracker_service.errors import AccessDenied, GatewayError, GatewayUnavailable, RequestRefused
from tracker_service.sources.bodies import remote_error
from tracker_service.sources.credentials import Credential
from tracker_service.sources.gateway import ClusterRoute, GatewaySession
from tracker_service.sources.protection import Attempt, Health
from tracker_service.sources.transport import Transport

_BASE = "cluster:"  #: begins the URLs that the sources ask for; leads nowhere by itself
_NODE = "yarn/nodemanager"  #: a NodeManager; which one is in the query, as Knox wants it
_FILES = "/webhdfs/v1/"
#: What an operator can do about a login that failed.
LOGIN_REMEDY = (
    "look whether the KDC answers, whether gateway.keytab has the present key of "
    "gateway.principal, and whether the clocks agree within 5 minutes"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRoute(ClusterRoute):
    """The direct route: the URLs of the services, without a slash at the end, and the login."""

    oozie: str  #: up to and with `/oozie`
    namenode: str  #: its web server
    resource_manager: str  #: likewise
    job_history: str | None = None  #: likewise
    principal: str
    keytab: Path
    login: Callable[[], AuthBase] = field(repr=False, compare=False)  #: for one request

    def session(self, credential: Credential) -> DirectSession:
        """Return a new session of the service for one user, with a cookie jar of its own."""
        return DirectSession(self, credential)

    def url_for(self, _credential: Credential) -> str:
        """Return what stands for a topology."""
        return _BASE

    def transport(self, _url: str) -> Transport:
        """Return the transport for requests to all services."""
        return _Transport(self)

    @property
    def services(self) -> dict[str, str]:
        """Return what the paths of each service begin with, by its name below a topology."""
        found = {
            "oozie": self.oozie,
            "webhdfs": f"{self.namenode}/webhdfs",
            "resourcemanager": f"{self.resource_manager}/ws",
        }
        return found | ({"jobhistory": self.job_history} if self.job_history else {})

    @property
    def short_name(self) -> str:
        """Return the Hadoop user that the principal usually is."""
        return self.principal.partition("@")[0].partition("/")[0]

    def address(self, path: str, params: MutableMapping[str, str]) -> str:
        """Return where a path below a topology is.

        Args:
            params: what names a node is taken out of them.
        """
        if path.startswith(f"{_NODE}/"):
            host = params.pop("host")
            place = f"[{host}]" if ":" in host else host
            origin = f"{params.pop('scheme')}://{place}:{params.pop('port')}"
            return origin + path.removeprefix(_NODE)
        name, _, rest = path.partition("/")
        if name not in self.services:
            raise RequestRefused(f"{name}: there is no way to it without a gateway")
        return f"{self.services[name]}/{rest}"

    def path_of(self, url: str) -> str:
        """Return a path as it would be below a topology; of a node, with its own name first."""
        for name, base in self.services.items():
            if (path := below(url, base)) is not None:
                return f"{name}/{path}"
        parts = urlsplit(url)
        return parts.netloc + parts.path


class DirectSession(GatewaySession):
    """The connections and the cookies of the service while it acts for one user."""

    gateway: DirectRoute

    def __init__(self, direct: DirectRoute, credential: Credential) -> None:
        super().__init__(direct, credential)
        self.auth = _Both(credential.auth(), direct.login)
        name = direct.csrf_header
        self._csrf_header = {name: self.headers[name]}  #: DataNodes want it too
        self._next = local()  #: the node to which the next request of a thread may go

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request to the service that its path names.

        One to a DataNode has a token of the NameNode in its URL: nothing of ours goes with it.
        """
        path = request.url.removeprefix(f"{_BASE}/")
        if path == request.url:
            request.headers = {**self._csrf_header, **(request.headers or {})}
            return request.prepare()
        request.params = dict(request.params)
        request.url = self.gateway.address(path, request.params)
        if path.startswith(f"{_NODE}/"):
            self._next.origin = place_of(request.url)
        return super().prepare_request(request)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        """Send one request to a service, and raise errors by their meaning.

        Raises:
            AccessDenied: also where the service may not act for the user.
            GatewayUnavailable: also where the service itself cannot log in.
        """
        try:
            response = super().send(request, **kwargs)
        except GatewayUnavailable as error:
            raise error from None  # in the cause is the URL, which may be as good as a password
        if response.is_redirect:  # the first step of writing a file
            self._note_data_node(response)
        return response

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Follow a redirect without credentials, and answer no challenge there."""
        self._note_data_node(response)
        for name in ("Authorization", "Cookie"):
            prepared_request.headers.pop(name, None)
        prepared_request.hooks = default_hooks()

    def _note_data_node(self, response: requests.Response) -> None:
        """Allow the next request of this thread to go to the DataNode that the NameNode names."""
        target = urljoin(response.url, response.headers["Location"])
        is_told = self.gateway.path_of(response.url).startswith("webhdfs/")
        if is_told and urlsplit(target).path.startswith(_FILES):
            self._next.origin = place_of(target)

    def _refuse_foreign(self, url: str) -> None:
        allowed, self._next.origin = getattr(self._next, "origin", ""), ""
        is_ours = self.gateway.path_of(url).partition("/")[0] in self.gateway.services
        if not is_ours and place_of(url) != allowed:
            raise GatewayUnavailable(
                f"a service sends us to {place_of(url)}, which is none of those in the settings"
            )

    def _refusal(self, response: requests.Response) -> GatewayError | None:
        status, code = response.status_code, response.headers.get("oozie-error-code")
        direct, place = self.gateway, place_of(response.url)
        if status == 401 and code is None:
            return GatewayUnavailable(
                f"{place} does not take the login of {direct.principal}: {LOGIN_REMEDY}"
            )
        if status == 401 and code == "E1400":
            name = f"oozie.service.ProxyUserService.proxyuser.{direct.short_name}"
        elif status == 403 and _is_no_proxy_user(response):
            name = f"hadoop.proxyuser.{direct.short_name}"
        else:
            return None
        return AccessDenied(
            f"{place} does not let {direct.principal} act for {self.user}: set {name}.hosts and "
            f"{name}.groups there"
        )

    def _place(self, request: requests.PreparedRequest) -> str:
        url = request.url or ""
        return f"{request.method} {urlsplit(url).path} at {place_of(url)}"


class _Both(AuthBase):
    """Names the user, and answers the challenge to a request."""

    def __init__(self, user: AuthBase, login: Callable[[], AuthBase]) -> None:
        self._user, self._login = user, login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return self._login()(self._user(request))


class _Transport(Transport):
    """Carries requests to several services, each of which may be dead by itself."""

    def __init__(self, direct: DirectRoute) -> None:
        super().__init__(_BASE, direct.protection, direct.connections, direct.on_request)
        self._direct = direct

    def path_of(self, request: requests.PreparedRequest) -> str:
        """Return the path as it would be below a topology."""
        return self._direct.path_of(request.url or "")

    def judge_error(self, attempt: Attempt, error: Exception) -> None:
        """Tell what it says that there was no answer: nothing about the other services."""
        super().judge_error(attempt, error)
        if attempt.gateway is Health.DEAD:
            attempt.gateway, attempt.service = Health.NONE, Health.DEAD


def _is_no_proxy_user(response: requests.Response) -> bool:
    """Tell whether Hadoop refuses that the service acts for a user."""
    error = remote_error(response.content)
    return error is not None and error.exception == "AuthorizationException"
