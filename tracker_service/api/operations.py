"""Tell operators how the service is: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from tracker_service.api import openapi
from tracker_service.api.answers import HealthAnswer
from tracker_service.api.problems import problem
from tracker_service.metrics import Level, Metrics
from tracker_service.store import jobsets
from tracker_service.store.engine import Store
from tracker_service.store.figures import Figures, figures

_TAG = Tag(name="operations", description="How the service is.")


def blueprint(
    store: Store,
    metrics: Metrics,
    worker_silence_s: float,
    retention: timedelta,
    clock: Callable[[], datetime],
) -> APIBlueprint:
    """Return the calls for load balancers and supervisors; they need no credentials.

    Args:
        worker_silence_s: a worker that was silent for longer does not count.
        retention: after which the cluster deletes aggregated logs.
    """
    bp = APIBlueprint("operations", __name__, abp_tags=[_TAG])

    @bp.get("/healthz", responses=openapi.answers({200: HealthAnswer}))
    def healthz() -> Response:
        """Tell that this process is alive."""
        return jsonify({"status": "alive"})

    @bp.get("/readyz", responses=openapi.answers({200: HealthAnswer}, 503))
    def readyz() -> Response:
        """Tell whether the store answers and a worker lives."""
        with store.read() as connection:
            if jobsets.living_workers(connection, worker_silence_s):
                return jsonify({"status": "ready"})
        return problem(503, "No worker lives: start one with `tracker worker`.")

    @bp.get(
        "/metrics",
        responses=openapi.answers(
            {200: openapi.text("Prometheus' text format.", CONTENT_TYPE_PLAIN_0_0_4)}, 503
        ),
    )
    def measured() -> Response:
        """Tell Prometheus what all processes have counted, and what lies in the database."""
        with store.read() as connection:
            found = figures(connection, worker_silence_s)
        text = metrics.exposition(_levels(found, clock(), retention))
        return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return bp


def _levels(found: Figures, now: datetime, retention: timedelta) -> Iterator[Level]:
    lag = (now - found.oldest_look).total_seconds() if found.oldest_look else 0.0
    queues = {"copies": found.due_copies, "jobsets": found.free_jobsets}
    yield Level("tracker_jobs", "Jobs that are known, by their state.", "state", found.jobs)
    yield Level("tracker_tasks", "Tasks, by how far they are.", "state", found.tasks)
    yield Level("tracker_copies", "Copies of logs, by their status.", "status", found.copies)
    yield Level("tracker_logs", "Wanted logs, by what became of them.", "state", found.logs)
    if found.oldest_at_risk:
        yield Level(
            "tracker_first_deletion_timestamp_seconds",
            "When the cluster deletes the first log that is not saved yet.",
            None,
            {"": (found.oldest_at_risk + retention).timestamp()},
        )
    yield Level("tracker_saved_log_bytes", "Size of all saved logs.", None, {"": found.saved_bytes})
    yield Level("tracker_queue_length", "What waits for a worker, by what it is.", "queue", queues)
    yield Level("tracker_workers", "Workers that live.", None, {"": found.workers})
    yield Level(
        "tracker_lag_seconds",
        "Age of the last look at the watched job that was looked at longest ago.",
        None,
        {"": max(0.0, lag)},
    )
