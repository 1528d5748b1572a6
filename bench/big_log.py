"""Measure how fast a saved log of 1 GiB comes through nginx and the service, and in what memory.

On the real cluster, side by side with curl reading the same file straight from the gateway. Both
end in TLS; the two take turns.
"""

from __future__ import annotations

import base64
import os
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.proxied import Front, free_port, gunicorn
from tests.acceptance.service import RunningService
from tests.stands import RealStand, real_stand

BYTES = 1024**3
ROUNDS = 5
MIB = 1024**2


@dataclass(frozen=True)
class Read:
    """One reading of the whole log by curl."""

    first_byte_ms: float
    mb_per_s: float


def curl(ca_file: Path, url: str, *more: str) -> list[str]:
    """Run curl as guest; return status, bytes, seconds to the first byte and to the last."""
    command = ["curl", "-sS", "-L", "--cacert", str(ca_file), "-u", "guest:guest-password"]
    told = "%{http_code} %{size_download} %{time_starttransfer} %{time_total}"
    done = subprocess.run(
        [*command, "-o", os.devnull, "-w", told, *more, url],
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


def save_big_log(stand: RealStand, service: RunningService, home: Path) -> tuple[str, str]:
    """Have a job fail and its log saved, and put a big one in its place.

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
    """Return the MiB that processes have for themselves, with their share of what they share."""
    kib = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kib += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kib / 1024


@contextmanager
def watched(pids: list[int], seen: list[float]) -> Iterator[None]:
    """Look at the memory of processes every tenth of a second while the block runs."""
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


def median_of(values: list[float], unit: str) -> str:
    """Return a median with its range."""
    return f"{statistics.median(values):,.0f} {unit} ({min(values):,.0f} to {max(values):,.0f})"


def report(straight: list[Read], through: list[Read], idle: float, peak: float) -> None:
    """Print the table."""
    ratios = [b.mb_per_s / a.mb_per_s for a, b in zip(straight, through, strict=True)]
    print(
        f"| a log of {BYTES // MIB:,} MiB, medians of {ROUNDS} | straight from the gateway"
        " | through nginx and the service |\n| --- | --- | --- |"
    )
    for what, values, unit in (
        ("speed", [[each.mb_per_s for each in reads] for reads in (straight, through)], "MB/s"),
        ("first byte", [[e.first_byte_ms for e in reads] for reads in (straight, through)], "ms"),
    ):
        print(f"| {what} | {' | '.join(median_of(each, unit) for each in values)} |")
    print(
        f"| share of the speed | | {100 * statistics.median(ratios):.0f} %"
        f" ({100 * min(ratios):.0f} to {100 * max(ratios):.0f} by pair) |\n"
        f"| memory of gunicorn, all processes | | {idle:.1f} MiB idle, {peak:.1f} MiB at most |"
    )


def main() -> None:
    """Measure, and print the table."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stand = stack.enter_context(real_stand())
        service = RunningService(stand, home / "state")
        stack.callback(service.end)
        job, path = save_big_log(stand, service, home)
        service.stop()
        bind = f"127.0.0.1:{free_port()}"
        environment = service._environment | {"TRACKER_SERVE__BIND": bind}
        server = stack.enter_context(gunicorn(home / "gunicorn.log", environment))
        front = stack.enter_context(Front(home / "nginx", bind).running())
        api = f"{front.url}/tracker/api/job/{job}"
        curl(front.ca_file, f"{api}/logs/status")  # now the caller is verified
        pids = family(server.pid)
        idle, seen = memory(pids), []
        straight, through = [], []
        for _ in range(ROUNDS):
            straight.append(read(stand.ca_file, f"{stand.url}/webhdfs/v1{path}?op=OPEN"))
            with watched(pids, seen):
                through.append(read(front.ca_file, f"{api}/logs"))
        report(straight, through, idle, max(seen))
