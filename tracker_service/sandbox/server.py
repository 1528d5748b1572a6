"""Serves the sandbox on a port, for a test or until it is told to stop."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from werkzeug.serving import WSGIRequestHandler, make_server

from tracker_service.sandbox import teraslice
from tracker_service.sandbox.cluster import USERS, Cluster
from tracker_service.sandbox.gateway import TOPOLOGY_PATH, SandboxGateway, SeenRequest, describe
from tracker_service.sandbox.notifications import Notifier

_POLL_S = 0.02


class _Handler(WSGIRequestHandler):
    """Serves HTTP/1.1 with connections that stay open, and writes nothing to standard error.

    Werkzeug's own way reads on after each request and closes. Here the application has read the
    body to its end, so that the next request can follow.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    #: One packet for a small answer.
    wbufsize = -1

    def run_wsgi(self) -> None:
        """Answer one request."""
        head: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _exc_info: object = None
        ) -> Callable[[bytes], object]:
            head.append((status, headers))
            return self.wfile.write

        chunks = self.server.app(self.make_environ(), start_response)
        try:
            self._send(*head[0], chunks)
        finally:
            if callable(close := getattr(chunks, "close", None)):
                close()

    def finish(self) -> None:
        """Close the connection, also if its client is gone."""
        try:
            super().finish()
        except ConnectionError:  # what was to be sent to it is lost
            self.rfile.close()

    def log(self, type: str, message: str, *args: object) -> None:
        """Log nothing."""

    def _send(self, status: str, headers: list[tuple[str, str]], chunks: Iterable[bytes]) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        chunked = self.command != "HEAD" and all(n.lower() != "content-length" for n, _ in headers)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in filter(None, chunks):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


class SandboxServer:
    """A sandbox that listens while its ``with`` block runs."""

    def __init__(
        self,
        cluster: Cluster | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        self.cluster = cluster or Cluster()
        self.gateway = SandboxGateway(self.cluster, latency_s=latency_s)
        self._notifier = Notifier(self.cluster)
        self._server = make_server(
            host, port, self.gateway, threaded=True, request_handler=_Handler
        )
        self._thread = Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="sandbox", daemon=True
        )
        #: The root of the server; its page lists the ready-made jobs.
        self.root_url = f"http://{host}:{self._server.server_port}"
        #: The URL of the topology, as a client of the gateway needs it.
        self.url = self.root_url + TOPOLOGY_PATH
        #: The URL of the Teraslice master.
        self.teraslice_url = self.root_url + teraslice.PREFIX

    @property
    def requests(self) -> deque[SeenRequest]:
        """The requests that were answered, oldest first; clear() forgets them."""
        return self.gateway.requests

    @property
    def down(self) -> set[str]:
        """The services that cannot be reached: add or remove oozie, webhdfs, resourcemanager."""
        return self.gateway.down

    @property
    def lacking(self) -> set[str]:
        """The services that the topology does not have, such as yarn."""
        return self.gateway.lacking

    def __enter__(self) -> Self:
        self._thread.start()
        self._notifier.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._notifier.stop()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(bind: str = "127.0.0.1:8080", *, latency_s: float = 0.0) -> None:
    """Serve a sandbox on HOST:PORT until SIGTERM or SIGINT; call it in the main thread."""
    host, _, port = bind.rpartition(":")
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    with SandboxServer(host=host, port=int(port), latency_s=latency_s) as sandbox:
        print(start_text(sandbox), end="", flush=True)
        stopped.wait()


def start_text(sandbox: SandboxServer) -> str:
    """Say where the sandbox is, who may use it and which jobs are there."""
    users = ", ".join(f"{user} ({user}-password)" for user in USERS)
    services = f"Gateway: {sandbox.url}\nTeraslice: {sandbox.teraslice_url}\n"
    return f"{services}Users: {users}\nJobs:\n{describe(sandbox.cluster)}"
