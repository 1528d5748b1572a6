"""Measure how fast events arrive: at webhooks, through a backlog, beside a sink that hangs, live.

The service runs as it is installed, with one worker and SQLite. This process writes events into its
database and receives them, on the same cores.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import socket
import statistics
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import requests

from tests.acceptance.service import InstalledService
from tests.stands import sandbox_stand
from tests.waiting import until
from tracker_service.domain.events import Event
from tracker_service.store import events
from tracker_service.store.database import Connection, Store

GUEST = ("guest", "guest-password")
EVENTS_PER_S, SECONDS = 100, 30
BACKLOG = 100_000
READERS = 200
FINE_SINKS = 9
_AT_ONCE = 1000  #: events of the backlog in one transaction
ON_LOOPBACK = {
    "TRACKER_SINKS__ALLOWED_HOSTS": '["127.0.0.1"]',
    "TRACKER_SINKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
}


@dataclass
class Receiver:
    """A lean receiver of webhooks on a thread of its own; some of its paths never answer."""

    waits: list[float] = field(default_factory=list)  #: seconds from the event to its arrival
    ids: set[str] = field(default_factory=set)
    got: int = 0

    def start(self) -> None:
        """Listen on a free port."""
        self._loop = asyncio.new_event_loop()
        server = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = self._loop.run_until_complete(server)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            if b" /hangs" in head:
                await asyncio.sleep(3600)
            event = json.loads(body)
            self.waits.append(time.time() - event["data"].get("at", time.time()))
            self.ids.add(event["id"])
            self.got += 1
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def write(store: Store, count: int, subject: int = 0) -> None:
    """Write events in one transaction."""

    def change(connection: Connection) -> None:
        for number in range(count):
            data = {"at": time.time()}
            about = f"{subject + number:07d}-261122041514971-oozie-bench-W"
            event = Event(
                type="tracker.logs.saved",
                subject=about,
                time=datetime.now(UTC),
                data=data,
                owner="guest",
            )
            events.append(connection, event)

    store.write(change)


def write_steadily(store: Store) -> int:
    """Write events at the usual rate; return how many."""
    begin, written = time.monotonic(), 0
    while written < EVENTS_PER_S * SECONDS:
        write(store, 1, written)
        written += 1
        time.sleep(max(0.0, begin + written / EVENTS_PER_S - time.monotonic()))
    return written


def subscribe(service: InstalledService, url: str) -> None:
    """Have all events of guest sent to a webhook."""
    body = {"sink": {"type": "webhook", "url": url}}
    answer = requests.post(f"{service.url}/api/subscriptions", json=body, auth=GUEST, timeout=60)
    answer.raise_for_status()


def memory_mb(pid: int | None) -> float:
    """Return the memory that a process alone holds, in MB (USS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    private = (line.split()[1] for line in rollup if line.startswith("Private_"))
    return sum(map(int, private)) / 1024


def p95_ms(waits: Sequence[float]) -> float:
    """Return the 95th percentile of some times, in milliseconds."""
    return statistics.quantiles(waits, n=20)[18] * 1000


@contextmanager
def running() -> Iterator[tuple[InstalledService, Store, Receiver]]:
    """Run a service, and open its database and a receiver."""
    with sandbox_stand() as stand, tempfile.TemporaryDirectory() as directory:
        receiver = Receiver()
        receiver.start()
        service = InstalledService(stand, Path(directory) / "state", **ON_LOOPBACK)
        store = Store(f"sqlite:///{service.state_dir}/tracker.db")
        try:
            yield service, store, receiver
        finally:
            store.close()
            service.end()


def steadily() -> str:
    """Measure events at the usual rate to one webhook."""
    with running() as (service, store, receiver):
        subscribe(service, f"{receiver.origin}/team")
        written = write_steadily(store)
        until(lambda: receiver.got, lambda got: got >= written, seconds=300)
        return f"p95 {p95_ms(receiver.waits):.0f} ms, {len(receiver.ids)} of {written} arrived"


def backlog() -> str:
    """Measure how fast one worker sends a backlog to one webhook, and its memory."""
    with running() as (service, store, receiver):
        subscribe(service, f"{receiver.origin}/team")
        worker = service.child("worker")
        for number in range(0, BACKLOG, _AT_ONCE):
            write(store, _AT_ONCE, number)
        sent_before, begin, before = receiver.got, time.monotonic(), memory_mb(worker)
        until(lambda: receiver.got, lambda got: got >= BACKLOG, seconds=1800)
        rate = (BACKLOG - sent_before) / (time.monotonic() - begin)
        return f"{rate:.0f} a second; worker {before:.0f} MB before, {memory_mb(worker):.0f} after"


def beside_one_that_hangs() -> str:
    """Measure nine webhooks without and with a tenth that never answers."""
    found = []
    for hangs in (0, 1):
        with running() as (service, store, receiver):
            for number in range(FINE_SINKS):
                subscribe(service, f"{receiver.origin}/{number}")
            for _ in range(hangs):
                subscribe(service, f"{receiver.origin}/hangs")
            for number in range(SECONDS * 10):
                write(store, 1, number)
                time.sleep(0.1)
            wanted = FINE_SINKS * SECONDS * 10
            until(lambda: receiver.got, lambda got: got >= wanted, seconds=300)  # noqa: B023
            found.append(f"{p95_ms(receiver.waits):.0f} ms")
    return f"p95 without {found[0]}, with {found[1]}"


def live() -> str:
    """Measure streams to many readers, and what each of them costs the API."""
    with running() as (service, store, _):
        requests.get(f"{service.url}/api/events", auth=GUEST, timeout=60)
        [api] = service.processes(below=service.child("serve")) - {service.child("serve")}
        before = memory_mb(api)
        readers = [open_stream(service) for _ in range(READERS)]
        waits: list[float] = []
        stop = threading.Event()
        reading = threading.Thread(target=read_all, args=(readers, waits, stop), daemon=True)
        reading.start()
        written = write_steadily(store)
        until(lambda: len(waits), lambda got: got >= written * READERS, seconds=120)
        per_reader = (memory_mb(api) - before) / READERS
        stop.set()
        reading.join()
        return f"p95 {p95_ms(waits):.0f} ms, {per_reader:.2f} MB a reader"


def open_stream(service: InstalledService) -> socket.socket:
    """Ask for the stream of new events; return its connection."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    opened = socket.create_connection((host, int(port)), timeout=60)
    basic = b64encode(":".join(GUEST).encode()).decode()
    opened.sendall(
        f"GET /api/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {basic}\r\n"
        "Accept: text/event-stream\r\n\r\n".encode()
    )
    head = b""
    while b"events follow" not in head:
        head += opened.recv(1024)
    return opened


def read_all(readers: Sequence[socket.socket], waits: list[float], stop: threading.Event) -> None:
    """Read all streams until the measurement ends, and note how late each event came."""
    rests = {reader: b"" for reader in readers}
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while not stop.is_set():
            for key, _ in selector.select(0.5):
                reader = cast(socket.socket, key.fileobj)
                *lines, rests[reader] = (rests[reader] + reader.recv(65536)).split(b"\n")
                now = time.time()
                for line in lines:
                    if line.startswith(b"data: "):
                        at = line.partition(b'"at": ')[2].partition(b"}")[0]
                        waits.append(now - float(at))


ROWS: dict[str, Callable[[], str]] = {
    f"change → webhook, {EVENTS_PER_S} events/s": steadily,
    f"backlog of {BACKLOG:,}, 1 worker": backlog,
    f"{FINE_SINKS} sinks beside one that hangs": beside_one_that_hangs,
    f"event → {READERS} readers, {EVENTS_PER_S} events/s": live,
}


def main() -> None:
    """Print one table."""
    print("| what | measured |\n| --- | --- |")
    for name, measure in ROWS.items():
        print(f"| {name} | {measure()} |", flush=True)
