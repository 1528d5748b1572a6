"""Find the job that the path of a request means."""

from __future__ import annotations

from flask import Response, after_this_request, request, url_for

from tracker_service.api.auth import current_caller
from tracker_service.api.schemas.queries import JobPath
from tracker_service.domain.jobs import JobId
from tracker_service.tracking.lookup import Lookup


def named_job(path: JobPath, lookup: Lookup) -> JobId:
    """Return the job that a path means: of an action of a job, the workflow.

    The header Content-Location of the answer names it if the path is written differently (RFC 9110,
    section 8.7).

    Raises:
        JobNotFound, GatewayUnavailable: as `Lookup.meant`.
    """
    job_id = lookup.meant(current_caller(), JobId(path.job_id))
    given = request.view_args or {}
    if request.endpoint and given.get("job_id") != job_id:
        location = url_for(request.endpoint, **{**given, "job_id": job_id})

        @after_this_request
        def tell(response: Response) -> Response:
            response.content_location = location
            return response

    return job_id
