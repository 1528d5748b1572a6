from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fakes import Clock, FakeCluster

from tracker_service.identities import Identities
from tracker_service.sources.gateway import AccessPool, BasicCredential, Gateway, GatewaySession
from tracker_service.store.credentials import Seal
from tracker_service.store.engine import Store


@dataclass(frozen=True)
class Asked:
    """A request as the loopback server got it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What the loopback server says."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  #: a Content-Length that is a lie


class Loopback:
    """A server of this machine that answers from a list, and then repeats its last answer."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: list[Reply | Callable[[Asked], Reply]] = [Reply()]
        handler = type("Handler", (_Handler,), {"loopback": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def says(self, *replies: Reply | Callable[[Asked], Reply]) -> None:
        self.replies = list(replies)

    def reply_to(self, asked: Asked) -> Reply:
        reply = self.replies[min(len(self.asked), len(self.replies) - 1)]
        self.asked.append(asked)
        return reply(asked) if callable(reply) else reply

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    loopback: Loopback

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, parts.path, query, dict(self.headers), body)
        reply = self.loopback.reply_to(asked)
        self.close_connection = True
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            length = len(reply.body) if reply.length is None else reply.length
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(reply.body)
        except OSError:
            pass  # the client has given up, which some tests want

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


@pytest.fixture
def other_server() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


@pytest.fixture
def knox(loopback: Loopback) -> Gateway:
    """The loopback server as a Knox topology."""
    return Gateway(url=f"{loopback.origin}/gateway/sandbox", read_timeout_s=5)


@pytest.fixture
def open_session() -> Iterator[Callable[[Gateway, BasicCredential], GatewaySession]]:
    """Opens sessions, and closes them and all their answers in the end."""
    sessions, answers = [], []

    def opened(gateway: Gateway, credential: BasicCredential) -> GatewaySession:
        session = gateway.session(credential)
        session.hooks["response"].append(lambda answer, **_: answers.append(answer))
        sessions.append(session)
        return session

    yield opened
    for each in [*answers, *sessions]:
        each.close()


@pytest.fixture
def session(knox: Gateway, open_session) -> GatewaySession:
    return open_session(knox, BasicCredential("guest", "guest-password"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """A database with the schema and nothing in it: copying it is faster than making it."""
    file = tmp_path_factory.mktemp("template") / "tracker.db"
    store = Store(f"sqlite:///{file}")
    store.upgrade()
    store.close()
    return file


@pytest.fixture
def store(empty_database: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(empty_database, tmp_path / "tracker.db")
    opened = Store(f"sqlite:///{tmp_path}/tracker.db")
    yield opened
    opened.close()


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def fake_cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def seal(tmp_path: Path) -> Seal:
    return Seal(tmp_path / "credentials.key")


@pytest.fixture
def identities(store: Store, seal: Seal, fake_cluster: FakeCluster, now: Clock) -> Identities:
    return Identities(store, seal, AccessPool(fake_cluster.access), now)
