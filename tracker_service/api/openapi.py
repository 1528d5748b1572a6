"""Describe the API in OpenAPI 3.1 and show it: `/openapi.json`, `/docs`."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from typing import Any, cast

from flask import Blueprint, Response, jsonify, send_from_directory
from flask.sansio.blueprints import BlueprintSetupState
from flask_openapi3 import APIBlueprint, Info, OpenAPI, Tag
from flask_openapi3.types import ResponseDict
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tracker_service.api.auth import Credentials
from tracker_service.api.problems import problem
from tracker_service.api.schemas.base import Problem

_MEANING = {
    400: "The request is wrong.",
    401: "No credentials, or the gateway refuses them.",
    403: "The cluster, or the tracker, does not allow this.",
    404: "There is no such thing.",
    409: "It is being worked on now; wait until that is finished.",
    413: "More than 1 MiB, or more than 10,000 ids.",
    412: "What is saved is not what `If-Match` names.",
    415: "Neither text/plain nor application/json.",
    416: "The log has no such bytes; `Content-Range` tells how many it has.",
    422: "What is asked for takes more computing than it may.",
    429: "More requests than one user may make in a minute.",
    501: "This site does not allow it.",
    502: "The cluster refuses what it was asked.",
    503: "The gateway, the cluster behind it or the database does not answer right now.",
}
_DESCRIPTION = """\
Follows Oozie jobs through Knox until they end, and saves the logs of those that failed.

Post the id of a job to `/api/task/track/`, look at it with `/api/job/{id}`, read its logs with
`/api/job/{id}/logs`. Credentials are those of the gateway.
"""


def answers(answered: ResponseDict, *refusals: int) -> ResponseDict:
    """Return the answers of a call for OpenAPI: those of success, and problems by status."""
    return answered | _problems(400, *refusals)


def blueprint(name: str, about: str, url_prefix: str, credentials: Credentials) -> APIBlueprint:
    """Return a blueprint whose calls need these credentials, which the document shows."""
    bp = APIBlueprint(
        name,
        __name__,
        url_prefix=url_prefix,
        abp_tags=[Tag(name=name, description=about)],
        abp_security=[{credentials.name: []}],
        abp_responses=_problems(401, 403, 429, 502, 503),
    )
    bp.before_request(credentials.require)
    bp.record(partial(_describe, credentials))
    return bp


def _describe(credentials: Credentials, setup: BlueprintSetupState) -> None:
    """Add the credentials of a blueprint to the document of the application that it joins."""
    app = cast(OpenAPI, setup.app)
    app.security_schemes = {
        **(app.security_schemes or {}),
        credentials.name: {**credentials.scheme},
    }


def _problems(*statuses: int) -> ResponseDict:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    again = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return {
        str(status): {"description": _MEANING[status], "content": content}
        | ({"headers": again} if status in (429, 503) else {})
        for status in statuses
    }


def text(description: str, content_type: str = "text/plain") -> dict[str, Any]:
    """Return an answer that is no JSON for OpenAPI."""
    return {
        "description": description,
        "content": {content_type: {"schema": {"type": "string"}}},
    }


def application() -> OpenAPI:
    """Return an application without calls; it describes the calls that are registered later."""
    app = OpenAPI(
        "tracker_service",
        static_folder=None,
        info=Info(
            title="tracker-service",
            version=version("tracker-service"),
            description=_DESCRIPTION,
        ),
        validation_error_status=400,
        validation_error_model=Problem,
        validation_error_callback=_not_valid,
        doc_ui=False,
    )
    app.register_blueprint(_pages(app))
    return app


def _not_valid(error: ValidationError) -> Response:
    messages = (
        ": ".join(filter(None, (".".join(map(str, fault["loc"])), _message(fault))))
        for fault in error.errors(include_url=False)
    )
    return problem(400, "; ".join(messages))


def _message(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such parameter"
    return error["msg"].removeprefix("Value error, ")


def _pages(app: OpenAPI) -> Blueprint:
    bp = Blueprint("openapi", __name__)
    assets = files("flask_openapi3_swagger") / "templates" / "swagger"

    @bp.get("/openapi.json")
    def document() -> Response:
        return jsonify(app.api_doc | {"jsonSchemaDialect": _DIALECT})

    @bp.get("/docs")
    def docs() -> Response:
        return Response(_PAGE, content_type="text/html; charset=utf-8")

    @bp.get("/docs/<path:file>")
    def asset(file: str) -> Response:
        answer = send_from_directory(str(assets), file, max_age=3600)
        answer.headers["Cache-Control"] = "public, max-age=3600"
        return answer

    return bp


_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCRIPT = """
  SwaggerUIBundle({url: "openapi.json", dom_id: "#ui", deepLinking: true})
"""
#: What a browser may run on the page; see https://www.w3.org/TR/CSP3/#match-element-to-source-list
SCRIPT_HASH = f"'sha256-{b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()}'"

# Paths without a slash in front, so that the page works below any prefix.
_PAGE = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>tracker-service API</title>
<link rel="icon" href="docs/images/swagger.svg">
<link rel="stylesheet" href="docs/css/swagger-ui.css">
<div id="ui"></div>
<script src="docs/js/swagger-ui-bundle.js"></script>
<script>{_SCRIPT}</script>
"""
