"""Endpoints on loopback that answer as a test wants."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class Endpoint:
    """A server that gives each connection to a function, on a thread of its own."""

    def __init__(
        self, answer: Callable[[socket.socket, bytes], None], tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.authority = f"127.0.0.1:{self.port}"
        self.requests: list[bytes] = []
        self._answer, self._tls = answer, tls
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connected)
            threading.Thread(target=self._talk, args=(connected,), daemon=True).start()

    def _talk(self, connected: socket.socket) -> None:
        with suppress(OSError):
            if self._tls:
                connected = self._tls.wrap_socket(connected, server_side=True)
            request = connected.recv(65536)
            head, _, body = request.partition(b"\r\n\r\n")
            if found := re.search(rb"content-length: (\d+)", head.lower()):
                while len(body) < int(found[1]):
                    body += connected.recv(65536)
            request = head + b"\r\n\r\n" + body
            self.requests.append(request)
            self._answer(connected, request)
        with suppress(OSError):
            connected.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(60)


def http(
    body: bytes = b'{"status": "ok"}', status: int = 200, *headers: str
) -> Callable[[socket.socket, bytes], None]:
    """Return a function that gives one answer to all requests."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]

    def answer(connected: socket.socket, _request: bytes) -> None:
        connected.sendall("\r\n".join(lines).encode() + body)

    return answer


def hang(connected: socket.socket, _request: bytes) -> None:
    """Answer nothing until the client goes."""
    while connected.recv(1000):
        pass


def server_tls(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
