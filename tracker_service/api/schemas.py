"""Read the bodies and ids of requests, and give answers their shape on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import Request

from tracker_service.domain.applications import ApplicationId, from_short, short
from tracker_service.domain.jobs import JobId, is_job_id
from tracker_service.domain.tasks import Copy, CopyStatus
from tracker_service.errors import BadInput
from tracker_service.store.jobs import StateChange
from tracker_service.tracking.intake import Answered
from tracker_service.tracking.lookup import JobCopies, JobView

MAX_BODY_BYTES = 1024 * 1024
MAX_IDS = 10_000


def posted_ids(request: Request) -> list[JobId]:
    """Return the job ids in a body: text with one a line, a JSON array, or an object's `id`.

    Raises:
        BadInput: 415 for another content type, 413 for too many ids, otherwise 400; nothing of
            the request is carried out.
    """
    if request.mimetype == "text/plain":
        ids = [line.strip() for line in _text(request).splitlines()]
    elif request.mimetype == "application/json":
        ids = [each.strip() for each in _json_ids(_text(request))]
    else:
        raise BadInput(
            f"Content type {request.mimetype or 'missing'}: send text/plain with one id a line, or "
            "application/json with an array of ids or an object whose `id` is one or an array.",
            status=415,
        )
    return checked_ids([each for each in ids if each])


def checked_ids(ids: Sequence[str]) -> list[JobId]:
    """Return the ids if each is shaped like one of Oozie.

    Raises:
        BadInput: names all that are not.
    """
    if not ids:
        raise BadInput("The body names no job: send at least one Oozie job id.")
    if len(ids) > MAX_IDS:
        raise BadInput(f"{len(ids)} ids: send at most {MAX_IDS} with one request.", status=413)
    wrong = [each[:100] for each in ids if not is_job_id(each)]
    if wrong:
        raise BadInput(
            "Not shaped like an Oozie job id (0000042-261122041514971-oozie-prod-W): "
            + ", ".join(wrong)
        )
    return [JobId(each) for each in ids]


def named_applications(names: Iterable[str]) -> list[ApplicationId]:
    """Return the applications that a caller names, with or without `application_`.

    Raises:
        BadInput: names what is no application id.
    """
    found = {name: from_short(name) for name in names}
    wrong = [name[:100] for name, application in found.items() if application is None]
    if wrong:
        raise BadInput(f"No application id (1529519049029_420001): {', '.join(wrong)}")
    return [application for application in found.values() if application]


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
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadInput(
            "The JSON has the wrong type: send an array of ids, or an object whose `id` is an id "
            "or an array of ids."
        )
    return value


def answered(answer: Answered) -> dict[str, Any]:
    """Return the answer to one posted id."""
    ids = [short(application) for application in answer.applications]
    return {"id": answer.id, "status": answer.status, "applications-ids": ids}


def job_view(view: JobView) -> dict[str, Any]:
    """Return all about one job."""
    ids = [short(application) for application in view.applications]
    return {
        "id": view.id,
        "status": view.status,
        "run": view.run,
        "name": view.name,
        "user": view.user,
        "parent-id": view.parent_id,
        "created": _instant(view.created_at),
        "started": _instant(view.started_at),
        "ended": _instant(view.ended_at),
        "last-checked": _instant(view.checked_at),
        "tracked": view.is_tracked,
        "reason": view.reason,
        "applications-ids": ids,  # both spellings are in use
        "application-ids": ids,
        "log-jobs": copies_by_application(view.copies),
        "actions": [_action(action) for action in view.actions],
        "history": [_change(change) for change in view.history],
    }


def tracked_job(view: JobView) -> dict[str, Any]:
    """Return a job in the list of those that the caller tracks."""
    ids = [short(application) for application in view.applications]
    jobs = {f"action-copy-job-{short(copy.application)}": copy.job for copy in view.copies}
    return {
        "id": view.id,
        "status": view.status,
        "name": view.name,
        "application-ids": ids,
        **{name: job for name, job in jobs.items() if job},
        "applications": copies_by_application(view.copies),
        "last-checked": _instant(view.checked_at),
        "reason": view.reason,
    }


def copy_status(found: JobCopies) -> dict[str, Any]:
    """Return how far the copying of a job's logs is."""
    succeeded = all(copy.status == CopyStatus.SUCCEEDED for copy in found.copies)
    return {
        "finished": found.is_finished,
        "succeeded": found.is_finished and succeeded,
        "jobs": copies_by_application(found.copies),
    }


def copies_by_application(copies: Iterable[Copy]) -> dict[str, dict[str, Any]]:
    """Return copies as clients know them, each under its application."""
    return {short(copy.application): _copy(copy) for copy in copies}


def _copy(copy: Copy) -> dict[str, Any]:
    told = {
        "id": copy.job_id,
        "application": short(copy.application),
        "job": copy.job,
        "status": copy.status,
        "path": copy.path,
    }
    if copy.status == CopyStatus.SUCCEEDED:
        return told | {"bytes": copy.bytes}
    return told | {"reason": copy.reason}


def _action(action: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": action["name"],
        "type": action["type"],
        "status": action["status"],
        "external-id": action["external_id"],
        "external-child-ids": action["child_ids"],
        "external-status": action["external_status"],
        "error-code": action["error_code"],
        "error-message": action["error_message"],
        "started": action["started_at"],
        "ended": action["ended_at"],
    }


def _change(change: StateChange) -> dict[str, Any]:
    return {
        "sequence": change.sequence,
        "from": change.from_status,
        "to": change.to_status,
        "at": _instant(change.changed_at),
    }


def _instant(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="milliseconds") if instant else None
