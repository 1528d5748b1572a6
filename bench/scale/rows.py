"""The parts that all measurements share: rows of the table, and a service with its defaults."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.scale.neutral import NeutralGateway
from tests.acceptance.service import RunningService
from tests.stands import Address
from tracker_service.settings import (
    CopySettings,
    PollingSettings,
    ServeSettings,
    WorkerSettings,
)

_POSTS_AT_ONCE = 8
_IDS_IN_A_POST = 1000


@dataclass(frozen=True)
class Row:
    """A bar, the measured value, and whether it meets the bar."""

    what: str
    bar: str
    measured: str
    is_met: bool
    per_minute: float | None = None  #: requests of ours to the gateway
    peer_per_minute: float | None = None

    def __str__(self) -> str:
        """Return the row as Markdown."""
        met = "yes" if self.is_met else "**no**"
        rates = " | ".join(
            "" if rate is None else f"{rate:,.0f}"
            for rate in (self.per_minute, self.peer_per_minute)
        )
        return f"| {self.what} | {self.bar} | {self.measured} | {met} | {rates} |"


HEAD = (
    "| | bar | measured | met | our requests a minute | the peer's |\n"
    "| --- | --- | --- | --- | ---: | ---: |"
)


@dataclass(frozen=True)
class Bench:
    """The gateway of a measurement, and a directory for its files."""

    gateway: NeutralGateway
    home: Path


def progress(text: str) -> None:
    """Print a line about the progress on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class _Service(RunningService):
    """A service whose last log lines are printed if it does not start."""

    def start(self) -> None:
        """Start all processes, and wait until the service says that it is ready."""
        try:
            super().start()
        except AssertionError:
            progress(self.log.read_text(errors="replace")[-2000:])
            raise


@contextmanager
def service(address: Address, state_dir: Path, **settings: object) -> Iterator[RunningService]:
    """Run `tracker run` while the block runs, with default settings except the given ones."""
    defaults = {
        "TRACKER_POLLING__INTERVAL_S": PollingSettings().interval_s,
        "TRACKER_WORKER__LEASE_S": WorkerSettings().lease_s,
        "TRACKER_COPYING__RETRY_AFTER_S": CopySettings().retry_after_s,
        "TRACKER_SERVE__REQUESTS_PER_MINUTE": ServeSettings().requests_per_minute,
    }
    running = _Service(address, state_dir, **defaults | settings)
    try:
        yield running
    finally:
        running.end()


def service_identity(home: Path) -> dict[str, object]:
    """Return the settings with which one identity asks about all users' jobs."""
    password = home / "polling-password"
    password.write_text("polling-password\n")
    return {
        "TRACKER_GATEWAY__POLLING_USER": "polling",
        "TRACKER_GATEWAY__POLLING_PASSWORD_FILE": password,
    }


def names(count: int) -> list[str]:
    """Return the names of users."""
    return [f"user{number}" for number in range(count)]


def track_all(running: RunningService, jobs: Sequence[str], users: Sequence[str]) -> None:
    """Post jobs by their users, with several posts at once.

    Args:
        jobs: as `NeutralGateway.start` returned them for these users.
    """
    posts = [
        (user, own[start : start + _IDS_IN_A_POST])
        for number, user in enumerate(users)
        if (own := jobs[number :: len(users)])
        for start in range(0, len(own), _IDS_IN_A_POST)
    ]
    began = time.monotonic()
    with ThreadPoolExecutor(_POSTS_AT_ONCE) as pool:
        done = pool.map(lambda post: running.track(*post[1], user=post[0]), posts)
        for number, _ in enumerate(done, start=1):
            if number % max(1, len(posts) // 4) == 0:
                progress(f"  posted {number} of {len(posts)} in {time.monotonic() - began:.0f} s")


def p95(values: Iterable[float]) -> float:
    """Return the 95th percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
