"""Count what happens in ledgers, under the names and labels that Gardener has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tracker_service.domain.ledger import COMPLETE, FAILED, LedgerJob
from tracker_service.store.ledger_jobs import Changed, InFlight

_MOST_TEXTS = 10  #: of errors that are labels; the others are `generic`
_STATE_SECONDS = (
    *(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
    *(1800, 3600, 7200, 14400, 28800, 43200),
)
#: Seven a decade, from 0.1 s to 20 h.
_ACTION_SECONDS = tuple(
    round(step * 10.0**decade, 4)
    for decade in range(-1, 5)
    for step in (1, 1.4, 2, 2.8, 4, 5.6, 7.2)
    if step * 10.0**decade <= 72_000
)
_OF_JOB = ("experiment", "datatype")


class GardenerCounts:
    """The counts of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._started = Counter(
            "gardener_started",
            "Jobs that were added or started again.",
            _OF_JOB,
            registry=registry,
        )
        self._completed = Counter(
            "gardener_completed", "Jobs that have become complete.", _OF_JOB, registry=registry
        )
        self._failed = Counter(
            "gardener_fail", "Jobs that have failed.", (*_OF_JOB, "status"), registry=registry
        )
        self._warnings = Counter(
            "gardener_warning",
            "Warnings: NoSuchJob, and those of post-processing.",
            (*_OF_JOB, "status"),
            registry=registry,
        )
        self._jobs = Counter(
            "gardener_jobs",
            "Jobs that have ended, by how.",
            (*_OF_JOB, "daily", "status"),
            registry=registry,
        )
        self._dates = Gauge(
            "gardener_state_date",
            "Date of the last job that has come to a state, in Unix seconds.",
            (*_OF_JOB, "state"),
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self._times = Histogram(
            "gardener_state_time_histogram",
            "Seconds that jobs have spent in a state that they left.",
            (*_OF_JOB, "state"),
            buckets=_STATE_SECONDS,
            registry=registry,
        )
        self._actions = Histogram(
            "gardener_action_duration",
            "Seconds of actions of post-processing, by what came of them.",
            ("action", "outcome"),
            buckets=_ACTION_SECONDS,
            registry=registry,
        )
        self._texts: set[str] = set()
        self._jobs.labels("", "", "", "starting")

    def changed(self, change: Changed, now: datetime) -> None:
        """Count a change that is stored."""
        job, before, after = change.job, change.before, change.after
        is_new_run = before is None or before.run != after.run
        if is_new_run:
            self._started.labels(job.experiment, job.datatype).inc()
        elif before is None or before.entry == after.entry:
            return  # the state is the same
        else:
            spent = max(0.0, (after.state_change_time - before.state_change_time).total_seconds())
            self._times.labels(job.experiment, job.datatype, before.state).observe(spent)
        self._dates.labels(job.experiment, job.datatype, after.state).set(job.date.timestamp())
        if after.state == COMPLETE:
            self._completed.labels(job.experiment, job.datatype).inc()
            self._ended(job, "success", now)
        elif after.state == FAILED:
            text = self._bounded(after.error.partition(": ")[2] or after.error)
            self._failed.labels(job.experiment, job.datatype, text).inc()
            self._ended(job, text, now)

    def not_found(self) -> None:
        """Count an update of a job that the ledger does not have."""
        self._warnings.labels("", "", "NoSuchJob").inc()

    def warned(self, job: LedgerJob, text: str) -> None:
        """Count a warning of post-processing."""
        self._warnings.labels(job.experiment, job.datatype, self._bounded(text)).inc()

    def action(self, name: str, outcome: str, seconds: float) -> None:
        """Count an action of post-processing.

        Args:
            outcome: done, retry, fail, or `set status error`.
        """
        self._actions.labels(name, outcome).observe(seconds)

    def _ended(self, job: LedgerJob, status: str, now: datetime) -> None:
        daily = job.is_daily(now)
        self._jobs.labels(job.experiment, job.datatype, daily, status).inc()

    def _bounded(self, text: str) -> str:
        if text not in self._texts:
            if len(self._texts) >= _MOST_TEXTS:
                return "generic"
            self._texts.add(text)
        return text


class GardenerLevels(Collector):
    """What is read from the database and the settings when Prometheus asks."""

    def __init__(
        self, in_flight: Callable[[], Iterable[InFlight]], sources: Sequence[tuple[str, str]]
    ) -> None:
        """Make a collector.

        Args:
            sources: experiment and datatype of each source in the settings.
        """
        self._in_flight, self._sources = in_flight, sources

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        sources = GaugeMetricFamily(
            "gardener_config_datatypes", "The sources in the settings.", labels=_OF_JOB
        )
        for source in dict.fromkeys(self._sources):
            sources.add_metric(source, 0)
        yield sources
        jobs = GaugeMetricFamily(
            "gardener_tasks_in_flight", "Jobs, by their state.", labels=(*_OF_JOB, "state")
        )
        heights: dict[tuple[str, str, str], int] = {}
        for level in self._in_flight():
            if level.state != COMPLETE:
                labels = (level.experiment, level.datatype, level.label)
                heights[labels] = heights.get(labels, 0) + level.jobs
        for labels, height in heights.items():
            jobs.add_metric(labels, height)
        yield jobs
