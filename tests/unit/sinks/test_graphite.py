from __future__ import annotations

import pickle
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port, listens
from tests.unit.sinks.messages import AT, message, numbered
from tests.waiting import until
from tracker_service.domain.events import EventType
from tracker_service.sinks.graphite import Graphite
from tracker_service.sinks.sink import Message, Others, Result

CARBON = shutil.which("carbon-cache") or ""
SECOND = int(AT.timestamp())


class Carbon:
    """A receiver of lines; it keeps them, and the connections over which they came."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.text = b""
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # it is closed
            self.connections.append(connection)
            self._threads.append(threading.Thread(target=self._read, args=(connection,)))
            self._threads[-1].start()

    def _read(self, connection: socket.socket) -> None:
        with connection:
            while piece := connection.recv(4096):
                self.text += piece

    def hang_up(self) -> None:
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._server.close()

    def lines(self, count: int) -> list[str]:
        """Wait for so many lines."""
        until(lambda: self.text.count(b"\n") >= count)
        return self.text.decode().splitlines()


@pytest.fixture
def carbon() -> Iterator[Carbon]:
    server = Carbon()
    yield server
    server.close()


@pytest.fixture
def sink(carbon: Carbon) -> Iterator[Graphite]:
    graphite = Graphite("127.0.0.1", carbon.port, "hadoop.events")
    yield graphite
    graphite.close()  # before the server: it reads until then


def test_events_of_one_type_and_second_are_one_line(carbon, sink):
    others = Message(kept=message().kept, others=Others(count=14, since=AT.isoformat()))

    outcomes = sink.deliver([*numbered(3), others, message(EventType.LOGS_LOST)])

    assert [outcome.result for outcome in outcomes] == [Result.DELIVERED] * 5
    assert carbon.lines(2) == [
        f"hadoop.events.tracker.job.failed 18 {SECOND}",
        f"hadoop.events.tracker.logs.lost 1 {SECOND}",
    ]


def test_one_connection_is_kept(carbon, sink):
    for number in range(3):
        sink.deliver(numbered(1))
        carbon.lines(number + 1)

    assert len(carbon.connections) == 1


def test_after_the_server_has_hung_up_a_new_connection_is_made(carbon, sink):
    sink.deliver(numbered(1))
    carbon.lines(1)
    carbon.hang_up()

    [outcome] = sink.deliver(numbered(1))

    assert outcome.result == Result.DELIVERED
    carbon.lines(2)
    assert len(carbon.connections) == 2


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A server, and connections to it between which hardly a line fits."""
    connected = socket.create_connection

    def connect(*where: Any) -> socket.socket:
        connection = connected(*where)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return connection

    monkeypatch.setattr(socket, "create_connection", connect)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def test_a_server_that_hangs_up_in_the_middle_gets_all_lines_again_on_a_new_connection(narrow):
    def hang_up() -> None:
        """Take the begin of a line, and hang up in its middle."""
        with narrow.accept()[0] as connection:
            taken.append(connection.recv(100))

    taken: list[bytes] = []
    much = [message(f"{number}.{'x' * 180}") for number in range(1000)]
    sink = Graphite("127.0.0.1", narrow.getsockname()[1], "events")
    hanging_up = threading.Thread(target=hang_up)
    hanging_up.start()
    outcomes = sink.deliver(much)
    hanging_up.join()
    sink.deliver(much[:1])
    with narrow.accept()[0] as connection, connection.makefile("rb") as lines:
        line = lines.readline()
    sink.close()

    [outcome] = outcomes
    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert line.startswith(taken[0]), "the second time, all is sent from the first line on"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("a b/c;d=e\n99.x", "a_b_c_d_e_99.x"),
        ("../..//etc", "_.__etc"),
        ("ä.ö", "_._"),
    ],
)
def test_names_are_made_safe(carbon, sink, kind, name):
    sink.deliver([message(kind)])

    assert carbon.lines(1) == [f"hadoop.events.{name} 1 {SECOND}"]


def test_names_are_bounded(carbon, sink):
    sink.deliver([message("x" * 5000)])

    assert len(carbon.lines(1)[0].split()[0]) == 200


def test_a_server_that_is_not_there_is_an_outage():
    [outcome] = Graphite("127.0.0.1", free_port(), "events").deliver(numbered(2))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert "Connection refused" in outcome.answer


def test_a_host_without_an_address_is_an_outage():
    [outcome] = Graphite("nowhere.invalid", 2003, "events").deliver(numbered(2))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)


_CONFIG = """
[cache]
STORAGE_DIR = {directory}
LOCAL_DATA_DIR = {directory}/whisper
CONF_DIR = {directory}
LOG_DIR = {directory}
PID_DIR = {directory}
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {line}
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = {pickle}
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = {query}
MAX_CACHE_SIZE = inf
MAX_UPDATES_PER_SECOND = 0.01
ENABLE_TAGS = False
"""


@pytest.fixture(scope="module")
def real_carbon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A real carbon-cache: the ports of its lines and of its queries."""
    if not CARBON:
        pytest.skip("no carbon-cache: apt-get install graphite-carbon")
    directory = tmp_path_factory.mktemp("carbon")
    line, pickles, query = free_port(), free_port(), free_port()
    config: Path = directory / "carbon.conf"
    config.write_text(_CONFIG.format(directory=directory, line=line, pickle=pickles, query=query))
    (directory / "storage-schemas.conf").write_text("[all]\npattern = .*\nretentions = 1s:1h\n")
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [CARBON, f"--config={config}", "--nodaemon", "start"], stdout=log, stderr=log
        )
    try:
        until(lambda: (listens(line) and listens(query)) or process.poll() is not None)
        assert process.poll() is None, (directory / "log").read_text()
        yield line, query
    finally:
        process.kill()  # it would write what it has at its pace first
        process.wait(timeout=60)


def cached(port: int, metric: str) -> list[tuple[int, float]]:
    """What carbon has taken of a metric and not written yet."""
    body = pickle.dumps({"type": "cache-query", "metric": metric}, protocol=2)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(struct.pack("!L", len(body)) + body)
        answers = connection.makefile("rb")
        [length] = struct.unpack("!L", answers.read(4))
        return [tuple(point) for point in pickle.loads(answers.read(length))["datapoints"]]


def test_a_real_carbon_takes_the_counts(real_carbon):
    line, query = real_carbon
    now = int(time.time())
    sink = Graphite("127.0.0.1", line, "hadoop.events")

    sink.deliver([message(at=AT.fromtimestamp(now, AT.tzinfo)) for _ in range(3)])

    metric = "hadoop.events.tracker.job.failed"
    assert until(lambda: cached(query, metric)) == [(now, 3.0)]
    sink.close()
