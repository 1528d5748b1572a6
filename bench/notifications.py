"""Measure the time from Oozie's notification to the new state in the store: 100 real jobs."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import requests

from tests.acceptance.service import InstalledService
from tests.stands import RealStand, real_stand
from tests.waiting import until

JOBS = 100
TOGETHER = 4  #: jobs that a cluster on one machine runs at a time
#: So rarely that the tracker checks a job only because of a notification.
SELDOM = {"TRACKER_POLLING__INTERVAL_S": 3600, "TRACKER_POLLING__MAX_INTERVAL_S": 3600}
_ENDS = "('SUCCEEDED', 'KILLED', 'FAILED')"


def notifying(service: InstalledService) -> dict[str, str]:
    """Return the properties of jobs that notify a service."""
    answer = requests.post(
        f"{service.url}/api/notify-tokens", auth=("guest", "guest-password"), timeout=10
    )
    answer.raise_for_status()
    return dict(answer.json()["properties"])


def run_jobs(service: InstalledService, stand: RealStand) -> list[str]:
    """Run the jobs, a few at a time, each until the service knows its end."""
    properties, jobs = notifying(service), list[str]()

    def known() -> int:
        ended = f"SELECT count(*) FROM jobs WHERE status IN {_ENDS}"
        return int(service.query(ended)[0][0])

    while len(jobs) < JOBS:
        if len(jobs) - known() >= TOGETHER:
            until(lambda: len(jobs) - known() < TOGETHER, seconds=300)
        jobs.append(stand.start("ok", **properties))
        service.track(jobs[-1])
    until(known, lambda count: count == JOBS, seconds=300)
    return jobs


def arrivals(service: InstalledService) -> dict[str, list[tuple[float, float]]]:
    """Return by job when its notifications came, and the seconds until each was answered."""
    found: dict[str, list[tuple[float, float]]] = {}
    for text in service.log.read_text().splitlines():
        line = json.loads(text) if text.startswith("{") else {}
        if line.get("event") == "request" and line["path"].startswith("/api/notify/"):
            answered_at = datetime.fromisoformat(line["timestamp"]).timestamp()
            spent = float(line["seconds"])
            found.setdefault(line["job"], []).append((answered_at - spent, spent))
    return found


def known_after(service: InstalledService, jobs: Sequence[str]) -> list[float]:
    """Return the seconds from the last notification of a job to its end in the store, by job."""
    changes = (
        "SELECT external_id, min(changed_at) FROM job_state_changes JOIN jobs ON jobs.id = job_id"
        f" WHERE to_status IN {_ENDS} GROUP BY 1"
    )
    known_at = {job: changed_at / 1000 for job, changed_at in service.query(changes)}
    came = arrivals(service)
    # A check after an earlier notification may have seen the end before the last notification.
    return [max(0.0, known_at[job] - max(at for at, _ in came[job])) for job in jobs]


def percentiles(seconds: Sequence[float]) -> str:
    """Return median, 95th percentile and maximum of some times, in milliseconds."""
    cut = statistics.quantiles(seconds, n=20)
    return f"{cut[9] * 1000:.0f} | {cut[18] * 1000:.0f} | {max(seconds) * 1000:.0f}"


def main() -> None:
    """Print the table."""
    with real_stand() as stand, tempfile.TemporaryDirectory() as home:
        service = InstalledService(stand, Path(home) / "state", TRACKER_LOG_FORMAT="json", **SELDOM)
        try:
            jobs = run_jobs(service, stand)
        finally:
            service.end()
        answers = [spent for came in arrivals(service).values() for _, spent in came]
        print(f"| {JOBS} jobs of the real Oozie, ms | p50 | p95 | max |\n| --- | --- | --- | --- |")
        print(
            f"| notification → new state in the store | {percentiles(known_after(service, jobs))} |"
        )
        print(f"| notification → answer ({len(answers)}) | {percentiles(answers)} |")
