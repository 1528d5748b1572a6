"""The ids in the body of a request, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flask import Request

from tracker_service.api.schemas.queries import JOB_EXAMPLE, JOB_ID_SCHEMA, MAX_IDS
from tracker_service.domain.jobs import JOB_ID_PATTERN, JobId, is_job_id
from tracker_service.errors import BadInput

_LINES = rf"^\s*{JOB_ID_PATTERN}([ \t]*[\r\n]\s*{JOB_ID_PATTERN})*\s*$"

#: The bodies of `posted_ids` in the words of OpenAPI.
POSTED_IDS: dict[str, Any] = {
    "required": True,
    "description": f"Oozie job ids; at most {MAX_IDS:,} ids and 1 MiB",
    "content": {
        "text/plain": {
            "schema": {"type": "string", "pattern": _LINES, "description": "one id a line"},
            "example": f"{JOB_EXAMPLE}\n",
        },
        "application/json": {
            "schema": {
                "oneOf": [
                    {"type": "array", "items": JOB_ID_SCHEMA, "minItems": 1},
                    {
                        "type": "object",
                        "required": ["id"],
                        "properties": {
                            "id": {
                                "oneOf": [
                                    JOB_ID_SCHEMA,
                                    {"type": "array", "items": JOB_ID_SCHEMA, "minItems": 1},
                                ]
                            }
                        },
                    },
                ]
            },
            "example": {"id": JOB_EXAMPLE},
        },
    },
}


def posted_ids(request: Request) -> list[JobId]:
    """Return the job ids in a body: text with one a line, a JSON array, or an object's `id`.

    Raises:
        BadInput: 415 for another content type, 413 for too many ids, otherwise 400; nothing of
            the request is done.
    """
    if request.mimetype == "text/plain":
        ids = [line.strip() for line in _text(request).splitlines()]
    elif request.mimetype == "application/json":
        ids = [job_id.strip() for job_id in _json_ids(_text(request))]
    else:
        raise BadInput(
            f"Content type {request.mimetype or 'missing'}: send text/plain with one id a line, or "
            "application/json with an array of ids or an object whose `id` is one or an array.",
            status=415,
        )
    return _checked_ids([job_id for job_id in ids if job_id])


def _checked_ids(ids: Sequence[str]) -> list[JobId]:
    if not ids:
        raise BadInput("The body names no job: send at least one Oozie job id.")
    if len(ids) > MAX_IDS:
        raise BadInput(f"{len(ids)} ids: send at most {MAX_IDS} with one request.", status=413)
    wrong = [job_id[:100] for job_id in ids if not is_job_id(job_id)]
    if wrong:
        raise BadInput(f"Not shaped like an Oozie job id ({JOB_EXAMPLE}): {', '.join(wrong)}")
    return [JobId(job_id) for job_id in ids]


def _text(request: Request) -> str:
    try:
        return request.get_data().decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from error


def _json_ids(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The body is no JSON: {error}") from error
    if isinstance(value, dict):
        value = value.get("id")
        value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadInput(
            "The JSON has the wrong type: send an array of ids, or an object whose `id` is an id "
            "or an array of ids."
        )
    return value
