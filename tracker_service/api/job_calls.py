"""Take the calls of Gardener's job API before Flask does: a call costs a fifth of the time.

The answer to `next` leaves in one segment with its headers: Gardener's client gives up a body that
comes later.
"""

from __future__ import annotations

import posixpath
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from tracker_service.api.origins import is_from_elsewhere
from tracker_service.api.proxies import forwarded_client, is_trusted
from tracker_service.ledger.calls import MAX_BODY_BYTES, NAMES, PATH, Answer, Call, JobCalls

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = IPv4Network | IPv6Network
Count = Callable[[str, str, int, float], object]  #: method, route, status, seconds

_CALL = re.compile(rf"(?:/ledger/(?P<ledger>[a-z0-9-]+))?{PATH}(?P<name>{'|'.join(NAMES)})")
_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class JobCallFront:
    """WSGI middleware: answers the calls of writers, and leaves all other requests to the app."""

    def __init__(
        self, app: WSGIApplication, calls: JobCalls, trusted: Sequence[Network], count: Count
    ) -> None:
        """Stand in front of an application.

        Args:
            trusted: the proxies that may say for whom they ask.
            count: counts an answer.
        """
        self._app, self.calls = app, calls
        self._trusted, self._count = trusted, count

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path = environ["PATH_INFO"]
        found = _CALL.fullmatch(path)
        if found:
            began = time.monotonic()
            if is_from_elsewhere(environ):  # it uses that a browser runs near the service
                answer = Answer(403)
            else:
                answer = self.calls.answer(self._call(environ, found["name"], found["ledger"]))
            self.count(found["name"], answer, time.monotonic() - began, environ["REQUEST_METHOD"])
            start_response(_REASONS[answer.status], answer.headers)
            return _InOneSegment(environ, answer.body)
        clean = posixpath.normpath(f"/{path.lstrip('/')}")
        if clean != path and not path.endswith("/") and _CALL.fullmatch(clean):
            query = environ.get("QUERY_STRING")
            place = f"{clean}?{query}" if query else clean
            start_response("301 Moved Permanently", [("Location", place), ("Content-Length", "0")])
            return ()
        return self._app(environ, start_response)

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """Return the address of a caller, as a trusted proxy names it."""
        if forwarded_for and is_trusted(peer, self._trusted):
            return forwarded_client(forwarded_for) or peer
        return peer

    def count(self, name: str, answer: Answer, seconds: float, method: str = "POST") -> None:
        """Count an answer."""
        self._count(method, f"{PATH}{name}", answer.status, seconds)

    def _call(self, environ: WSGIEnvironment, name: str, ledger: str | None) -> Call:
        body, length = b"", int(environ.get("CONTENT_LENGTH") or 0)
        if environ["REQUEST_METHOD"] == "POST" and name != "next" and length <= MAX_BODY_BYTES:
            # A chunked body names no length: one byte more shows that it is too long.
            body = environ["wsgi.input"].read(length or MAX_BODY_BYTES + 1)
        return Call(
            name=name,
            method=environ["REQUEST_METHOD"],
            query=environ.get("QUERY_STRING", ""),
            client=self.client(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR")),
            content_type=environ.get("CONTENT_TYPE"),
            authorization=environ.get("HTTP_AUTHORIZATION"),
            body=body,
            length=max(length, len(body)),
            ledger=ledger,
        )


class _InOneSegment:
    """The body of an answer: TCP holds the headers back until the body is there, see tcp(7)."""

    def __init__(self, environ: WSGIEnvironment, body: bytes) -> None:
        self._pieces = iter((body,) if body else ())
        connection = environ.get("gunicorn.socket")
        is_tcp = getattr(connection, "family", None) in (socket.AF_INET, socket.AF_INET6)
        self._connection = connection if is_tcp and body else None
        self._cork(1)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Send all that waits."""
        self._cork(0)

    def _cork(self, value: int) -> None:
        if self._connection is not None:
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, value)
