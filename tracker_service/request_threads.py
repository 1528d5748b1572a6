"""The threads of gunicorn's worker, which wait for no client, with some that only answer monitors.

A request gets a thread once it has come whole. What a client does not read of its answer is sent
on without a thread, but for logs, of which fewer are read than there are threads
(`api.read_limits`).
"""

from __future__ import annotations

import errno
import io
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from gunicorn import SERVER
from gunicorn.workers.gthread import ThreadWorker

from tracker_service.api.job_calls import JobCallFront
from tracker_service.api.problems import TOO_LONG
from tracker_service.api.read_budgets import STOPPING
from tracker_service.api.schemas.queries import MAX_BODY_BYTES
from tracker_service.api.turns import TURNS
from tracker_service.arrivals import Arrival, Arriving
from tracker_service.held_socket import HeldSocket
from tracker_service.own_errors import plain_answer
from tracker_service.quick_calls import QuickCalls

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HEALTH_THREADS = 4
_HEAD_S = 10.0  #: for a request's head to come
_BODY_S = 60.0  #: for all of a request to come
_ANSWER_S = 60.0  #: for a client to read the end of its answer
_LINGER_S = 2.0  #: for a client to close its end (RFC 9112, section 9.6)
_PIECE_BYTES = 64 * 1024
_MOST_ARRIVING = 64 * 1024 * 1024  #: bytes of all requests that have not come whole
_SPARE_CONNECTIONS = 64  #: below the most, so that new clients, and monitors, are let in
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(slots=True, eq=False)
class _Waiting:
    """A connection that waits for its client."""

    connection: Any
    on_late: Callable[[_Waiting], None]
    until: float  #: of the monotonic clock
    is_given_back: bool = False  #: its request is not for the thread of quick calls
    request: Arriving = field(default_factory=partial(Arriving, MAX_BODY_BYTES))
    began: float = field(default_factory=time.monotonic)


