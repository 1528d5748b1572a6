"""The ids in the body of a request, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote_plus

from flask import Request

from tracker_service.api.schemas.queries import JOB_ID_SCHEMA, MAX_IDS
from tracker_service.domain.jobs import REFERENCE_PATTERN, JobType, type_of
from tracker_service.domain.written_ids import (
    EXAMPLE,
    MAX_ACTIONS,
    UnreadableIdsError,
    WrittenId,
    decoded,
    read_ids,
)
from tracker_service.errors import BadInput

_LINES = rf"^\s*{REFERENCE_PATTERN}([ \t]*[\r\n]\s*{REFERENCE_PATTERN})*\s*$"
_FORM = "application/x-www-form-urlencoded"

_ONE_OR_MORE = {"type": "array", "items": JOB_ID_SCHEMA, "minItems": 1}

#: The bodies of `posted_ids` in the words of OpenAPI.
POSTED_IDS: dict[str, Any] = {
    "required": True,
    "description": f"Oozie job ids; at most {MAX_IDS:,} ids and 1 MiB. `...-C@12` is the workflow "
    "that this action of a coordinator starts, `...-W@action` the workflow of the action.",
    "content": {
        "text/plain": {
            "schema": {"type": "string", "pattern": _LINES, "description": "one id a line"},
            "example": f"{EXAMPLE}\n",
        },
        "application/json": {
            "schema": {
                "oneOf": [
                    _ONE_OR_MORE,
                    {
                        "type": "object",
                        "required": ["id"],
                        "properties": {"id": {"oneOf": [JOB_ID_SCHEMA, _ONE_OR_MORE]}},
                    },
                ]
            },
            "example": {"id": EXAMPLE},
        },
    },
}


def posted_ids(request: Request) -> list[WrittenId]:
    """Return the job ids in a body: text with one a line, a JSON array, or an object's `id`.

    A body without a type, or with that of a form, which `curl -d` gives to any body, is read as
    JSON if it begins like JSON, otherwise as text.

    Raises:
        BadInput: 415 for another content type or a charset that nobody knows, 413 for too many
            ids, otherwise 400; nothing of the request is done.
    """
    kind = request.mimetype
    is_json = kind in ("application/json", "text/json") or kind.endswith("+json")
    if not is_json and kind not in ("text/plain", "text/csv", _FORM, ""):
        raise BadInput(
            f"Content type {kind}: send text/plain with one id a line (curl: -H 'Content-Type: "
            "text/plain' --data-binary @file), or application/json with an array of ids or an "
            "object whose `id` is one or an array.",
            status=415,
        )
    text = _text(request)
    if kind == _FORM:
        text = unquote_plus(text)
    if is_json or text.lstrip().startswith(("[", "{")):
        return _checked([found for each in _json_texts(text) for found in _read(each)])
    return _checked(_read(text))


def _checked(ids: Sequence[WrittenId]) -> list[WrittenId]:
    if not ids:
        raise BadInput("The body names no job: send at least one Oozie job id.")
    if len(ids) > MAX_IDS:
        raise BadInput(f"{len(ids)} ids: send at most {MAX_IDS} with one request.", status=413)
    actions = sum(type_of(each.id) == JobType.COORDINATOR_ACTION for each in ids)
    if actions > MAX_ACTIONS:
        raise BadInput(
            f"{actions} actions of coordinators: send at most {MAX_ACTIONS} with one request, or "
            "the ids of the coordinators, whose actions are all tracked.",
            status=413,
        )
    return list(ids)


def _read(text: str) -> list[WrittenId]:
    try:
        return read_ids(text)
    except UnreadableIdsError as error:
        raise BadInput(str(error)) from error


def _text(request: Request) -> str:
    charset = request.mimetype_params.get("charset")
    try:
        return decoded(request.get_data(), charset)
    except LookupError as error:
        raise BadInput(
            f"The charset {charset!r} is not known here: send UTF-8 or UTF-16.", status=415
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"The body is not {charset or error.encoding}: {error.reason} at byte {error.start}."
        ) from error


def _json_texts(text: str) -> Iterator[str]:
    """Yield the texts that stand for ids in JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The body is no JSON: {error}") from error
    value = value.get("id") if isinstance(value, dict) else value
    for item in value if isinstance(value, list) else [value]:
        # A job in an answer of this API is an object with its `id`.
        named = item.get("id") if isinstance(item, dict) else item
        if not isinstance(named, str):
            raise BadInput(
                "The JSON has the wrong type: send an array of ids, or an object whose `id` is an "
                "id or an array of ids."
            )
        yield named
