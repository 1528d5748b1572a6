from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event

import pytest

from tests.waiting import until
from tracker_service.request_threads import RequestThreads

GET = b"GET %s HTTP/1.1\r\nHost: tracker\r\n\r\n"


@dataclass
class Connection:
    """A connection as gunicorn hands it over, and the client's end of it."""

    sock: socket.socket
    client: socket.socket


@dataclass
class Requests:
    """Request threads, and the connections that tests open to them."""

    threads: RequestThreads
    answered: list[bytes] = field(default_factory=list)
    go_on: Event = field(default_factory=Event)  #: lets slow readers go
    opened: list[Connection] = field(default_factory=list)

    def handle(self, connection: Connection) -> bytes:
        text = connection.sock.recv(1000)
        if b"/logs" in text:
            self.go_on.wait(60)
        self.answered.append(text.split()[1])
        return text

    def send(self, path: bytes, *, late: bool = False):
        connection = Connection(*socket.socketpair())
        self.opened.append(connection)
        if not late:
            connection.client.sendall(GET % path)
        answer = self.threads.submit(self.handle, connection)
        if late:
            connection.client.sendall(GET % path)
        return answer

    def close(self) -> None:
        self.go_on.set()
        self.threads.shutdown()
        for connection in self.opened:
            connection.sock.close()
            connection.client.close()


@pytest.fixture
def held() -> Iterator[Requests]:
    """Two request threads that are held by slow readers."""
    requests = Requests(RequestThreads(2))
    for _ in range(2):
        requests.send(b"/api/job/1/logs")
    yield requests
    requests.close()


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz", b"/readyz?verbose=true"])
@pytest.mark.parametrize("late", [False, True])
def test_health_is_answered_while_slow_readers_hold_all_threads(held, path, late):
    assert held.send(path, late=late).result(60).startswith(b"GET /")

    assert held.answered == [path]


def test_other_requests_wait_for_their_turn_and_are_answered_then(held):
    waiting = [held.send(path) for path in (b"/api/jobs", b"/healthz-not", b"/api/login")]
    assert held.send(b"/healthz").result(60)
    assert held.answered == [b"/healthz"]

    held.go_on.set()

    assert all(answer.result(60) for answer in waiting)


def test_a_client_that_says_nothing_keeps_health_from_nobody(held):
    for _ in range(10):
        held.opened.append(silent := Connection(*socket.socketpair()))
        held.threads.submit(held.handle, silent)

    assert held.send(b"/healthz").result(60)
    for connection in held.opened:
        connection.client.close()


def test_an_error_of_a_request_is_gunicorns_to_tell(held):
    def broken(_: Connection) -> None:
        raise OSError("gone")

    connection = Connection(*socket.socketpair())
    held.opened.append(connection)
    connection.client.sendall(GET % b"/healthz")

    assert isinstance(held.threads.submit(broken, connection).exception(60), OSError)


def test_free_threads_are_used_again():
    requests = Requests(RequestThreads(1))
    for _ in range(50):
        requests.send(b"/api/jobs").result(60)
    until(lambda: len(requests.answered) == 50)
    requests.close()
