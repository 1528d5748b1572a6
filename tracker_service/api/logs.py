"""Give saved logs back: `/api/job/<id>/logs…`."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from tracker_service.api import schemas
from tracker_service.api.auth import current_caller
from tracker_service.archive.reader import open_logs
from tracker_service.domain.applications import ApplicationId, short
from tracker_service.domain.jobs import JobId
from tracker_service.domain.tasks import Copy
from tracker_service.errors import LogNotSaved
from tracker_service.identities import Identities
from tracker_service.tracking.lookup import JobCopies, Lookup


def blueprint(lookup: Lookup, identities: Identities) -> Blueprint:
    """Return the calls that give logs back, with the rights of the caller in HDFS."""
    bp = Blueprint("logs", __name__, url_prefix="/api/job/<job_id>")

    def stream(job_id: JobId, wanted: Sequence[ApplicationId]) -> Response:
        caller = current_caller()
        copies = _chosen(lookup.copies(caller, job_id), wanted)
        body = open_logs(identities.access(caller).hdfs, copies)
        return Response(body, content_type="text/plain; charset=utf-8")

    @bp.get("/logs")
    def logs(job_id: str) -> ResponseReturnValue:
        """Give the saved logs of all applications, or of those that `id` names."""
        [checked] = schemas.checked_ids([job_id])
        return stream(checked, schemas.named_applications(request.args.getlist("id")))

    @bp.get("/logs/status")
    def status(job_id: str) -> ResponseReturnValue:
        """Tell how far the copying is."""
        [checked] = schemas.checked_ids([job_id])
        return jsonify(schemas.copy_status(lookup.copies(current_caller(), checked)))

    @bp.get("/logs/<application>")
    def log(job_id: str, application: str) -> ResponseReturnValue:
        """Give the saved log of one application."""
        [checked] = schemas.checked_ids([job_id])
        return stream(checked, schemas.named_applications([application]))

    return bp


def _chosen(found: JobCopies, wanted: Sequence[ApplicationId]) -> list[Copy]:
    """Return the copies of the wanted applications, or all.

    Raises:
        LogNotSaved: there is none, or one of the wanted is no known application of the job.
    """
    if not found.copies:
        raise LogNotSaved(f"No log is saved: {found.why_none}.")
    if not wanted:
        return list(found.copies)
    by_application = {copy.application: copy for copy in found.copies}
    missing = [short(application) for application in wanted if application not in by_application]
    if missing:
        raise LogNotSaved(f"The job has no such application: {', '.join(missing)}.")
    return [by_application[application] for application in wanted]
