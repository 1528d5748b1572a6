"""Measure how fast aggregated logs are decoded, compared to passing the same bytes on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial

from tests.unit.log_files import Disk, container, ifile, tfile
from tracker_service.archive.formats.node_file import NodeFile
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.archive.formats.yarn_text import as_text

BYTES = 256 * 1024**2
PIECE = 256 * 1024  #: bytes, as the gateway sends them
ROUNDS = 7


def mb_per_s(pieces: Callable[[], Iterable[bytes]]) -> float:
    """Return megabytes per second of processor time."""
    began = time.process_time()
    length = sum(len(piece) for piece in pieces())
    return length / (time.process_time() - began) / 1e6


def relay(file: NodeFile) -> Iterable[bytes]:
    """Pass the bytes of a file on as they are."""
    return file.pieces(0, file.length)


def text(file: NodeFile) -> Iterable[bytes]:
    """Decode a file."""
    return as_text(file.name, logs_of(file))


def files() -> dict[str, NodeFile]:
    """Return files of one long log in each format."""
    line = b"2026-11-22 04:12:46,123 INFO the nightly import has read row 4711\n"
    logs = [container(1, stderr=(line * (BYTES // len(line))))]
    return {
        f"{name} {algorithm}": Disk(write(logs, algorithm=algorithm), PIECE).file()
        for name, write in (("TFile", tfile), ("IFile", ifile))
        for algorithm in ("none", "gz")
    }


def main() -> None:
    """Print the table."""
    size = f"one log of {BYTES // 1024**2} MiB, median of {ROUNDS}"
    print(f"| {size} | relay of the file | text | share |\n| --- | --- | --- | --- |")
    for name, file in files().items():
        rounds = [
            (mb_per_s(partial(relay, file)), mb_per_s(partial(text, file))) for _ in range(ROUNDS)
        ]
        relayed, decoded = (statistics.median(side) for side in zip(*rounds, strict=True))
        share = "" if "gz" in name else f"{100 * decoded / relayed:.0f} %"
        print(f"| {name} | {relayed:,.0f} MB/s | {decoded:,.0f} MB/s | {share} |")
