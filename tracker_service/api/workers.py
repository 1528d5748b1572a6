"""Show admins and auditors which worker holds which jobsets: `/api/workers`, `/api/jobsets`."""

from __future__ import annotations

from collections.abc import Collection

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.schemas import queries
from tracker_service.api.schemas.workers import (
    JobsetAnswer,
    JobsetAnswers,
    WorkerAnswer,
    WorkerAnswers,
)
from tracker_service.errors import NotAllowed
from tracker_service.store import jobsets, workers
from tracker_service.store.database import Store
from tracker_service.store.figures import capacity


def blueprint(
    credentials: Credentials, store: Store, overseers: Collection[str], worker_silence_s: float
) -> APIBlueprint:
    """Return the calls that list workers and jobsets.

    Args:
        overseers: the users who may ask.
        worker_silence_s: a worker that was silent for longer counts as dead.
    """
    bp = openapi.blueprint(
        "workers", "Workers and their jobsets; for admins and auditors.", "/api", credentials
    )

    @bp.get("/workers", responses=openapi.answers({200: WorkerAnswers}))
    def list_workers() -> Response:
        """List the workers; the header Tracker-Workers-Needed says how many the load needs."""
        _require_overseer(overseers)
        with store.read() as connection:
            found = workers.known(connection, worker_silence_s)
            needed = capacity(connection, worker_silence_s).workers_needed
        answer = jsonify([WorkerAnswer.of(worker).model_dump() for worker in found])
        answer.headers["Tracker-Workers-Needed"] = str(needed)
        return answer

    @bp.get("/jobsets", responses=openapi.answers({200: JobsetAnswers}))
    def list_jobsets(query: queries.JobsetsQuery) -> Response:
        """List the jobsets that have tasks."""
        _require_overseer(overseers)
        with store.read() as connection:
            found = jobsets.known(connection, query.worker)
        return jsonify([JobsetAnswer.of(jobset).model_dump() for jobset in found])

    return bp


def _require_overseer(overseers: Collection[str]) -> None:
    caller = current_caller().name
    if caller not in overseers:
        raise NotAllowed(
            f"Only admins and auditors see workers and jobsets, and {caller} is none: ask an "
            "operator for a place in the setting rights.auditors."
        )
