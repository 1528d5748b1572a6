"""Writers who call the job API: through WSGI, or as bytes on a connection that gunicorn has."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, Protocol

from tracker_service.api.job_calls import JobCallFront
from tracker_service.bootstrap.ledger import Ledgers
from tracker_service.quick_calls import QuickCalls


@dataclass(frozen=True)
class Got:
    """What a writer gets."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Way(Protocol):
    """A way to the ledgers."""

    def __call__(
        self,
        target: str,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Got: ...


@dataclass
class Wsgi:
    """Calls the front as gunicorn does."""

    front: JobCallFront
    peer: str = "127.0.0.1"

    def __call__(self, target, method="POST", headers=None, body=b""):
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.peer,
            "CONTENT_LENGTH": str(len(body)) if body else "",
            "wsgi.input": io.BytesIO(body),
        }
        for name, value in (headers or {}).items():
            key = name.upper().replace("-", "_")
            environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value
        told: list[Any] = []
        start: Any = lambda *what: told.append(what)  # noqa: E731
        answer = self.front(environ, start)
        text = b"".join(answer)
        if close := getattr(answer, "close", None):
            close()
        status, found = told[0][:2]
        return Got(int(status[:3]), dict(found), text)


@dataclass
class Raw:
    """Sends bytes on connections that the quick calls answer; what they give back goes to WSGI."""

    quick: QuickCalls
    given_back: SimpleQueue[Any]
    wsgi: Wsgi
    peer: str = "127.0.0.1"
    quickly: int = 0  #: calls that were not given back
    open: list[socket.socket] = field(default_factory=list)

    def connect(self) -> tuple[socket.socket, Any]:
        ours, theirs = socket.socketpair()
        self.open += [ours, theirs]
        connection = SimpleConnection(theirs, (self.peer, 1))
        return ours, connection

    def __call__(self, target, method="POST", headers=None, body=b""):
        ours, connection = self.connect()
        lines = [f"{method} {target} HTTP/1.1", "Host: ledger", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        # The rest of a long body would find no reader.
        ours.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body[:50_000])
        if not self.quick.takes(connection):
            return self.wsgi(target, method, headers, body)
        text = self._answered(ours)
        if text is None:
            return self.wsgi(target, method, headers, body)
        self.quickly += 1
        head, _, rest = text.partition(b"\r\n\r\n")
        status, *found = head.decode().split("\r\n")
        names = ("Server", "Date", "Connection")
        sent = dict(line.split(": ", 1) for line in found)
        assert set(names) <= set(sent)
        return Got(int(status.split()[1]), {n: v for n, v in sent.items() if n not in names}, rest)

    def _answered(self, ours: socket.socket) -> bytes | None:
        """Return the first bytes of an answer; None once the connection was given back."""
        ours.settimeout(0.05)
        while self.given_back.empty():
            try:
                return ours.recv(65536)
            except TimeoutError:
                continue
        self.given_back.get()
        return None


class SimpleConnection:
    """A connection as gunicorn's worker has it."""

    def __init__(self, sock: socket.socket, client: object) -> None:
        self.sock, self.client = sock, client
        self.cfg = SimpleNamespace(is_ssl=False)
        self.is_http2, self.parser = False, None


def front_of(ledgers: Ledgers, counted: list[tuple[str, str, int]] | None = None) -> JobCallFront:
    def elsewhere(environ, start_response):
        start_response("299 Elsewhere", [])
        return ()

    def count(method: str, route: str, status: int, seconds: float) -> None:
        if counted is not None:
            counted.append((method, route, status))

    return JobCallFront(elsewhere, ledgers.calls, (), count)


@contextmanager
def raw(wsgi: Wsgi) -> Iterator[Raw]:
    """Answer raw connections for the length of the block."""
    back: SimpleQueue[Any] = SimpleQueue()
    gone: SimpleQueue[Any] = SimpleQueue()
    quick = QuickCalls(wsgi.front, back.put, gone.put, idle_s=60, server="gunicorn")
    quick.start()
    way = Raw(quick, back, wsgi)
    try:
        yield way
    finally:
        quick.stop()
        quick.join()
        for each in way.open:
            each.close()
