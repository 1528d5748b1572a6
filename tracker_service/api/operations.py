"""Tell operators how the service is: `/healthz`, `/readyz`."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from tracker_service.api.problems import problem
from tracker_service.store import jobsets
from tracker_service.store.engine import Store


def blueprint(store: Store, worker_silence_s: float) -> Blueprint:
    """Return the calls for load balancers and supervisors; they need no credentials."""
    bp = Blueprint("operations", __name__)

    @bp.get("/healthz")
    def healthz() -> ResponseReturnValue:
        """Tell that this process is alive."""
        return jsonify({"status": "alive"})

    @bp.get("/readyz")
    def readyz() -> ResponseReturnValue:
        """Tell whether the store answers and a worker lives."""
        with store.read() as connection:
            if jobsets.a_worker_lives(connection, worker_silence_s):
                return jsonify({"status": "ready"})
        return problem(503, "No worker lives: start one with `tracker worker`.")

    return bp
