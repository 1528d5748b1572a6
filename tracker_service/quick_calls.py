"""Answer the calls of writers on one thread: those that come while a commit lasts share the next.

gunicorn hands each request to a thread, which costs more than the call itself, and 32 threads that
wait for one commit keep each other from working. So connections whose next request is a call of a
writer are kept here as long as that is so. Everything that is not plain (a body that has not come
whole, chunks, other methods and paths) goes back to gunicorn, which reads it from its beginning.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from threading import Thread
from typing import Any

import structlog

from tracker_service.api.job_calls import JobCallFront
from tracker_service.ledger.calls import NAMES, PATH, Answer, Call

log = structlog.get_logger()

_LONGEST = 16 * 1024  #: bytes of a request that is answered here
_GATHER_S = 0.002  #: the longest wait for calls that share a transaction
_LATELY_S = 0.1  #: a caller who was answered within this time may call again at once
_START = b"POST " + PATH.encode()
_HEAD = re.compile(
    rb"POST %b(%b)(?:\?([!-~]*))? HTTP/1\.1\r\n((?:[!-~]+:[ -~]*\r\n)*)\r\n"
    % (PATH.encode(), "|".join(NAMES).encode())
)
_NOT_PLAIN = frozenset(
    (b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"sec-fetch-site", b"origin")
)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class _Request:
    call: Call
    size: int  #: bytes


class QuickCalls:
    """The connections of writers, and the thread that answers them."""

    def __init__(
        self,
        front: JobCallFront,
        give_back: Callable[[Any], object],
        gone: Callable[[Any], object],
        *,
        idle_s: float,
        server: str,
    ) -> None:
        """Prepare to answer; `start` begins.

        Args:
            give_back: takes a connection of gunicorn whose next request is not for this thread.
            gone: takes a connection that has ended, or was idle.
            idle_s: a connection that says nothing for so long is ended.
            server: the header of that name.
        """
        self._front, self._give_back, self._gone = front, give_back, gone
        self._idle_s, self._server = idle_s, server
        self._selector = selectors.DefaultSelector()
        self._arrived: deque[Any] = deque()
        self._used: dict[Any, float] = {}  #: when each connection was last used
        #: whom the last turn answered, and the turn before it
        self._last_two: tuple[Iterable[Any], Iterable[Any]] = (), ()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._selector.register(self._reader, selectors.EVENT_READ, None)
        self._is_stopping = False
        self._thread = Thread(target=self._run, name="quick-calls", daemon=True)
        self._date = (0, "")

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def join(self) -> None:
        """Wait until all connections have ended, after `stop`."""
        self._thread.join()

    def stop(self) -> None:
        """End all connections once their answers are out."""
        self._is_stopping = True
        self._wake()

    def takes(self, connection: Any) -> bool:  # noqa: ANN401 (gunicorn's own type)
        """Take a connection if its next request is a call of a writer; tell whether it was."""
        if self._is_stopping or connection.cfg.is_ssl or connection.is_http2:
            return False
        if connection.parser and connection.parser.unreader.buf.getvalue():
            return False  # gunicorn has read the beginning of the next request already
        connection.sock.setblocking(False)
        if not self._is_for_here(connection):
            return False
        self._arrived.append(connection)
        self._wake()
        return True

    def _is_for_here(self, connection: Any) -> bool:  # noqa: ANN401
        with suppress(OSError):
            return bool(_peek(connection, len(_START)) == _START)
        return False

    def _wake(self) -> None:
        with suppress(OSError):  # it has much to read already, or has stopped
            self._writer.send(b".")

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._turn()
            except Exception:
                log.exception("quick_calls_broke")
        for connection in [*self._used, *self._arrived]:
            self._end(connection)
        self._selector.close()
        self._reader.close()
        self._writer.close()

    def _turn(self) -> None:
        """Answer what has come, and what comes within a moment: one transaction serves all."""
        requests = dict[Any, _Request]()
        self._gather(requests, 5.0)
        if not requests:
            self._end_idle()
            return
        began = time.monotonic()
        expected = self._expected(began)
        while len(requests) < expected and (left_s := began + _GATHER_S - time.monotonic()) > 0:
            self._gather(requests, left_s)
        self._answer(requests)
        self._last_two = requests.keys(), self._last_two[0]

    def _expected(self, now: float) -> int:
        """Return how many callers are likely to call now: those whom the last two turns answered.

        With one turn alone, callers would stay in two halves that wait for each other.
        """
        callers = {caller for turn in self._last_two for caller in turn}
        return sum(self._used.get(caller, 0) > now - _LATELY_S for caller in callers)

    def _gather(self, requests: dict[Any, _Request], timeout_s: float) -> None:
        """Wait until something comes; add the requests, one of each connection."""
        ready = [key.data for key, _ in self._selector.select(timeout_s)]
        if None in ready:
            self._reader.recv(4096)
        while self._arrived:
            connection = self._arrived.popleft()
            self._selector.register(connection.sock, selectors.EVENT_READ, connection)
            self._used[connection] = time.monotonic()
            ready.append(connection)
        for connection in ready:
            if connection and connection not in requests and (found := self._request(connection)):
                requests[connection] = found

    def _request(self, connection: Any) -> _Request | None:  # noqa: ANN401
        """Return the next request of a connection, if it is one for this thread."""
        try:
            text = _peek(connection, _LONGEST)
            if not text:
                self._end(connection)
                return None
            request = self._understood(connection, text)
            if request:
                connection.sock.recv(request.size)
                return request
            self._release(connection)
            self._give_back(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._end(connection)
        return None

    def _understood(self, connection: Any, text: bytes) -> _Request | None:  # noqa: ANN401
        """Return a request that has come whole and is plain, else None."""
        found = _HEAD.match(text)
        if found is None:
            return None
        lines = [line.partition(b":") for line in found[3].split(b"\r\n") if line]
        headers = {name.lower(): value.strip().decode() for name, _, value in lines}
        stays = headers.pop(b"connection", "keep-alive").lower() == "keep-alive"
        is_plain = stays and _NOT_PLAIN.isdisjoint(headers)
        if len({name.lower() for name, _, _ in lines}) < len(lines) or not is_plain:
            return None
        length = headers.get(b"content-length", "0")
        end = found.end() + int(length) if length.isdecimal() else len(text) + 1
        name = found[1].decode()
        if end > len(text) or not self._front.calls.is_quick(name):
            return None
        call = Call(
            name=name,
            method="POST",
            query=(found[2] or b"").decode(),
            client=self._front.client(_peer(connection), headers.get(b"x-forwarded-for")),
            content_type=headers.get(b"content-type"),
            authorization=headers.get(b"authorization"),
            body=text[found.end() : end],
            length=end - found.end(),
        )
        return _Request(call, end)

    def _answer(self, requests: Mapping[Any, _Request]) -> None:
        began = time.monotonic()
        answers = self._front.calls.answer_all([request.call for request in requests.values()])
        now = time.monotonic()
        for (connection, request), answer in zip(requests.items(), answers, strict=True):
            try:
                connection.sock.sendall(self._written(answer))
                self._used[connection] = now
            except OSError:  # also of a client that does not read its answers
                self._end(connection)
            self._front.count(request.call.name, answer, now - began)

    def _written(self, answer: Answer) -> bytes:
        """Return an answer as it is sent, in one piece."""
        lines = [
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
            f"Server: {self._server}",
            f"Date: {self._http_date()}",
            "Connection: keep-alive",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body

    def _http_date(self) -> str:
        second = int(time.time())
        if second != self._date[0]:
            self._date = second, formatdate(second, usegmt=True)
        return self._date[1]

    def _end_idle(self) -> None:
        oldest = time.monotonic() - self._idle_s
        for connection in [c for c, used in self._used.items() if used < oldest]:
            self._end(connection)

    def _release(self, connection: Any) -> None:  # noqa: ANN401
        self._used.pop(connection, None)
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)

    def _end(self, connection: Any) -> None:  # noqa: ANN401
        self._release(connection)
        self._gone(connection)


def _peek(connection: Any, most: int) -> bytes:  # noqa: ANN401
    """Return the first bytes that have come, and leave them where they are."""
    return bytes(connection.sock.recv(most, socket.MSG_PEEK))


def _peer(connection: Any) -> str:  # noqa: ANN401
    return str(connection.client[0]) if isinstance(connection.client, tuple) else ""
