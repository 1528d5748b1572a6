"""Start tasks: `/api/task/…`."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from tracker_service.api import schemas
from tracker_service.api.auth import current_caller
from tracker_service.tracking.intake import Intake


def blueprint(intake: Intake) -> Blueprint:
    """Return the calls that start tasks."""
    bp = Blueprint("tasks", __name__, url_prefix="/api/task")

    @bp.post("/track/")
    def track() -> ResponseReturnValue:
        """Track the posted jobs from now on."""
        ids = schemas.posted_ids(request)
        return jsonify([schemas.answered(a) for a in intake.track(current_caller(), ids)])

    return bp
