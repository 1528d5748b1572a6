"""The phases of a request are those that the server makes long."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loopback_server import Reply
from tests.unit.tls import Authority, tls_loopback
from tracker_service.errors import NoUsableAnswer
from tracker_service.sources.timed_request import Limits, Phase, TimedAnswer, Watch, timed_get

Talk = Callable[[socket.socket], object]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
LONG_S = 0.3
NOTICEABLE_S = 0.25  #: of it, at least, by any clock


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """Run a server that talks with each client as a test says; yield its URL."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while not ended.is_set():
                client, _ = server.accept()
                with client, suppress(OSError):
                    talk(client)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/path?query=1"
    ended.set()
    with suppress(OSError):
        socket.create_connection(server.getsockname(), timeout=5).close()
    server.close()
    thread.join(10)


def get(
    url: str, watch: Watch, seconds: float = 60, longest: int = 1000, authority: Path | None = None
) -> TimedAnswer:
    limits = Limits(seconds=seconds, body_bytes=longest)
    return timed_get(url, watch, limits, headers={}, authority=authority)


def test_a_head_that_comes_late_is_the_first_byte():
    def talk(client: socket.socket) -> None:
        client.recv(1000)
        time.sleep(LONG_S)
        client.sendall(HEAD + b"a body")

    watch = Watch()
    with talking(talk) as url:
        answer = get(url, watch)

    assert answer == TimedAnswer(200, None, b"a body")
    assert watch.phases[Phase.FIRST_BYTE] >= NOTICEABLE_S
    assert watch.phases[Phase.DOWNLOAD] < watch.phases[Phase.FIRST_BYTE]
    assert Phase.TLS not in watch.phases


def test_a_body_that_comes_in_pieces_is_the_download():
    def talk(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(HEAD)
        for letter in b"a body":
            time.sleep(LONG_S / 6)
            client.sendall(bytes([letter]))

    watch = Watch()
    with talking(talk) as url:
        get(url, watch)

    assert watch.phases[Phase.DOWNLOAD] >= NOTICEABLE_S
    assert watch.phases[Phase.FIRST_BYTE] < watch.phases[Phase.DOWNLOAD]


def test_a_name_that_is_found_late_is_the_look_up(loopback, monkeypatch):
    real = socket.getaddrinfo

    def slow(host: str, *more: Any, flags: int = 0, **named: Any) -> Any:
        if flags:
            raise socket.gaierror("a name is no address")
        time.sleep(LONG_S)
        return real("127.0.0.1", *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    watch = Watch()

    get(loopback.origin.replace("127.0.0.1", "master.lan"), watch)

    assert watch.phases[Phase.DNS] >= NOTICEABLE_S


def test_a_handshake_that_comes_late_is_tls(tmp_path):
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate())

    def talk(client: socket.socket) -> None:
        time.sleep(LONG_S)
        with context.wrap_socket(client, server_side=True) as secured:
            secured.recv(1000)
            secured.sendall(HEAD + b"a body")

    watch = Watch()
    with talking(talk) as url:
        get(url.replace("http:", "https:"), watch, authority=authority.file)

    assert watch.phases[Phase.TLS] >= NOTICEABLE_S
    assert watch.phases[Phase.TLS] > watch.phases[Phase.TCP]


def test_all_phases_add_up_to_the_total(tmp_path):
    authority, watch = Authority(tmp_path), Watch()
    with tls_loopback(authority.certificate()) as server:
        server.says(Reply(200, b"yes"))
        url = server.origin.replace("http:", "https:")
        get(url, watch, authority=authority.file)

    phases = dict(watch.phases)
    total = phases.pop(Phase.TOTAL)
    assert list(phases) == [phase for phase in Phase if phase != Phase.TOTAL]
    assert sum(phases.values()) == pytest.approx(total, abs=0.01)


def silence(client: socket.socket) -> None:
    client.recv(1000)
    client.recv(1)  # until the other side has gone


def dripping_head(client: socket.socket) -> None:
    while True:
        client.sendall(b"H")
        time.sleep(0.02)


def dripping_body(client: socket.socket) -> None:
    client.sendall(HEAD.replace(b"6", b"600000"))
    dripping_head(client)


@pytest.mark.parametrize("talk", [silence, dripping_head, dripping_body])
def test_a_request_ends_in_time_however_slowly_the_server_sends(talk):
    watch = Watch()

    with talking(talk) as url, pytest.raises(NoUsableAnswer, match="no whole answer") as refused:
        get(url, watch, seconds=0.3)

    assert refused.value.kind == "timeout"
    assert list(watch.phases) == [Phase.TOTAL]
    assert watch.phases[Phase.TOTAL] >= NOTICEABLE_S


def test_a_look_up_that_hangs_ends_in_time(monkeypatch):
    opened = threading.Event()

    def hanging(*_: object, flags: int = 0, **__: object) -> list[object]:
        if flags:
            raise socket.gaierror("a name is no address")
        opened.wait(180)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)

    with pytest.raises(NoUsableAnswer) as refused:
        get("http://master.lan/", Watch(), seconds=0.1)

    opened.set()
    assert refused.value.kind == "timeout"


def broken(text: bytes) -> Talk:
    def talk(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(text)

    return talk


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"", "broken_answer"),
        (b"nonsense\r\n\r\n", "broken_answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "broken_answer"),
        (HEAD + b"a b", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab", "truncated"),
        (HEAD.replace(b"6", b"2000") + b"x" * 2000, "too_long"),
    ],
)
def test_an_answer_that_is_none_is_told_by_its_kind(text, kind):
    with talking(broken(text)) as url, pytest.raises(NoUsableAnswer) as refused:
        get(url, Watch())

    assert refused.value.kind == kind


def test_whatever_the_status_the_answer_is_returned(loopback):
    loopback.says(Reply(302, b"go", {"Location": "/there"}))

    assert get(loopback.origin, Watch()) == TimedAnswer(302, "/there", b"go")
    assert loopback.asked[0].path == "/"


def test_a_file_without_an_authority_is_named(tmp_path, loopback):
    (tmp_path / "ca.pem").write_text("no certificate")

    url = loopback.origin.replace("http:", "https:")
    with pytest.raises(NoUsableAnswer, match=r"ca\.pem") as refused:
        get(url, Watch(), authority=tmp_path / "ca.pem")

    assert refused.value.kind == "certificate"


@contextmanager
def swallowing() -> Iterator[tuple[str, int]]:
    """Listen, and let no further connection get an answer; yield the address."""
    with ExitStack() as opened:
        full = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()


def test_an_address_that_swallows_packets_leaves_time_for_the_next(loopback, monkeypatch):
    port = int(loopback.origin.rpartition(":")[2])
    usual = (socket.AF_INET, socket.SOCK_STREAM, 6, "")

    with swallowing() as swallowed:
        addresses = [(*usual, swallowed), *[(*usual, ("127.0.0.1", port))] * 19]

        def found(*_: object, flags: int = 0, **__: object) -> list[object]:
            if flags:
                raise socket.gaierror("a name is no address")
            return list(addresses)

        monkeypatch.setattr(socket, "getaddrinfo", found)

        assert get("http://master.lan/", Watch(), seconds=60).status == 200
