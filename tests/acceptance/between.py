"""A proxy between the service and the gateway that runs an action at a chosen request."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Self
from urllib.parse import urlsplit

from tests.stands import Address

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


@dataclass
class Trap:
    """An action that runs once, at the first request that matches."""

    pattern: re.Pattern[str]  #: of method and target: `PUT /gateway/…?op=RENAME…`
    do: Callable[[], None]
    sprung: Event


class Between:
    """A proxy in front of the gateway that can break a connection off."""

    def __init__(self, stand: Address) -> None:
        self._target = urlsplit(stand.url)
        self._ca_file = stand.ca_file
        self._trap: Trap | None = None
        self._lock = Lock()
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                between._pass_on(self)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        #: The URL of the topology through this proxy.
        self.url = self.origin + self._target.path

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Pass requests on for the length of the block."""
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def behind(self, pattern: str, do: Callable[[], None]) -> Event:
        """Run an action after the next matching request is carried out; drop its answer.

        Returns:
            an event that is set when it is done.
        """
        trap = Trap(re.compile(pattern), do, Event())
        with self._lock:
            self._trap = trap
        return trap.sprung

    def _pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        body = body_of(handler)
        trap = self._taken(f"{handler.command} {handler.path}")
        answer, content = self._asked(handler, body)
        if trap is not None:
            trap.do()
            trap.sprung.set()
            handler.close_connection = True
            return
        self._send(handler, answer, content)

    def _send(self, handler: BaseHTTPRequestHandler, answer: HTTPResponse, content: bytes) -> None:
        """Send an answer of the gateway on unchanged."""
        handler.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                handler.send_header(name, self._here(value) if name == "Location" else value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _taken(self, request: str) -> Trap | None:
        with self._lock:
            if self._trap is None or not self._trap.pattern.search(request):
                return None
            trap, self._trap = self._trap, None
            return trap

    def _asked(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[HTTPResponse, bytes]:
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in _HOP}
        connection = self._connection()
        try:
            connection.request(handler.command, handler.path, body or None, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        host, port = str(self._target.hostname), self._target.port
        if self._target.scheme == "http":
            return HTTPConnection(host, port, timeout=120)
        context = ssl.create_default_context(cafile=str(self._ca_file))
        return HTTPSConnection(host, port, timeout=120, context=context)

    def _here(self, location: str) -> str:
        parts = urlsplit(location)
        return f"{self.origin}{parts.path}?{parts.query}" if parts.netloc else location


class BodyCut(Exception):
    """The client has closed the connection while it sent a body."""


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    """Read the body of a request, with a length or in chunks."""
    return b"".join(_body(handler))


def _body(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
    """Yield the body of a request, with a length or in chunks."""
    if "chunked" not in handler.headers.get("Transfer-Encoding", ""):
        yield handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        return
    while length := _length(handler.rfile.readline()):
        yield handler.rfile.read(length)
        handler.rfile.readline()
    handler.rfile.readline()


def _length(line: bytes) -> int:
    if not line:
        raise BodyCut
    return int(line, 16)
