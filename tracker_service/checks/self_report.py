"""Report how the checks themselves are: at the start, each minute, and when something changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tracker_service.checks import posts
from tracker_service.checks.check import CHECK, SelfReport
from tracker_service.engine.clock import Clock
from tracker_service.engine.duties import Duty
from tracker_service.store import checks, deliveries, events, jobsets, workers
from tracker_service.store.database import Connection, Store

_EVERY_S = 5.0
_MINUTE_S = 60


class Reporter:
    """Whichever worker comes first reports; the event's id says for which minute and state."""

    def __init__(self, store: Store, report: Callable[[], SelfReport | None], clock: Clock) -> None:
        self._store, self._report, self._clock = store, report, clock
        self._last = ""

    def duty(self) -> Duty:
        """Return the duty."""
        return Duty(name="report_checks", every_s=_EVERY_S, run=lambda _: self.step())

    def step(self) -> None:
        """Report, if this minute or this state was not reported yet."""
        report = self._report()
        if report is None:
            return
        with self._store.read() as connection:
            figures = figures_of(connection)
        now = self._clock()
        minute = int(now.timestamp()) // _MINUTE_S
        facts = f"{minute} {sorted((k, v) for k, v in figures.items() if k != 'lag_max_s')}"
        mark = hashlib.sha256(facts.encode()).hexdigest()[:20]
        if mark == self._last:
            return
        values: dict[str, Any] = {f"watcher.{name}": value for name, value in figures.items()}
        values |= {"endpoint": posts.SELF, "checked_at": now.isoformat(), "watcher": figures}
        found = posts.events_of(posts.SELF, report, values, now)
        made = [
            replace(event, id=f"self-{n}-{mark}", data=_with_figures(event.data, figures))
            for n, event in enumerate(found)
        ]

        def write(connection: Connection) -> None:
            for event in made:
                events.append(connection, event)

        self._store.write(write)
        self._last = mark


def _with_figures(data: Mapping[str, Any], figures: Mapping[str, float]) -> Mapping[str, Any]:
    return {"body": {**data["body"], "watcher": dict(figures)}}


def figures_of(connection: Connection) -> dict[str, float]:
    """Return how the checks are: workers, jobsets, checks by their state, files, posts."""
    living = workers.known(connection, _MINUTE_S)
    states = checks.counts(connection)
    waiting, tasks = jobsets.waiting(connection, [CHECK])
    alive = [w for w in living if w.is_alive and CHECK in w.kinds]
    return {
        "workers.alive": len(alive),
        "jobs.total": sum(states.values()),
        "jobs.waiting": tasks,
        "jobs.behind": sum(worker.late for worker in alive),
        "jobsets.unclaimed": waiting,
        "checks.ok": states.get("up", 0),
        "checks.failed": states.get("down", 0),
        "config.errors": sum(file.rule is not None for file in checks.files(connection)),
        "post.failed": deliveries.count_dead(connection),
        "lag_max_s": checks.longest_lag_s(connection),
    }
