from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import Gateway
from tracker_service.sources.protection import Protection
from tracker_service.sources.webhdfs import WebHdfs

GUEST = BasicCredential("guest", "guest-password")
STATUS = (
    b'{"FileStatus": {"type": "FILE", "length": 9999, "owner": "guest", "permission": "600",'
    b' "modificationTime": 1}}'
)
WHOLE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


class Dripping:
    """A gateway that says something at once, and then a byte now and then."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.begins: list[tuple[bytes, bool]] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/gateway/sandbox"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for begin, drips in self.begins_when_there():
            try:
                asker, _ = self._listening.accept()
            except OSError:
                return
            with closing(asker):
                asker.recv(65536)
                asker.sendall(begin)
                while drips and not self.stop.wait(0.02):
                    try:
                        asker.sendall(b"x")
                    except OSError:
                        break

    def begins_when_there(self) -> Iterator[tuple[bytes, bool]]:
        while not self.stop.wait(0.005):
            if self.begins:
                yield self.begins.pop(0)

    def close(self) -> None:
        self.stop.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture
def dripping() -> Iterator[Dripping]:
    gateway = Dripping()
    yield gateway
    gateway.close()


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX-Slow: ", WHOLE % 9999])
def test_headers_and_small_bodies_that_drip_end(dripping, open_session, begin):
    dripping.begins.append((begin, True))
    gateway = Gateway(url=dripping.url, read_timeout_s=0.15)
    began = time.monotonic()

    with pytest.raises(GatewayUnavailable, match="no answer in time"):
        open_session(gateway, GUEST).ask("POST", "oozie/v2/jobs")

    assert time.monotonic() - began < 60


def test_a_log_that_drips_ends_and_holds_no_place_meanwhile(dripping, open_session):
    dripping.begins += [(WHOLE % len(STATUS) + STATUS, False), (WHOLE % 9999, True)]
    protection = Protection(max_concurrent=1, place_wait_s=0.01)
    gateway = Gateway(url=dripping.url, read_timeout_s=1, protection=protection)

    log = WebHdfs(open_session(gateway, GUEST)).read("/x.log")
    with protection.admitted("oozie/v2/jobs"):
        pass
    began = time.monotonic()
    with pytest.raises(GatewayUnavailable, match="broke off"):
        b"".join(log)

    assert time.monotonic() - began < 60
