"""Show how the service is: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from tracker_service.api import openapi
from tracker_service.api.problems import problem
from tracker_service.api.schemas.operations import HealthAnswer, ReadyAnswer
from tracker_service.metrics import GaugeReading, Metrics
from tracker_service.store.database import Store
from tracker_service.store.figures import Capacity, Figures, capacity, figures

_TAG = Tag(name="operations", description="Health and metrics of the service.")


def blueprint(
    store: Store,
    metrics: Metrics,
    worker_silence_s: float,
    retention: timedelta,
    listed_for: timedelta,
    *,
    clock: Callable[[], datetime],
    more: Sequence[Collector] = (),
) -> APIBlueprint:
    """Return the calls for load balancers and supervisors; they need no credentials.

    Args:
        worker_silence_s: a worker that was silent for longer does not count.
        retention: after which the cluster deletes aggregated logs.
        listed_for: how long jobs, tasks and copies are counted after their end.
        more: gauges of rooms.
    """
    bp = APIBlueprint("operations", __name__, abp_tags=[_TAG])

    @bp.get("/healthz", responses=openapi.answers({200: HealthAnswer}))
    def healthz() -> Response:
        """Answer that this process is alive."""
        return jsonify({"status": "alive"})

    @bp.get("/readyz", responses=openapi.answers({200: ReadyAnswer}, 503))
    def readyz() -> Response:
        """Answer whether the database and a worker are there, and how loaded the workers are."""
        with store.read() as connection:
            found = capacity(connection, worker_silence_s)
        if found.workers == 0:
            return problem(503, "No worker lives: start one with `tracker worker`.")
        answer = ReadyAnswer.of(found, _lag_s(found, clock()), metrics.lease_losses())
        return jsonify(answer.model_dump())

    @bp.get(
        "/metrics",
        responses=openapi.answers(
            {200: openapi.text("Prometheus' text format.", CONTENT_TYPE_PLAIN_0_0_4)}, 503
        ),
    )
    def measured() -> Response:
        """Return the counts of all processes, and figures from the database."""
        with store.read() as connection:
            found = figures(connection, clock() - listed_for)
            load = capacity(connection, worker_silence_s)
        levels = chain(_levels(found, retention), _load_levels(found, load, clock()))
        text = metrics.exposition(levels, more)
        return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return bp


def _levels(found: Figures, retention: timedelta) -> Iterator[GaugeReading]:
    lately = "; of those that ended, the ones of the last polling.listed_h"
    yield GaugeReading(
        "tracker_jobs", f"Tracked jobs, by their state{lately}.", "state", found.jobs
    )
    yield GaugeReading(
        "tracker_tasks", f"Tasks, by how far they are{lately}.", "state", found.tasks
    )
    yield GaugeReading(
        "tracker_copies", f"Copies of logs, by their status{lately}.", "status", found.copies
    )
    yield GaugeReading(
        "tracker_logs", f"Wanted logs, by what became of them{lately}.", "state", found.logs
    )
    yield GaugeReading(
        "tracker_deliveries_undelivered",
        "Events that are still to be sent to somebody, or that were given up (dead).",
        "state",
        found.deliveries,
    )
    if found.oldest_at_risk:
        yield _level(
            "tracker_first_deletion_timestamp_seconds",
            "When the cluster deletes the first log that is not saved yet.",
            (found.oldest_at_risk + retention).timestamp(),
        )
    yield _level("tracker_saved_log_bytes", f"Size of the saved logs{lately}.", found.saved_bytes)


def _load_levels(found: Figures, load: Capacity, now: datetime) -> Iterator[GaugeReading]:
    queues = {
        "copies": found.due_copies,
        "jobsets": load.free_jobsets,
        "tasks": load.waiting_tasks,
    }
    yield GaugeReading(
        "tracker_queue_length", "What waits for a worker, by what it is.", "queue", queues
    )
    yield _level("tracker_workers", "Workers that live.", load.workers)
    yield _level("tracker_workers_needed", "Workers that the load needs.", load.workers_needed)
    yield _level("tracker_late_tasks", "Tasks not looked at in time.", load.late_tasks)
    yield _level(
        "tracker_scaling_limit_hit",
        "1 while tasks wait that no worker has room for: start more.",
        load.is_limit_hit,
    )
    yield _level(
        "tracker_lag_seconds",
        "Age of the last look at the watched job that was looked at longest ago.",
        _lag_s(load, now),
    )


def _level(name: str, meaning: str, height: float) -> GaugeReading:
    return GaugeReading(name, meaning, None, {"": height})


def _lag_s(load: Capacity, now: datetime) -> float:
    return max(0.0, (now - load.oldest_look).total_seconds()) if load.oldest_look else 0.0
