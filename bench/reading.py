"""Measure how fast a log of 1 GiB is searched, and how soon its last lines come.

On the real cluster, side by side with curl reading the same file straight from the gateway; these
take turns.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import requests

from bench.big_log import MIB, curl, memory, watched
from tests.acceptance.service import InstalledService
from tests.stands import RealStand, real_stand

BYTES = 1024**3
ROUNDS = 5
FIRST_HIT = 64 * MIB  #: bytes before the first line that is searched for
TRACE = (
    "2026-11-22 05:00:01,000 ERROR [main] org.apache.hadoop.mapred.YarnChild: Error running child\n"
    "java.lang.OutOfMemoryError: Java heap space\n"
    + "".join(f"\tat org.example.Job.step{n}(Job.java:{n})\n" for n in range(20))
)


def lines() -> Iterator[str]:
    """Yield lines as a task logs them, without end."""
    number = 0
    while True:
        number += 1
        yield (
            f"2026-11-22 05:{number // 60 % 60:02}:{number % 60:02},{number % 1000:03} INFO "
            f"[IPC Server handler {number % 30} on default port 45678] org.apache.hadoop.mapred."
            f"TaskAttemptListenerImpl: Progress of TaskAttempt attempt_1795323341942_{number:07}_m "
            f"is : {number % 997 / 997:.6f}\n"
        )


def content() -> Iterator[bytes]:
    """Yield the content of a log, with a stack trace after `FIRST_HIT` bytes and at its end."""
    source = lines()
    part = "".join(next(source) for _ in range(16 * MIB // 200)).encode()
    written = 0
    while written < BYTES:
        if written < FIRST_HIT <= written + len(part):
            yield TRACE.encode()
        yield part
        written += len(part)
    yield TRACE.encode()


def write_log(file: Path) -> int:
    """Write a log with one big file as `yarn logs` prints it; return its bytes."""
    title = "Container: container_1795323341942_0001_01_000002 on worker-1_45454"
    length = sum(map(len, content()))
    head = (
        f"{title}\nLogAggregationType: AGGREGATED\n{'=' * len(title)}\nLogType:syslog\n"
        f"LogLastModifiedTime:Sun Nov 22 05:12:46 +0000 2026\nLogLength:{length}\nLogContents:\n"
    )
    with file.open("wb") as log:
        log.write(head.encode())
        log.writelines(content())
        log.write(f"\nEnd of LogType:syslog\n{'*' * 71}\n\n".encode())
        return log.tell()


def save_log(stand: RealStand, service: InstalledService, home: Path) -> tuple[str, str, int]:
    """Make a job fail, wait until its log is saved, and replace the log by a big one.

    Returns:
        the address of the log in the service, its path in HDFS, and its bytes.
    """
    job = stand.start("fail")
    service.track(job)
    [(application, copy)] = service.wait_saved(job).items()
    file = home / "big.log"
    length = write_log(file)
    target = f"{stand.url}/webhdfs/v1{copy['path']}?op=CREATE&overwrite=true"
    status, *_ = curl(stand.ca_file, target, "-T", str(file))
    if status != "201":
        raise AssertionError(f"the upload answered {status}")
    file.unlink()
    return f"{service.url}/api/job/{job}/logs/{application}", copy["path"], length


def straight(stand: RealStand, path: str) -> tuple[float, float]:
    """Read the whole log from the gateway; return the seconds to the first byte and to the last."""
    _, _, first, last = curl(stand.ca_file, f"{stand.url}/webhdfs/v1{path}?op=OPEN")
    return float(first), float(last)


def asked(url: str, **headers: str) -> tuple[float, float]:
    """Ask the service; return the seconds to the first byte of the body and to the last."""
    began = time.perf_counter()
    command = ["curl", "-sSN", "--fail", "-u", "guest:guest-password", url]
    more = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    with subprocess.Popen([*command, *more], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.read(1)
        first = time.perf_counter() - began
        while process.stdout.read(MIB):
            pass
        last = time.perf_counter() - began
    if process.returncode:
        raise AssertionError(f"{url}: curl ended with {process.returncode}")
    return first, last


def median_of(values: Iterable[float], form: str) -> str:
    """Return a median with its range."""
    every = list(values)
    return f"{statistics.median(every):{form}} ({min(every):{form}} to {max(every):{form}})"


def report(length: int, rounds: dict[str, list[tuple[float, float]]]) -> None:
    """Print the table."""
    raw = [last for _, last in next(iter(rounds.values()))]
    print(
        f"| a log of {length // MIB:,} MiB, {ROUNDS} rounds | first byte, ms | last byte, ms "
        "| MB/s of the log | share of the raw speed, % |\n| --- | --- | --- | --- | --- |"
    )
    for name, times in rounds.items():
        first = median_of((1000 * first for first, _ in times), ",.0f")
        last = median_of((1000 * last for _, last in times), ",.0f")
        speed = median_of((length / last / 1e6 for _, last in times), ",.0f")
        pairs = zip(raw, times, strict=True)
        share = median_of((100 * direct / own for direct, (_, own) in pairs), ",.0f")
        is_scan = "scan" in name or "whole" in name
        print(
            f"| {name} | {first} | {last} | {speed if is_scan else ''} "
            f"| {share if is_scan else ''} |"
        )


def main() -> None:
    """Measure, and print the table."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stand = stack.enter_context(real_stand())
        service = InstalledService(stand, home / "state")
        stack.callback(service.end)
        url, path, length = save_log(stand, service, home)
        hdfs = f"{stand.url}/webhdfs/v1{path}?op=DELETE"
        stack.callback(curl, stand.ca_file, hdfs, "-X", "DELETE")
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            "whole, straight from the gateway": lambda: straight(stand, path),
            "whole, through the service": lambda: asked(url),
            "scan, `grep=OutOfMemoryError`": lambda: asked(f"{url}?grep=OutOfMemoryError"),
            "scan, `grep=(?i)heap.space\\|killed`": lambda: asked(
                f"{url}?grep=(?i)heap.space%7Ckilled"
            ),
            "scan, `level=ERROR`": lambda: asked(f"{url}?level=ERROR"),
            "`tail=1000`": lambda: asked(f"{url}?tail=1000"),
            "`file=syslog&tail=1000`": lambda: asked(f"{url}?file=syslog&tail=1000"),
            "the last MiB, by `Range`": lambda: asked(url, Range=f"bytes=-{MIB}"),
            "`/files`": lambda: asked(f"{url}/files"),
        }
        requests.get(url, auth=("guest", "guest-password"), timeout=60, stream=True).close()
        idle, seen = memory(sorted(service.processes())), list[float]()
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                rounds[name].append(way())
        report(length, rounds)
        for name in (name for name in ways if name.startswith("scan")):
            with watched(sorted(service.processes()), seen):
                ways[name]()
        print(
            f"\nmemory of all processes: {idle:.1f} MiB idle, {max(seen):.1f} MiB while searching"
        )
