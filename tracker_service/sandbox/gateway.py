"""Stands in for the gateway: verifies callers, routes requests, and records them."""

from __future__ import annotations

import base64
import binascii
import posixpath
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING

from werkzeug.http import http_date
from werkzeug.wrappers import Request, Response

from tracker_service.sandbox import receiver, teraslice
from tracker_service.sandbox.answers import (
    backend_away,
    empty_answer,
    error_page,
    unauthorized,
    uri_too_long,
)
from tracker_service.sandbox.cluster import USERS, Cluster
from tracker_service.sandbox.node_pages import NodePages
from tracker_service.sandbox.oozie import SandboxOozie
from tracker_service.sandbox.webhdfs import SandboxWebHdfs
from tracker_service.sandbox.yarn import JobHistory, ResourceManager

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TOPOLOGY_PATH = "/gateway/sandbox"
#: The gateway refuses a longer request line with headers.
MAX_HEAD_BYTES = 8192

_MAX_REMEMBERED = 100_000
_MAX_SESSIONS = 10_000
_DISCARDED_BYTES = 64 * 1024

Service = Callable[[Request, str, str], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A request that the sandbox has answered."""

    method: str
    path: str
    query: str
    service: str
    user: str | None
    status: int


class SandboxGateway:
    """The WSGI application: a Knox gateway with one topology and the services behind it.

    Beside the topology it has a Teraslice master, which needs no credentials.

    Follows the Apache Knox 2.0 user's guide: Shiro provider, WebHDFS, Oozie and YARN.
    """

    def __init__(self, cluster: Cluster, *, latency_s: float = 0.0) -> None:
        self.cluster = cluster
        #: Waited before each answer.
        self.latency_s = latency_s
        #: Services that cannot be reached: any of jobhistory, oozie, resourcemanager, webhdfs.
        self.down: set[str] = set()
        #: Services that the topology lacks: any of jobhistory, oozie, resourcemanager, yarn.
        self.lacking: set[str] = set()
        #: Takes webhooks beside the topology.
        self.receiver = receiver.Receiver()
        #: The last requests, oldest first.
        self.requests: deque[SeenRequest] = deque(maxlen=_MAX_REMEMBERED)
        self._sessions: OrderedDict[str, str] = OrderedDict()
        self._sessions_lock = Lock()
        #: Header without which the gateway refuses what changes something (WebAppSec, CSRF).
        self.csrf_header: str | None = None
        self.webhdfs = webhdfs = SandboxWebHdfs(cluster, TOPOLOGY_PATH)
        self._teraslice = teraslice.SandboxTeraslice(cluster.now)
        self._services: dict[str, Service] = {
            "/webhdfs/data/v1/webhdfs/v1": webhdfs.answer_data,
            "/webhdfs/v1": webhdfs.answer,
            "/oozie": SandboxOozie(cluster, TOPOLOGY_PATH).answer,
            "/resourcemanager": ResourceManager(cluster).answer,
            "/jobhistory": JobHistory().answer,
            "/yarn": NodePages(cluster).answer,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request and remember it."""
        request = Request(environ)
        if self.latency_s:
            time.sleep(self.latency_s)
        prefix, path = self._route(request.path)
        user, session = self._identify(request)
        answer = self._answer(request, prefix, path, user)
        while request.stream.read(_DISCARDED_BYTES):
            pass  # what a refused request still sends
        if session is not None:
            answer.headers.add(
                "Set-Cookie", f"KNOXSESSIONID={session}; Path={TOPOLOGY_PATH}; HttpOnly"
            )
        self.requests.append(
            SeenRequest(
                method=request.method,
                path=request.path,
                query=request.query_string.decode("latin-1"),
                service=_service_name(prefix),
                user=user,
                status=answer.status_code,
            )
        )
        return answer(environ, start_response)

    def _answer(self, request: Request, prefix: str, path: str, user: str | None) -> Response:
        if _head_bytes(request) > MAX_HEAD_BYTES:
            return uri_too_long()
        if not _is_in_topology(request.path):
            return self._beside_the_topology(request)
        if user is None:
            return unauthorized()
        is_read = request.method in ("GET", "HEAD", "OPTIONS")
        if self.csrf_header and not is_read and self.csrf_header not in request.headers:
            return empty_answer(400)
        return self._served(request, prefix, path, user)

    def _beside_the_topology(self, request: Request) -> Response:
        path = posixpath.normpath(request.path)
        if path == "/":
            return Response(describe(self.cluster), content_type="text/plain;charset=utf-8")
        if path == receiver.PATH and request.method == "POST":
            return self.receiver.answer(request)
        if (path + "/").startswith(teraslice.PREFIX + "/"):
            return self._teraslice.answer(request)
        return error_page(404, request.path, "Not Found")

    def _served(self, request: Request, prefix: str, path: str, user: str) -> Response:
        if not prefix or _service_name(prefix) in self.lacking:
            return empty_answer(404)
        if _service_name(prefix).split("/")[0] in self.down:
            return backend_away(request.path)
        answer = self._services[prefix](request, path, user)
        if _service_name(prefix) != "webhdfs/data" and (
            prefix != "/oozie" or answer.status_code < HTTPStatus.BAD_REQUEST
        ):
            answer.headers.add("Date", http_date())  # the service's, beside the gateway's
        return answer

    def _route(self, path: str) -> tuple[str, str]:
        """Return the prefix of the service and the path below it; empty where there is none."""
        resolved = posixpath.normpath(path)
        for prefix in self._services:
            full = TOPOLOGY_PATH + prefix
            if resolved == full or resolved.startswith(full + "/"):
                # Like the gateway: dots decide the route, but reach the service as they came.
                below = path if path.startswith(full) else resolved
                return prefix, "/" + below.removeprefix(full).lstrip("/")
        return "", path

    def _identify(self, request: Request) -> tuple[str | None, str | None]:
        """Return the user and the session that is new; a known session outranks a password."""
        known = self._sessions.get(request.cookies.get("KNOXSESSIONID", ""))
        if known is not None:
            return known, None
        user = _user_of(request.headers.get("Authorization", ""))
        if user is None or not _is_in_topology(request.path):
            return user, None
        session = f"node0{secrets.token_hex(16)}.node0"
        with self._sessions_lock:
            self._sessions[session] = user
            if len(self._sessions) > _MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return user, session


def describe(cluster: Cluster) -> str:
    """List the ready-made jobs, one line each: its id and what happens."""
    return "".join(f"{job_id} {description}\n" for job_id, description in cluster.listing())


def _user_of(authorization: str) -> str | None:
    """Return the name in the Basic credentials as it was typed, if the password is right."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    # LDAP compares names without case, and Hadoop sees the name as it was typed.
    right = name.lower() in USERS and password == f"{name.lower()}-password"
    return name if right else None


def _is_in_topology(path: str) -> bool:
    return (posixpath.normpath(path) + "/").startswith(TOPOLOGY_PATH + "/")


def _service_name(prefix: str) -> str:
    if prefix.startswith("/webhdfs/data"):
        return "webhdfs/data"
    return prefix.strip("/").split("/")[0]


def _head_bytes(request: Request) -> int:
    line = len(request.environ.get("REQUEST_URI", request.full_path)) + len(request.method) + 12
    return line + sum(len(name) + len(value) + 4 for name, value in request.headers)
