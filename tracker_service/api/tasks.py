"""Start and stop tasks: `/api/task/…`."""

from __future__ import annotations

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.schemas import bodies, queries
from tracker_service.api.schemas.copies import CopyLogsAnswer
from tracker_service.api.schemas.jobs import PostedAnswers, posted_answer
from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.tracking.intake import Intake
from tracker_service.tracking.lookup import Lookup

_BODY = {"requestBody": bodies.POSTED_IDS}


def blueprint(credentials: Credentials, intake: Intake, lookup: Lookup) -> APIBlueprint:
    """Return the calls that start and stop tasks."""
    bp = openapi.blueprint("tasks", "Track jobs and save their logs.", "/api/task", credentials)

    @bp.post(
        "/track/",
        responses=openapi.answers({200: PostedAnswers}, 404, 413, 415),
        openapi_extensions=_BODY,
    )
    def track(query: queries.TrackQuery) -> Response:
        """Track the posted jobs; save the logs of jobs that fail, or of all."""
        policy = CopyPolicy.ALWAYS if query.copies else CopyPolicy.OF_FAILURES
        answers = intake.track(current_caller(), bodies.posted_ids(request), policy=policy)
        return jsonify([posted_answer(answer).model_dump() for answer in answers])

    @bp.delete("/track/<job_id>", responses=openapi.answers({204: None}, 404))
    def untrack(path: queries.JobPath) -> Response:
        """Stop tracking a job. Saved logs stay; copies that run are finished."""
        intake.stop(current_caller(), JobId(path.job_id))
        return Response(status=204)

    @bp.post(
        "/copy-logs/",
        responses=openapi.answers({200: CopyLogsAnswer}, 404, 413, 415),
        openapi_extensions=_BODY,
    )
    def copy_logs(query: queries.CopyLogsQuery) -> Response:
        """Save the logs of the posted jobs however they end, and repeat copies that failed."""
        policy = CopyPolicy.ALL_AGAIN if query.refresh else CopyPolicy.ALL
        answers = intake.track(current_caller(), bodies.posted_ids(request), policy=policy)
        unknown = [a.id for a in answers if a.status == JobStatus.NOT_FOUND]
        known = [a.id for a in answers if a.status != JobStatus.NOT_FOUND]
        found = lookup.copies_of(current_caller(), known)
        return jsonify(CopyLogsAnswer.of(found, unknown).model_dump())

    return bp
