"""Show checks: `/api/checks`, `/metrics/checks`, `/badges/checks/<name>.svg`."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials
from tracker_service.api.schemas.checks import (
    CheckAnswer,
    CheckAnswers,
    CheckFileAnswer,
    CheckPath,
    ChecksQuery,
    RunsQuery,
    WholeCheckAnswer,
)
from tracker_service.checks.lookup import CONTENT_TYPE, CheckPages

_TAG = Tag(name="checks", description="Checks of HTTP endpoints.")


def blueprint(credentials: Credentials, pages: CheckPages) -> APIBlueprint:
    """Return the calls that show checks, to everybody who is known."""
    bp = openapi.blueprint("checks", "Checks of HTTP endpoints.", "/api", credentials)

    @bp.get("/checks", responses=openapi.answers({200: CheckAnswers}))
    def list_checks(query: ChecksQuery) -> Response:
        """List the checks, and the files that they stand in."""
        found, files = pages.page(query.after, query.limit)
        answer = CheckAnswers(
            checks=[CheckAnswer.of(check) for check in found],
            files=[CheckFileAnswer.of(file) for file in files],
        )
        return jsonify(answer.model_dump(mode="json"))

    @bp.get("/checks/<path:name>", responses=openapi.answers({200: WholeCheckAnswer}, 404))
    def one(path: CheckPath, query: RunsQuery) -> Response:
        """Show one check with its last runs and its availability."""
        found = pages.one(path.name, query.runs)
        answer = WholeCheckAnswer.whole(found.check, found.availability, found.runs)
        return jsonify(answer.model_dump(mode="json"))

    return bp


def open_pages(pages: CheckPages) -> APIBlueprint:
    """Return what Prometheus and web pages read; like `/metrics`, it needs no credentials."""
    bp = APIBlueprint("check_pages", __name__, abp_tags=[_TAG])

    @bp.get(
        "/metrics/checks",
        responses=openapi.answers(
            {200: openapi.text("Prometheus' text format.", CONTENT_TYPE)}, 503
        ),
    )
    def exposition() -> Response:
        """Return the last run of each check, in the names of blackbox_exporter."""
        return Response("".join(pages.exposition()), content_type=CONTENT_TYPE)

    @bp.get(
        "/badges/checks/<path:name>.svg",
        responses=openapi.answers({200: openapi.text("The state.", "image/svg+xml")}, 404, 503),
    )
    def badge(path: CheckPath) -> Response:
        """Return the state of a check as a picture."""
        answer = Response(pages.badge(path.name), content_type="image/svg+xml")
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    return bp
