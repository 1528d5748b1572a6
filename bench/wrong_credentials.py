"""Measure how soon wrong passwords are refused: the real Knox, and the service in front of it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.acceptance.service import InstalledService
from tests.stands import RealStand, ask, real_stand

TRIES = 10_000
AT_GATEWAY = 300
AT_ONCE = 8
RIGHT_EVERY_S = 0.2


def timed(tries: int, refuse: Callable[[int], int]) -> tuple[list[float], Counter[int]]:
    """Return the milliseconds of each try, and the number of answers by status."""

    def one(number: int) -> tuple[float, int]:
        began = time.monotonic()
        status = refuse(number)
        return 1000 * (time.monotonic() - began), status

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = list(threads.map(one, range(tries)))
    return [took for took, _ in found], Counter(status for _, status in found)


def row(name: str, took: list[float], statuses: Counter[int]) -> str:
    """Return a line of the table."""
    answers = ", ".join(f"{count} with {status}" for status, count in sorted(statuses.items()))
    p95 = statistics.quantiles(took, n=20)[-1]
    return (
        f"| {name} | {len(took):,} | {statistics.median(took):.1f} ms | {p95:.1f} ms | {answers} |"
    )


def measure(stand: RealStand, home: Path) -> None:
    """Measure, and print the table."""
    service = InstalledService(stand, home / "state")
    try:
        url = f"{service.url}/api/jobs/tracking"
        print("| who is asked | tries | median | p95 | answers |\n| --- | --- | --- | --- | --- |")

        def at_gateway(number: int) -> int:
            path = "webhdfs/v1/?op=GETHOMEDIRECTORY"
            return ask(stand, path, password=f"wrong {number}").status_code

        def at_service(number: int) -> int:
            auth = ("guest", f"wrong {number}")
            return requests.get(url, auth=auth, timeout=60).status_code

        def rightly(number: int) -> int:
            time.sleep(RIGHT_EVERY_S)  # as rarely as a user would
            return service.get("jobs/tracking").status_code

        rightly(0)
        print(row("the gateway", *timed(AT_GATEWAY, at_gateway)))
        with ThreadPoolExecutor(1) as meanwhile:
            right = meanwhile.submit(timed, 100, rightly)
            print(row("the service", *timed(TRIES, at_service)))
            took, statuses = right.result()
        waited = [each - 1000 * RIGHT_EVERY_S for each in took]
        print(row("the right user, meanwhile", waited, statuses))
    finally:
        service.end()


def main() -> None:
    """Start the cluster and the service, and measure."""
    with tempfile.TemporaryDirectory() as home, real_stand() as stand:
        measure(stand, Path(home))
