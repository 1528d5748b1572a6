"""Answer about jobs: `/api/job/<id>` and `/api/jobs/…`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from urllib.parse import urlencode

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller, visible_owner
from tracker_service.api.named_jobs import named_job
from tracker_service.api.read_limits import ReadLimits
from tracker_service.api.schemas import queries
from tracker_service.api.schemas.jobs import (
    JobAnswer,
    OozieJobsAnswer,
    StatusAnswer,
    TrackedAnswer,
    TrackedAnswers,
)
from tracker_service.errors import NotAllowed
from tracker_service.settings import RightsSettings
from tracker_service.store.tracked_jobs import Outline
from tracker_service.tracking.causes import Causes
from tracker_service.tracking.lookup import JobView, Lookup

EVERYBODY = "*"


def blueprint(
    credentials: Credentials,
    lookup: Lookup,
    causes: Causes,
    rights: RightsSettings,
    *,
    limits: ReadLimits,
) -> APIBlueprint:
    """Return the calls that answer about jobs.

    Args:
        rights: say who may see the jobs of others.
        limits: how many long lists are sent at once.
    """
    bp = openapi.blueprint("jobs", "Jobs, their states and histories.", "/api", credentials)

    @bp.get("/job/<job_id>", responses=openapi.answers({200: JobAnswer}, 404))
    def job(path: queries.JobPath, query: queries.RefreshQuery) -> Response:
        """Show everything about one job."""
        view = lookup.job(current_caller(), named_job(path, lookup), refresh=query.refresh)
        card = causes.of_view(view, visible_owner(rights.admins))
        return jsonify(JobAnswer.of(view, card).model_dump())

    @bp.get("/job/<job_id>/status", responses=openapi.answers({200: StatusAnswer}, 404))
    def status(path: queries.JobPath, query: queries.RefreshQuery) -> Response:
        """Show the state of a job."""
        job_id = named_job(path, lookup)
        state = lookup.status(current_caller(), job_id, refresh=query.refresh)
        return jsonify(StatusAnswer(id=job_id, status=state).model_dump())

    @bp.get("/jobs/", responses=openapi.answers({200: OozieJobsAnswer}))
    def jobs(query: queries.OozieJobsQuery) -> Response:
        """List the jobs that Oozie has, as Oozie answers it."""
        return jsonify(lookup.oozie_list(current_caller(), query.given()))

    @bp.get("/jobs/tracking", responses=openapi.answers({200: TrackedAnswers, 304: None}))
    def tracking(query: queries.TrackingQuery) -> Response:
        """List your tracked jobs that run or ended lately."""
        caller = current_caller().name

        def listed() -> Response:
            outline, pages = lookup.tracking(
                _owner(caller, query.user, rights.overseers),
                statuses=query.status,
                after=query.cursor,
                limit=query.limit,
            )
            return _streamed_list(outline, pages)

        return limits.sent(caller, listed)

    return bp


def _streamed_list(outline: Outline, pages: Iterator[list[JobView]]) -> Response:
    """Answer with a list as it is read; with 304 if the client has it already (RFC 9110)."""
    answer = Response(_json_array(pages), mimetype="application/json")
    answer.automatically_set_content_length = False  # it would wait for the last piece
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.vary.add("Authorization")
    if outline.has_more:
        answer.headers["Link"] = f'<{_next_page(outline.task_ids[-1])}>; rel="next"'
    answer.set_etag(outline.tag, weak=True)
    answer.make_conditional(request)
    return answer


def _owner(caller: str, wanted: str | None, overseers: Collection[str]) -> str | None:
    """Return the user whose jobs are listed, or None for everybody's.

    Raises:
        NotAllowed: the caller wants other users' jobs and is no admin or auditor.
    """
    if wanted in (None, caller):
        return caller
    if caller not in overseers:
        raise NotAllowed(
            f"Only admins and auditors see the jobs of others, and {caller} is none: leave out "
            "`user`, or ask an operator for a place in the setting rights.auditors."
        )
    return None if wanted == EVERYBODY else wanted


def _next_page(last: int) -> str:
    given = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.base_url}?{urlencode([*given, ('cursor', str(last))])}"


def _json_array(pages: Iterator[list[JobView]]) -> Iterator[str]:
    """Yield a JSON array page by page, so that a client with many jobs need not wait for all."""
    before = "["
    for page in pages:
        if page:
            values = [TrackedAnswer.of(view).model_dump() for view in page]
            yield before + json.dumps(values, separators=(",", ":"))[1:-1]
            before = ","
    yield "[]\n" if before == "[" else "]\n"
