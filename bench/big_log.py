"""Measure the speed and the memory of reading a saved log of 1 GiB through nginx and the service.

This runs on the real cluster. For comparison, curl reads the same file straight from the gateway.
Both ways use TLS, and they take turns.
"""

from __future__ import annotations

import base64
import os
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.proxied import Front, gunicorn
from tests.acceptance.service import InstalledService
from tests.ports import free_port
from tests.stands import RealStand, real_stand

BYTES = 1024**3
ROUNDS = 9
MIB = 1024**2


@dataclass(frozen=True)
class Read:
    """One reading of the whole log by curl."""

    first_byte_ms: float
    mb_per_s: float


def curl(ca_file: Path, url: str, *more: str) -> list[str]:
    """Run curl as guest; return status, bytes, seconds to the first byte and to the last."""
    command = ["curl", "-sS", "-L", "--cacert", str(ca_file), "-u", "guest:guest-password"]
    write_out = "%{http_code} %{size_download} %{time_starttransfer} %{time_total}"
    done = subprocess.run(
        [*command, "-o", os.devnull, "-w", write_out, *more, url],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


def read(ca_file: Path, url: str) -> Read:
    """Read the whole log and throw it away."""
    status, length, first, last = curl(ca_file, url)
    if (status, length) != ("200", str(BYTES)):
        raise AssertionError(f"{url}: {status}, {length} bytes")
    return Read(1000 * float(first), BYTES / float(last) / 1e6)


def save_big_log(stand: RealStand, service: InstalledService, home: Path) -> tuple[str, str]:
    """Make a job fail, wait until its log is saved, and replace the log by a big one.

    Returns:
        the job, and the path of the log.
    """
    job = stand.start("fail")
    service.track(job)
    [copy] = service.wait_saved(job).values()
    part = base64.encodebytes(os.urandom(48 * MIB))
    file = home / "big.log"
    with file.open("wb") as log:
        while log.tell() < BYTES:
            log.write(part[: BYTES - log.tell()])
    target = f"{stand.url}/webhdfs/v1{copy['path']}?op=CREATE&overwrite=true"
    status, *_ = curl(stand.ca_file, target, "-T", str(file))
    if status != "201":
        raise AssertionError(f"the upload answered {status}")
    file.unlink()
    return job, copy["path"]


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def memory(pids: list[int]) -> float:
    """Return the proportional set size (PSS) of processes in MiB; see proc_pid_smaps(5)."""
    kib = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kib += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kib / 1024


@contextmanager
def watched(pids: list[int], seen: list[float]) -> Iterator[None]:
    """Sample the memory of processes every tenth of a second while the block runs."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.1):
            seen.append(memory(pids))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


class Through:
    """The service behind nginx, reached by TCP or by a Unix socket."""

    def __init__(self, bind: str, home: Path, job: str) -> None:
        self._bind, self._home, self._job = bind, home, job
        self.reads: list[Read] = []
        self.memory: list[float] = []
        self.idle_mib = 0.0

    @contextmanager
    def running(self, environment: Mapping[str, str]) -> Iterator[None]:
        """Run gunicorn and nginx for the length of the block."""
        self._home.mkdir()
        environment = {**environment, "TRACKER_SERVE__BIND": self._bind}
        front = Front(self._home / "nginx", self._bind)
        with gunicorn(self._home / "gunicorn.log", environment) as server, front.running():
            self._api, self._ca_file = f"{front.url}/tracker/api/job/{self._job}", front.ca_file
            curl(self._ca_file, f"{self._api}/logs/status")  # has the caller verified
            self._pids = family(server.pid)
            self.idle_mib = memory(self._pids)
            yield

    def read(self) -> None:
        """Read the log once more."""
        self.reads.append(read(self._ca_file, f"{self._api}/logs"))

    def watch(self) -> None:
        """Read the log and sample the memory; apart from `read`, because sampling is slow."""
        with watched(self._pids, self.memory):
            read(self._ca_file, f"{self._api}/logs")


def median_of(values: Iterable[float], unit: str) -> str:
    """Return a median with its range."""
    every = list(values)
    return f"{statistics.median(every):,.0f} {unit} ({min(every):,.0f} to {max(every):,.0f})"


def report(straight: list[Read], ways: Mapping[str, Through]) -> None:
    """Print the table."""
    print(
        f"| a log of {BYTES // MIB:,} MiB, {ROUNDS} rounds | speed | share of the speed, by round"
        " | first byte | memory of all gunicorn processes |\n| --- | --- | --- | --- | --- |"
    )
    speed = median_of((each.mb_per_s for each in straight), "MB/s")
    first = median_of((each.first_byte_ms for each in straight), "ms")
    print(f"| straight from the gateway | {speed} | | {first} | |")
    for name, way in ways.items():
        pairs = zip(way.reads, straight, strict=True)
        shares = (100 * through.mb_per_s / direct.mb_per_s for through, direct in pairs)
        share = median_of(shares, "%")
        speed = median_of((each.mb_per_s for each in way.reads), "MB/s")
        first = median_of((each.first_byte_ms for each in way.reads), "ms")
        used = f"{way.idle_mib:.1f} MiB idle, {max(way.memory):.1f} MiB at most"
        print(f"| through nginx and {name} | {speed} | {share} | {first} | {used} |")


def main() -> None:
    """Measure, and print the table."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stand = stack.enter_context(real_stand())
        service = InstalledService(stand, home / "state")
        stack.callback(service.end)
        job, path = save_big_log(stand, service, home)
        url = f"{stand.url}/webhdfs/v1{path}"
        stack.callback(curl, stand.ca_file, f"{url}?op=DELETE", "-X", "DELETE")
        service.stop()
        ways = {
            "TCP": Through(f"127.0.0.1:{free_port()}", home / "tcp", job),
            "a Unix socket": Through(f"unix:{home}/unix/api.sock", home / "unix", job),
        }
        for way in ways.values():
            stack.enter_context(way.running(service.settings))
        straight = []
        for _ in range(ROUNDS):
            straight.append(read(stand.ca_file, f"{url}?op=OPEN"))
            for way in ways.values():
                way.read()
        for way in ways.values():
            way.watch()
        report(straight, ways)
