"""Clients that say nothing, half of it, or do not read: nobody else waits for them."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.attacks.slow_app import LONG
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.slow
THREADS = 4
ATTACKERS = 40


@pytest.fixture(scope="module")
def monitors() -> int:
    """The port for monitors."""
    return free_port()


@pytest.fixture(scope="module")
def port(monitors: int) -> Iterator[int]:
    """Gunicorn with four threads, on a port; monitors have another one."""
    port = free_port()
    worker = "tracker_service.request_threads.MonitoredWorker"
    command = [sys.executable, "-m", "gunicorn", "--log-level=error"]
    command += [f"--bind=127.0.0.1:{each}" for each in (port, monitors)]
    command += [f"--worker-class={worker}", f"--threads={THREADS}", "tests.attacks.slow_app:app"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        until(lambda: _status(port, "/healthz") == 200, seconds=120)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _status(port: int, path: str, **more) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST" if more else "GET", path, **more)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def _attackers(port: int, said: bytes) -> list[socket.socket]:
    opened = []
    for _ in range(ATTACKERS):
        attacker = socket.socket()
        attacker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        attacker.connect(("127.0.0.1", port))
        attacker.sendall(said)
        opened.append(attacker)
    return opened


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("silent connections", b""),
        ("half heads", b"GET / HTTP/1.1\r\nHost: x\r\n"),
        ("half bodies", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"),
        ("half chunks", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx"),
        ("chunks that look like an end", b"POST / HTTP/1.1\r\nHost: x\r\n"
         b"Transfer-Encoding: chunked\r\n\r\nff\r\n0\r\n\r\n"),
        ("slow readers of a long answer", b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("readers that stay", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    ],
)  # fmt: skip
def test_nobody_waits_for_a_slow_client(port, row, name, said):
    attackers = _attackers(port, said)
    began = time.monotonic()

    assert _status(port, "/healthz") == 200
    assert _status(port, "/") == 200
    assert _status(port, "/", body=b"x" * 1000) == 200

    row("threads", f"{ATTACKERS} {name}", f"health and others in {time.monotonic() - began:.2f} s")
    for attacker in attackers:
        attacker.close()


def test_monitors_are_answered_while_readers_of_logs_hold_all_threads(port, row):
    attackers = _attackers(port, b"GET /log HTTP/1.1\r\nHost: x\r\n\r\n")
    began = time.monotonic()

    for path in ("/healthz", "/readyz", "/readyz?verbose=true"):
        assert _status(port, path) == 200

    row("threads", f"{ATTACKERS} slow readers of logs", f"{time.monotonic() - began:.2f} s")
    for attacker in attackers:
        attacker.close()
    assert _status(port, "/") == 200


def test_the_socket_for_monitors_answers_nobody_else(port, monitors, row):
    attackers = _attackers(port, b"GET /log HTTP/1.1\r\nHost: x\r\n\r\n")
    attackers += _attackers(monitors, b"")
    began = time.monotonic()

    told = [_status(monitors, path) for path in ("/healthz", "/metrics", "/", "/log")]

    row(
        "threads",
        "80 clients, half at the socket for monitors",
        f"{time.monotonic() - began:.2f} s",
    )
    assert told == [200, 200, 404, 404]
    for attacker in attackers:
        attacker.close()


def test_a_slow_reader_gets_all_of_its_answer(port):
    [reader, *others] = _attackers(
        port, b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    for other in others:
        other.close()
    until(lambda: _status(port, "/") == 200)

    answer = b"".join(iter(lambda: reader.recv(1 << 20), b""))

    assert LONG in answer.replace(b"\r\n", b"")
    reader.close()


def test_chunked_bodies_have_the_same_limit(port, row):
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n"
        )
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer
    row("bodies", "a chunked body of more than 1 MiB", "413")


def test_chunks_and_several_requests_at_once_are_answered(port):
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"3\r\nabc\r\n2;a=b\r\nde\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(chunked + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"\r\n5\r\n" in answer or b"\r\n\r\n5" in answer


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"x" * 70_000])
def test_what_is_no_request_is_refused_in_the_form_of_all_errors(port, row, said):
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(said)
        answer = client.recv(4096)

    assert answer[9:10] == b"4"
    assert b"application/problem+json" in answer
    row("bodies", f"{said[:20]!r}", answer[9:12].decode())