class HealthFirstWorker(ThreadWorker):
    """A gthread worker whose threads wait for no client, and that always answers monitors.

    See https://docs.gunicorn.org/en/stable/design.html
    """

    _quick_calls: QuickCalls | None = None  #: None: no ledger is served

    def init_process(self) -> None:
        """Prepare the worker, and serve."""
        self._health = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
        self._waiting: dict[_Waiting, None] = {}  #: the longest first
        self._arriving = 0  #: bytes
        self._stopping = Event()
        super().init_process()

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:  # noqa: ANN401 (gunicorn's types)
        """Send the end of an answer, then close a connection or wait for its next request."""
        if conn.sock.fileno() < 0:  # handed over to the streams of events
            self.nr_conns -= 1
        elif conn.sock.unsent:
            waiting = _Waiting(conn, self._drop, time.monotonic() + _ANSWER_S)
            self._wait(waiting, selectors.EVENT_WRITE, partial(self._on_room, waiting, fs))
        elif not fs.cancelled() and not fs.exception() and fs.result():
            super().finish_request(conn, fs)
        else:
            self._linger(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:  # noqa: ANN401
        """Refuse what is no request, in the form of all other errors."""
        super().handle_error(req, cast(Any, _InOwnForm(client)), addr, exc)

    def load_wsgi(self) -> None:
        """Load the application; calls of writers get a thread of their own."""
        super().load_wsgi()
        if isinstance(self.wsgi, JobCallFront):
            self._quick_calls = QuickCalls(
                self.wsgi,
                give_back=lambda connection: self.method_queue.defer(self._take_back, connection),
                gone=lambda connection: self.method_queue.defer(self._close, connection),
                idle_s=self.cfg.keepalive,
                server=SERVER,
            )
            self._quick_calls.start()
        self.wsgi = partial(_told_of_the_end, cast(Any, self.wsgi), self._stopping)

    def is_for_monitors(self, _conn: Any) -> bool:  # noqa: ANN401
        """Tell whether a connection may only ask how the service is."""
        return False

    def accept(self, listener: Any) -> None:  # noqa: ANN401
        """Accept a connection; end the one that has waited longest where no file is left for it."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._end_oldest()

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 (gunicorn's own type)
        """Have the next request of a connection answered once it has come."""
        if self._quick_calls is None or not self._quick_calls.takes(conn):
            self._await_request(conn)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        super().handle_exit(sig, frame)
        self._stopping.set()
        if self._quick_calls:
            self._quick_calls.stop()

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Do what the clients have made possible, and end what they have not."""
        super().wait_for_and_dispatch_events(timeout)
        now = time.monotonic()
        for waiting in list(self._waiting):
            is_silent = (
                not self.alive and waiting.on_late == self._late and not waiting.request.data
            )
            if waiting.until <= now or is_silent:
                waiting.on_late(waiting)

    def _take_back(self, conn: Any) -> None:  # noqa: ANN401
        self._await_request(conn, is_given_back=True)

    def _await_request(self, conn: Any, *, is_given_back: bool = False) -> None:  # noqa: ANN401
        if not isinstance(conn.sock, HeldSocket):
            conn.sock = HeldSocket(conn.sock)
        if self.nr_conns > self.worker_connections - _SPARE_CONNECTIONS:
            self._end_oldest()
        waiting = _Waiting(conn, self._late, time.monotonic() + _HEAD_S, is_given_back)
        self._wait(waiting, selectors.EVENT_READ, partial(self._on_bytes, waiting))
        if conn.parser and (left := conn.parser.unreader.buf.getvalue()):
            conn.parser.unreader.buf = io.BytesIO()
            self._take(waiting, left)

    def _end_oldest(self) -> None:
        """End the connection that has waited longest, but for those of monitors."""
        oldest = next((w for w in self._waiting if not self.is_for_monitors(w.connection)), None)
        if oldest:
            oldest.on_late(oldest)

    def _wait(self, waiting: _Waiting, events: int, then: Callable[[Any], None]) -> None:
        waiting.connection.sock.setblocking(False)
        self.poller.register(waiting.connection.sock, events, then)
        self._waiting[waiting] = None

    def _go_on(self, waiting: _Waiting) -> None:
        with suppress(KeyError, ValueError, OSError):
            self.poller.unregister(waiting.connection.sock)
        self._waiting.pop(waiting, None)
        self._arriving -= len(waiting.request.data)

    def _on_bytes(self, waiting: _Waiting, sock: socket.socket) -> None:
        if self._is_for_quick_calls(waiting):
            return
        try:
            piece = sock.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if piece:
            self._take(waiting, piece)
        else:
            self._drop(waiting)

    def _is_for_quick_calls(self, waiting: _Waiting) -> bool:
        """Hand a connection over whose call has come after the connection."""
        if waiting.is_given_back or waiting.request.data or not self._quick_calls:
            return False
        sock = waiting.connection.sock
        then = self.poller.get_key(sock).data
        self.poller.unregister(sock)
        if self._quick_calls.takes(waiting.connection):
            self._waiting.pop(waiting)
            return True
        self.poller.register(sock, selectors.EVENT_READ, then)
        return False

    def _take(self, waiting: _Waiting, piece: bytes) -> None:
        request, had_head = waiting.request, waiting.request.has_head
        self._arriving += len(piece)
        arrival = request.take(piece)
        if arrival is Arrival.TOO_LONG:
            self._refuse(waiting, 413, TOO_LONG)
        elif arrival is Arrival.WHOLE:
            self._begin(waiting)
        elif self._arriving > _MOST_ARRIVING:
            self._refuse(waiting, 503, "Too many long requests arrive at once: try again.")
        elif request.has_head and not had_head:
            waiting.until = waiting.began + _BODY_S
            if request.awaits_word:
                with suppress(OSError):
                    waiting.connection.sock.send(_CONTINUE)

    def _begin(self, waiting: _Waiting) -> None:
        conn, request = waiting.connection, waiting.request
        if self.is_for_monitors(conn) and not request.is_for_health:
            self._refuse(waiting, 404, "Here are only /healthz, /readyz and /metrics.")
            return
        self._go_on(waiting)
        conn.init()
        conn.parser.unreader.unread(bytes(request.data))
        conn.data_ready = True
        threads = self._health if request.is_for_health else self.tpool
        done = threads.submit(self._answer, conn, TURNS.expect())
        done.add_done_callback(
            lambda answered: self.method_queue.defer(self.finish_request, conn, answered)
        )

    def _answer(self, conn: Any, turn: int) -> Any:  # noqa: ANN401
        with TURNS.answering(turn):
            return self.handle(conn)

    def _late(self, waiting: _Waiting) -> None:
        """End a connection whose request has not come in time."""
        if waiting.request.data:
            self._refuse(waiting, 408, "The request did not come in time.")
        else:
            self._drop(waiting)

    def _refuse(self, waiting: _Waiting, status: int, detail: str) -> None:
        self._go_on(waiting)
        with suppress(OSError):
            waiting.connection.sock.send(plain_answer(status, detail))
        self._linger(waiting.connection)

    def _drop(self, waiting: _Waiting) -> None:
        self._go_on(waiting)
        self._close(waiting.connection)

    def _on_room(self, waiting: _Waiting, fs: Future[Any], sock: HeldSocket) -> None:
        try:
            if not sock.flush():
                return
        except OSError:
            self._drop(waiting)
            return
        self._go_on(waiting)
        self.finish_request(waiting.connection, fs)

    def _linger(self, conn: Any) -> None:  # noqa: ANN401
        """Close a connection so that its client gets the end of its answer."""
        waiting = _Waiting(conn, self._drop, time.monotonic() + _LINGER_S)
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._wait(waiting, selectors.EVENT_READ, partial(self._on_farewell, waiting))
        except (OSError, ValueError):
            self._close(conn)

    def _on_farewell(self, waiting: _Waiting, sock: socket.socket) -> None:
        with suppress(BlockingIOError):
            try:
                is_over = not sock.recv(_PIECE_BYTES)
            except ConnectionError:
                is_over = True
            if is_over:
                self._drop(waiting)

    def _close(self, connection: Any) -> None:  # noqa: ANN401
        self.nr_conns -= 1
        connection.close()


def _told_of_the_end(
    app: WSGIApplication, stopping: Event, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Answer a request with an application that sees when this process begins to stop."""
    environ[STOPPING] = stopping
    return app(environ, start_response)


class MonitoredWorker(HealthFirstWorker):
    """A worker whose last socket is for monitors alone."""

    def init_process(self) -> None:
        """Prepare the worker, and serve."""
        self._monitors_at = self.sockets[-1].getsockname()
        super().init_process()

    def is_for_monitors(self, conn: Any) -> bool:  # noqa: ANN401
        """Tell whether a connection has come to the socket for monitors."""
        return bool(conn.server == self._monitors_at)


class _InOwnForm:
    """Takes the page that gunicorn writes for an error, and sends its status as a problem."""

    def __init__(self, sock: Any) -> None:  # noqa: ANN401
        self._sock = sock
        self.gettimeout, self.setblocking = sock.gettimeout, sock.setblocking

    def sendall(self, page: bytes) -> None:
        """Send what the page is about."""
        status = int(page.split(b" ", 2)[1])
        self._sock.sendall(plain_answer(status, "The server does not understand this request."))
