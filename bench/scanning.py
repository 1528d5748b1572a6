"""Measure the processor time and the memory that the scan of a log adds to a direct copy."""

from __future__ import annotations

import multiprocessing
import os
import ssl
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from bench.big_log import memory
from tests.unit.log_files import Container, Disk, container, tfile
from tests.unit.tls import Authority
from tracker_service.archive.checksum import Checksum
from tracker_service.archive.formats.node_file import NodeFile
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.archive.formats.yarn_text import as_text
from tracker_service.causes.rules import Rules, load_rules
from tracker_service.causes.scan.scanner import Scanner

MIB = 1024**2
BYTES = 48 * MIB
LONG = 16  #: a log this many times as long must take the same memory
PIECE = 256 * 1024  #: bytes, as the gateway sends them
ROUNDS = 5

ROW = b"2026-11-22 04:12:46,123 INFO the nightly import has read row 4711\n"
SPARK = (
    b"26/11/22 04:12:46 INFO TaskSetManager: Starting task 12.0 in stage 3.0 (TID 412) "
    b"(node17.acme.example, executor 4, partition 12, PROCESS_LOCAL, 7341 bytes)\n"
    b"26/11/22 04:12:46 INFO BlockManagerInfo: Added broadcast_7_piece0 in memory on "
    b"node17.acme.example:40123 (size: 12.3 KiB, free: 366.2 MiB)\n"
)
ERRORS = b"".join(
    b"2026-11-22 04:12:%02d,123 ERROR [main] org.acme.%s: row %d is bad: java.io.IOException\n"
    % (i % 60, word, i)
    for i, word in enumerate([b"Load", b"Sort", b"Save", b"Sum", b"Join"] * 40)
)


def long_log(line: bytes, length: int) -> list[Container]:
    """Return one log of these lines."""
    return [container(1, syslog=line * (length // len(line)))]


def small_logs(line: bytes, length: int) -> list[Container]:
    """Return as much in containers with 512 KiB each."""
    each = 512 * 1024
    return [
        container(number, stdout=b"", syslog=line * (each // len(line)), stderr=b"ended\n")
        for number in range(1, length // each + 1)
    ]


class Peer:
    """Another process that serves and accepts files over TLS, as the gateway does."""

    def __init__(self, data: bytes, home: Path) -> None:
        authority = Authority(home)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.certificate())
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(data))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._process = multiprocessing.get_context("fork").Process(
            target=self._server.serve_forever
        )
        self._session = requests.Session()
        self._session.verify = str(authority.file)
        self._session.trust_env = False  # otherwise REQUESTS_CA_BUNDLE overrides the certificate
        self._url = f"https://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Peer:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._server.server_close()

    def read(self, offset: int, length: int) -> Generator[bytes, None, None]:
        """Yield a part of the file."""
        end = offset + length - 1
        headers = {"Range": f"bytes={offset}-{end}"}
        with self._session.get(self._url, headers=headers, stream=True) as response:
            yield from response.iter_content(PIECE)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write a file."""
        self._session.put(self._url, data=pieces).raise_for_status()


def _handler(data: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            begin, end = self.headers["Range"].removeprefix("bytes=").split("-")
            part = memoryview(data)[int(begin) : int(end) + 1]
            self.send_response(206)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)

        def do_PUT(self) -> None:
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def text(file: NodeFile, rules: Rules | None) -> Iterator[bytes]:
    """Do what a direct copy does with the bytes."""
    pieces = as_text(file.name, logs_of(file))
    return Checksum().of(Scanner(rules).of(pieces) if rules else pieces)


def copy_file(file: NodeFile, peer: Peer, rules: Rules | None) -> None:
    """Copy a file as a direct copy does."""
    peer.write(text(file, rules))


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that some work takes in this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def row(name: str, data: bytes, rules: Rules) -> str:
    """Return the row of the table for one kind of log."""
    times: dict[str, list[float]] = {"work": [], "copy": [], "both": []}
    disk = Disk(data, PIECE)
    length = sum(map(len, text(disk.file(), None)))
    with tempfile.TemporaryDirectory() as home, Peer(data, Path(home)) as peer:
        for _ in range(ROUNDS):
            times["work"].append(seconds(lambda: deque(text(disk.file(), None), 0)))
            for kind, given in (("copy", None), ("both", rules)):
                file = replace(disk.file(), read=peer.read)
                times[kind].append(seconds(partial(copy_file, file, peer, given)))
    work, copy, both = (statistics.median(times[kind]) for kind in times)
    speeds = " | ".join(f"{length / each / 1e6:,.0f}" for each in (work, copy, both, both - copy))
    return f"| {name} | {speeds} | {100 * (1 - copy / both):.0f} % |"


def extra_memory(line: bytes, rules: Rules, length: int) -> float:
    """Return the most MiB by which this process grows while it scans."""
    head = b"Container: container_1_0001_01_000001 on node_1\n===\nLogType:syslog\n"
    block = line * (PIECE // len(line))
    count = length // len(block)
    scanner, before, most = Scanner(rules), memory([os.getpid()]), 0.0
    pieces = (block for _ in range(count))
    first = head + b"LogLength:%d\nLogContents:\n" % (count * len(block))
    for number, _ in enumerate(scanner.of(piece for group in ([first], pieces) for piece in group)):
        if number % 64 == 0:
            most = max(most, memory([os.getpid()]))
    return most - before


def main() -> None:
    """Print the tables."""
    rules = load_rules()
    size = f"{BYTES // MIB} MiB, {len(rules.rules)} rules, median of {ROUNDS}"
    print(
        f"| MB/s, {size} | decode, text, checksum "
        "| copy: with HTTPS | copy and scan | scan | costs |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    kinds = {"rows": ROW, "Spark at INFO": SPARK, "nothing but errors": ERRORS}
    for name, line in kinds.items():
        for shape in (long_log, small_logs):
            logs = shape(line, BYTES)
            for algorithm in ("none", "gz") if shape is long_log else ("none",):
                data = tfile(logs, algorithm=algorithm)
                title = f"{name}, {shape.__name__.replace('_', ' ')}, {algorithm}"
                print(row(title, data, rules), flush=True)
    for name, line in kinds.items():
        few, much = (extra_memory(line, rules, size) for size in (BYTES, LONG * BYTES))
        print(
            f"\n{name}: {few:.1f} MiB more for {BYTES // MIB} MiB, {much:.1f} for {LONG} times that"
        )


if __name__ == "__main__":
    main()
