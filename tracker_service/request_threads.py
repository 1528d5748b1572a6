"""The threads of gunicorn's worker, with some that only answer how the service is."""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from types import FrameType
from typing import Any

from gunicorn import SERVER
from gunicorn.workers.gthread import ThreadWorker

from tracker_service.api.job_calls import JobCallFront
from tracker_service.quick_calls import QuickCalls

_HEALTH = re.compile(rb"(GET|HEAD) /(healthz|readyz)[ ?]")
_HEALTH_THREADS = 4
_FIRST_BYTES_S = 0.25  #: for a request to arrive on a new connection


class HealthFirstWorker(ThreadWorker):
    """A gthread worker that answers `/healthz` and `/readyz` while all its threads are held.

    See https://docs.gunicorn.org/en/stable/design.html
    """

    _quick_calls: QuickCalls | None = None  #: None: no ledger is served

    def get_thread_pool(self) -> RequestThreads:
        """Return the threads that answer requests."""
        return RequestThreads(self.cfg.threads)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:  # noqa: ANN401 (gunicorn's types)
        """Close a connection or wait for its next request, unless it was handed over."""
        if conn.sock.fileno() < 0:  # to the streams of events
            self.nr_conns -= 1
            return
        super().finish_request(conn, fs)

    def load_wsgi(self) -> None:
        """Load the application; calls of writers get a thread of their own."""
        super().load_wsgi()
        if isinstance(self.wsgi, JobCallFront):
            self._quick_calls = QuickCalls(
                self.wsgi,
                give_back=lambda connection: self.method_queue.defer(
                    super(HealthFirstWorker, self).enqueue_req, connection
                ),
                gone=lambda connection: self.method_queue.defer(self._close, connection),
                idle_s=self.cfg.keepalive,
                server=SERVER,
            )
            self._quick_calls.start()

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 (gunicorn's own type)
        """Have the next request of a connection answered."""
        if self._quick_calls is None or not self._quick_calls.takes(conn):
            super().enqueue_req(conn)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        super().handle_exit(sig, frame)
        if self._quick_calls:
            self._quick_calls.stop()

    def _close(self, connection: Any) -> None:  # noqa: ANN401
        self.nr_conns -= 1
        connection.close()


class RequestThreads(ThreadPoolExecutor):
    """The threads for requests, and a few more for health while all of these are held."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="request")
        self._most, self._held, self._lock = threads, 0, Lock()
        self._health = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")

    def submit(  # type: ignore[override]
        self,
        handle: Callable[[Any], Any],
        connection: Any,  # noqa: ANN401 (gunicorn's own types)
    ) -> Future[Any]:
        """Handle the next request of a connection."""
        with self._lock:
            is_free = self._held < self._most
            self._held += is_free
        if is_free:
            return self._counted(handle, connection)
        answer: Future[Any] = Future()
        self._health.submit(self._sort, handle, connection, answer)
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more requests; see `Executor.shutdown`."""
        self._health.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _counted(self, handle: Callable[[Any], Any], connection: Any) -> Future[Any]:  # noqa: ANN401
        future = super().submit(handle, connection)
        future.add_done_callback(self._release)
        return future

    def _release(self, _: object) -> None:
        with self._lock:
            self._held -= 1

    def _sort(
        self,
        handle: Callable[[Any], Any],
        connection: Any,  # noqa: ANN401
        answer: Future[Any],
    ) -> None:
        """Answer a request for health on this thread; let any other wait for its turn."""
        try:
            if _asks_for_health(connection.sock):
                answer.set_result(handle(connection))
                return
            with self._lock:
                self._held += 1
            self._counted(handle, connection).add_done_callback(lambda done: _copy(done, answer))
        except Exception as error:
            answer.set_exception(error)


def _asks_for_health(connection: socket.socket) -> bool:
    """Look at the first bytes of a request, and leave them where they are."""
    readable, _, _ = select.select([connection], [], [], _FIRST_BYTES_S)
    return bool(readable) and bool(_HEALTH.match(connection.recv(32, socket.MSG_PEEK)))


def _copy(done: Future[Any], answer: Future[Any]) -> None:
    error = done.exception()
    if error:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())
