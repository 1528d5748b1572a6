"""Checks of an endpoint during a run: no due time may be left out, and none run twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

CHECKS = 5
EVERY_MS = 1000
LATE_S = 30.0
#: What was due while nobody ran is run later, all of it; any status is a success.
_CHECK = """
{name}:
  cron_schedule: "@every 1s"
  on_missed: run_all(1000)
  status_code: 100-599
"""
RUNS = (
    "SELECT checks.name, check_runs.due_at FROM check_runs"
    " JOIN checks ON checks.task_id = check_runs.task_id ORDER BY checks.name, check_runs.due_at"
)


def checked(home: Path, authority: str) -> dict[str, str]:
    """Return the settings of checks of a server, which are written into a directory."""
    directory = home / "checks"
    directory.mkdir()
    names = (f"{authority}/checked/{number}" for number in range(CHECKS))
    (directory / "all.yml").write_text("".join(_CHECK.format(name=name) for name in names))
    settings = {
        "directories": [str(directory)],
        "allowed_networks": ["127.0.0.0/8"],
        "spread_s": 0,
    }
    return {"TRACKER_CHECKS": json.dumps(settings)}


def left_out(runs: Iterable[Sequence[object]], now: float) -> Iterator[str]:
    """Yield what is wrong with the runs that were recorded: name and due time, in their order.

    Args:
        now: when all had been left alone for a while, in seconds since 1970.
    """
    due: dict[str, list[int]] = {}
    for name, at in runs:
        due.setdefault(str(name), []).append(int(str(at)))
    if len(due) < CHECKS:
        yield f"of {CHECKS} checks only {len(due)} ever ran"
    for name, times in due.items():
        if (silent_s := now - times[-1] / 1000) > LATE_S:
            yield f"{name} has not run for {silent_s:.0f} s"
        for earlier, later in pairwise(times):
            if later - earlier != EVERY_MS:
                yield f"{name} has no run between {earlier} and {later}"
