"""Answer why jobs failed: `/api/job/<id>/cause` and `/api/failures`."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlencode

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller, visible_owner
from tracker_service.api.named_jobs import named_job
from tracker_service.api.schemas import queries
from tracker_service.api.schemas.causes import CauseAnswer, FamilyAnswer, FamilyAnswers
from tracker_service.client import cause_text
from tracker_service.store.failure_groups import FailureGroup
from tracker_service.tracking.causes import Causes
from tracker_service.tracking.lookup import Lookup

_JSON, _TEXT = "application/json", "text/plain"


def blueprint(
    credentials: Credentials, lookup: Lookup, causes: Causes, admins: Collection[str]
) -> APIBlueprint:
    """Return the calls that answer why jobs failed.

    Args:
        admins: the users who may see the failures of others.
    """
    bp = openapi.blueprint("failures", "Why jobs failed.", "/api", credentials)

    @bp.get("/job/<job_id>/cause", responses=openapi.answers({200: _CAUSE}, 404))
    def cause(path: queries.JobPath) -> Response:
        """Tell why a job failed, with the lines that prove it; as text with `Accept: text/plain`.

        While its logs are being saved, the answer rests on what is known so far, and `complete` is
        false. Only jobs that you may see count among those with the same failure.
        """
        card = causes.of_job(current_caller(), named_job(path, lookup), visible_owner(admins))
        return _negotiated(CauseAnswer.of(card))

    @bp.get("/failures", responses=openapi.answers({200: FamilyAnswers}))
    def failures(query: queries.FailuresQuery) -> Response:
        """List failures with the same cause as one family, the newest family first.

        Your own jobs count, for admins everybody's. Without `since`: failures of the last week.
        """
        found = causes.families(
            visible_owner(admins),
            since=query.since,
            category=query.category,
            after=query.cursor,
            limit=query.limit + 1,
        )
        page = found[: query.limit]
        answer = jsonify([FamilyAnswer.of(family).model_dump(mode="json") for family in page])
        if len(found) > len(page):
            answer.headers["Link"] = f'<{_next_page(page[-1])}>; rel="next"'
        return answer

    return bp


_CAUSE = {
    "description": CauseAnswer.__doc__,
    "content": {
        _JSON: {"schema": {"$ref": f"#/components/schemas/{CauseAnswer.__name__}"}},
        _TEXT: {"schema": {"type": "string"}},
    },
}


def _negotiated(answer: CauseAnswer) -> Response:
    """Return JSON, or plain text if the header Accept prefers it (RFC 9110, section 12.5.1)."""
    body = answer.model_dump(mode="json")
    response = jsonify(body)
    if request.accept_mimetypes.best_match([_JSON, _TEXT], _JSON) == _TEXT:
        text = "\n".join(line.text for line in cause_text.lines(body))
        response = Response(f"{text}\n", content_type=f"{_TEXT}; charset=utf-8")
    response.vary.add("Accept")
    return response


def _next_page(last: FailureGroup) -> str:
    given = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    cursor = queries.cursor_text(last.cursor)
    return f"{request.base_url}?{urlencode([*given, ('cursor', cursor)])}"
