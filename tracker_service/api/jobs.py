"""Tell about jobs: `/api/job/<id>` and `/api/jobs/…`."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from tracker_service.api import schemas
from tracker_service.api.auth import current_caller
from tracker_service.tracking.lookup import Lookup


def blueprint(lookup: Lookup) -> Blueprint:
    """Return the calls that tell about jobs."""
    bp = Blueprint("jobs", __name__, url_prefix="/api")

    @bp.get("/job/<job_id>")
    def job(job_id: str) -> ResponseReturnValue:
        """Tell all about one job."""
        [checked] = schemas.checked_ids([job_id])
        view = lookup.job(current_caller(), checked, refresh=_refresh())
        return jsonify(schemas.job_view(view))

    @bp.get("/job/<job_id>/status")
    def status(job_id: str) -> ResponseReturnValue:
        """Tell a job's state."""
        [checked] = schemas.checked_ids([job_id])
        state = lookup.status(current_caller(), checked, refresh=_refresh())
        return jsonify({"id": checked, "status": state, "status_code": 200})

    @bp.get("/jobs/tracking")
    def tracking() -> ResponseReturnValue:
        """List the caller's jobs that have not ended, or have ended lately."""
        return jsonify([schemas.tracked_job(v) for v in lookup.tracking(current_caller())])

    return bp


def _refresh() -> bool:
    return request.args.get("refresh", "").lower() == "true"
