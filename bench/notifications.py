"""Measure how soon the end of a job is known after Oozie has told of it: real Oozie, 100 jobs."""

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
TOGETHER = 4  #: as many as a cluster on one machine runs at a time
#: So seldom that no job is looked at because its time has come.
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
    """Return when the notifications of each job came, and how long each took to be answered."""
    found: dict[str, list[tuple[float, float]]] = {}
    for text in service.log.read_text().splitlines():
        line = json.loads(text) if text.startswith("{") else {}
        if line.get("event") == "request" and line["path"].startswith("/api/notify/"):
            answered_at = datetime.fromisoformat(line["timestamp"]).timestamp()
            spent = float(line["seconds"])
            found.setdefault(line["job"], []).append((answered_at - spent, spent))
    return found


def known_after(service: InstalledService, jobs: Sequence[str]) -> list[float]:
    """Return for each job the seconds from its last notification to its end in the store."""
    changes = (
        "SELECT external_id, min(changed_at) FROM job_state_changes JOIN jobs ON jobs.id = job_id"
        f" WHERE to_status IN {_ENDS} GROUP BY 1"
    )
    known_at = {job: changed_at / 1000 for job, changed_at in service.query(changes)}
    came = arrivals(service)
    # A look that an earlier notification has caused may have seen the end before it was told.
    return [max(0.0, known_at[job] - max(at for at, _ in came[job])) for job in jobs]


def told(seconds: Sequence[float]) -> str:
    """Return the middle and the slow end of some times, in milliseconds."""
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
        print(f"| notification → new state in the store | {told(known_after(service, jobs))} |")
        print(f"| notification → answer ({len(answers)}) | {told(answers)} |")
