"""Measure how much the scan slows direct copies down, on the real cluster and through Knox."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any

from bench.scanning import ERRORS, MIB, ROW, SPARK, long_log, small_logs
from tests.stands import access, real_stand
from tests.unit.fakes import a_copy
from tests.unit.log_files import tfile
from tracker_service.archive.copying.direct_copy import DirectCopy
from tracker_service.archive.copying.log_files import FoundLogFiles, LogFile
from tracker_service.causes.findings import Findings
from tracker_service.causes.rules import load_rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.redaction.masking import Redaction
from tracker_service.redaction.secrets import Secrets
from tracker_service.sources.webhdfs import WebHdfs

BYTES = 96 * MIB
ROUNDS = 7
HOME = "/user/guest/bench-scanned"
KINDS = {"rows": ROW, "Spark at INFO": SPARK, "nothing but errors": ERRORS}


class NoScanner:
    """Stands in for the scanner, and scans nothing."""

    findings = Findings()

    def of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Return the pieces as they come."""
        return iter(pieces)


def seconds(hdfs: WebHdfs, found: FoundLogFiles, scanner: Any) -> float:  # noqa: ANN401
    """Return how long one direct copy takes, from its files to its part."""
    copy = replace(a_copy(), path=f"{HOME}/copy.log")
    redaction = Redaction(Secrets({}))
    began = time.monotonic()
    DirectCopy(hdfs, copy, found, 1024 * MIB, Event(), scanner, redaction).write()
    return time.monotonic() - began


def row(hdfs: WebHdfs, name: str, data: bytes) -> str:
    """Return the row for one kind of log; copies with and without the scan take turns."""
    hdfs.write(f"{HOME}/logs/node_1", data)
    files = (LogFile(f"{HOME}/logs/{file.name}", file) for file in hdfs.list(f"{HOME}/logs"))
    found = FoundLogFiles(directories=(f"{HOME}/logs",), files=tuple(files))
    rules = load_rules()
    times: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * ROUNDS):
        is_scanned = bool(number % 2)
        times[is_scanned].append(
            seconds(hdfs, found, Scanner(rules) if is_scanned else NoScanner())
        )
    plain, scanned = (statistics.median(times[each]) for each in (False, True))
    speeds = " | ".join(f"{BYTES / each / 1e6:,.0f} MB/s" for each in (plain, scanned))
    return f"| {name} | {speeds} | {100 * (1 - plain / scanned):.0f} % |"


def main() -> None:
    """Start the cluster, measure, and print the table."""
    with real_stand() as stand:
        hdfs = access(stand).hdfs
        print(
            f"| {BYTES // MIB} MiB, median of {ROUNDS} | direct copy | with the scan | it costs |"
        )
        print("| --- | --- | --- | --- |")
        hdfs.make_directory(f"{HOME}/logs")
        try:
            for name, line in KINDS.items():
                for shape in (long_log, small_logs):
                    title = f"{name}, {shape.__name__.replace('_', ' ')}"
                    print(row(hdfs, title, tfile(shape(line, BYTES), algorithm="none")), flush=True)
        finally:
            hdfs.delete(HOME)
