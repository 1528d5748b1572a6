"""Read, verify and remove saved logs: `/api/job/<id>/logs…`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import cast

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint
from werkzeug.exceptions import HTTPException

from tracker_service.api import log_answers, log_files, log_reading, openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.log_files import LogFilesAnswer
from tracker_service.api.named_jobs import named_job
from tracker_service.api.read_limits import ReadLimits
from tracker_service.api.schemas import queries
from tracker_service.api.schemas.copies import CopyStatusAnswer, RemovedAnswer
from tracker_service.archive.reading.live import Chosen, live_log
from tracker_service.archive.reading.opening import open_log, open_logs
from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.archive.removal import Removal
from tracker_service.archive.verification import Verification, Verifications
from tracker_service.audit import AuditedAction, AuditedPieces, audited, note
from tracker_service.domain.applications import ApplicationId, short
from tracker_service.domain.copies import Copy, one_per_application
from tracker_service.errors import AccessDenied, BadInput, LogNotSaved, TrackerError
from tracker_service.identities import Identities
from tracker_service.tracking.lookup import JobCopies, Lookup

_LOGS = openapi.answers({200: openapi.text("The logs, as `yarn logs` prints them.")}, 404)
_LOG = openapi.answers(
    {
        200: {
            "description": "The log, or what is chosen of it.",
            "content": {
                kind: {"schema": {"type": "string"}}
                for kind in ("text/plain", log_answers.JSON_LINES)
            },
        },
        206: openapi.text("The bytes that the header `Range` asks for."),
        414: openapi.text(
            "`seen` names more than fits into a URL of 8 KB.", "application/problem+json"
        ),
    },
    403,
    404,
    409,
    412,
    416,
    422,
    501,
)

SEEN_LEFT_OUT = "X-Seen-Left-Out"  #: header: what the query names with `seen` is not repeated
_LIVE = {"live", "container", "file", "seen"}  #: what can be sent with `live`
_READING = """\
Without parameters you get the whole log, or the bytes that the header `Range` names. A request for
several ranges is answered with the whole log.

`container` and `file` choose files. Each file follows a line `==> container/file <==`, unless you
give both parameters. `from` and `lines`, or `tail`, choose lines of these files. `grep` and `level`
search these lines; each line that they find comes with its whole stack trace.

The computing for one request has a limit, which only odd logs and patterns meet: then a last line,
or `stopped_at` and `reason` at the end of JSON, say at which byte of the log the answer ends. 422:
it is spent before the first byte is found.

`live=true` reads what the containers of a running application have written until now. To follow it,
send with `seen` what you have, such as `seen=container_…_000001/stderr:4096`: these bytes are left
out, and files without more; the header `X-Seen-Left-Out` says so. Only the user of the application
may (403). 409: it does not run. 501: this site's gateway does not lead to the NodeManagers.
"""


def blueprint(
    credentials: Credentials,
    lookup: Lookup,
    identities: Identities,
    removal: Removal,
    verifications: Verifications,
    *,
    limits: ReadLimits,
) -> APIBlueprint:
    """Return the calls that read and remove saved logs, with the caller's own rights in HDFS.

    Args:
        limits: how many logs are sent at once.
    """
    bp = openapi.blueprint("logs", "Saved logs of jobs.", "/api/job/<job_id>", credentials)

    @bp.get("/logs", responses=_LOGS)
    def logs(path: queries.JobPath, query: queries.LogsQuery) -> Response:
        """Read the saved logs of all applications of a job, or of some."""
        caller = current_caller()

        def several() -> Response:
            found = lookup.copies(caller, named_job(path, lookup))
            copies = _chosen(found, [ApplicationId(wanted) for wanted in query.id])
            what.job, what.applications = found.id, [copy.application for copy in copies]
            hdfs = identities.access(caller).hdfs
            return log_answers.several(open_logs(hdfs, copies, what.note_opened))

        what = _Reading(caller.name, path.job_id, query.id)
        return limits.sent(caller.name, partial(_audited, several, what))

    @bp.delete("/logs", responses=openapi.answers({200: RemovedAnswer}, 404, 409))
    def remove(path: queries.JobPath) -> Response:
        """Remove your saved logs of a job, and cancel copies that wait.

        Only files that the tracker wrote are removed. `copy-logs` saves the logs again, while the
        cluster has them. Repeating is harmless.
        """
        caller = current_caller()
        job_id = named_job(path, lookup)
        copies = _chosen(lookup.copies(caller, job_id), [])
        with audited(AuditedAction.REMOVE_LOG, caller.name, job=job_id):
            removed = removal.remove(identities.access(caller).hdfs, copies)
        return jsonify(RemovedAnswer(id=job_id, removed=removed).model_dump())

    @bp.get("/logs/status", responses=openapi.answers({200: CopyStatusAnswer}, 404))
    def status(path: queries.JobPath, query: queries.CopyStatusQuery) -> Response:
        """Show how far the copying is; with `verify`, also whether each saved log is intact.

        A long log is read back in the background: while `verifying` is true, ask again.
        """
        found = lookup.copies(current_caller(), named_job(path, lookup))
        verdicts = _verdicts(verifications, identities, found, query)
        return jsonify(CopyStatusAnswer.of(found, verdicts).model_dump())

    @bp.get("/logs/<application>", responses=_LOG, description=_READING)
    def log(path: queries.ApplicationPath, query: queries.LogQuery) -> Response:
        """Read the log of one application: all of it, a part, or what it writes now."""
        part = partial(_part, lookup, identities, path, query)
        user = current_caller().name
        what = _Reading(user, path.job_id, [path.application])
        return limits.sent(user, partial(_audited, part, what))

    @bp.get("/logs/<application>/files", responses=openapi.answers({200: LogFilesAnswer}, 404))
    def files(path: queries.ApplicationPath) -> Response:
        """List the files of containers in the saved log of one application."""

        def listed() -> Response:
            return log_files.answer(_opened(lookup, identities, path))

        user = current_caller().name
        what = _Reading(user, path.job_id, [path.application])
        return limits.sent(user, partial(_audited, listed, what))

    return bp


def _opened(lookup: Lookup, identities: Identities, path: queries.ApplicationPath) -> SavedLog:
    caller = current_caller()
    found = lookup.copies(caller, named_job(path, lookup))
    [copy] = _chosen(found, [ApplicationId(path.application)])
    return open_log(identities.access(caller).hdfs, copy)


def _part(
    lookup: Lookup, identities: Identities, path: queries.ApplicationPath, query: queries.LogQuery
) -> Response:
    if query.live:
        return _live(lookup, identities, path, query)
    return log_reading.answer(_opened(lookup, identities, path), query)


def _live(
    lookup: Lookup, identities: Identities, path: queries.ApplicationPath, query: queries.LogQuery
) -> Response:
    caller = current_caller()
    job_id = named_job(path, lookup)
    lookup.status(caller, job_id)  # raises if there is no such job
    application = ApplicationId(path.application)
    chosen = Chosen(query.container, query.file, dict(map(_seen, query.seen)))
    pieces = live_log(identities.access(caller), caller.name, application, chosen)
    if query.model_dump(exclude_defaults=True, exclude=_LIVE):
        pieces.close()
        raise BadInput("With live=true only container and file can be chosen: leave out the rest.")
    answer = log_answers.streamed(pieces, log_answers.TEXT)
    if query.seen:
        answer.headers[SEEN_LEFT_OUT] = "true"
    return answer


def _seen(part: str) -> tuple[tuple[str, str], int]:
    """Return container and file, and how many bytes of it the reader has."""
    name, _, length = part.rpartition(":")
    container, _, file = name.partition("/")
    return (container, file), int(length)


def _verdicts(
    verifications: Verifications,
    identities: Identities,
    found: JobCopies,
    query: queries.CopyStatusQuery,
) -> Mapping[str, Verification]:
    if not query.verify:
        return {}
    caller, wanted = current_caller(), [ApplicationId(each) for each in query.id]
    chosen = _chosen(found, wanted) if wanted else one_per_application(found.copies)
    reading = _Reading(caller.name, found.id, [copy.application for copy in chosen])
    try:
        verdicts = verifications.verdicts(identities.access(caller).hdfs, caller.name, chosen)
    except TrackerError:
        with reading.audited():
            raise
    for copy in chosen:
        if verdicts[copy.id].is_read:
            reading.note(copy, _result(verdicts[copy.id]))
    return verdicts


def _result(verdict: Verification) -> str:
    if verdict.is_pending:
        return "pending"
    return AccessDenied.__name__ if verdict.is_refused else "ok"


@dataclass(slots=True)
class _Reading:
    """What a caller wants to read."""

    user: str
    job: str
    applications: Sequence[str]  #: all of the job if none
    is_noted: bool = False  #: each application has a line of its own

    def note_opened(self, copy: Copy, error: Exception | None) -> None:
        """Write a line for one of several logs, as it is opened."""
        self.note(copy, type(error).__name__ if error else "ok")

    def note(self, copy: Copy, result: str) -> None:
        """Write a line for one application."""
        self.is_noted = True
        applications = [short(copy.application)]
        note(AuditedAction.READ_LOG, self.user, result, job=self.job, applications=applications)

    def audited(self) -> AbstractContextManager[None]:
        """Write a line with the result of the block."""
        named = list(map(short, self.applications))
        return audited(AuditedAction.READ_LOG, self.user, job=self.job, applications=named)


def _audited(answer: Callable[[], Response], reading: _Reading) -> Response:
    """Return an answer with a log; audit its first byte, or the refusal."""
    try:
        response = answer()
    except (TrackerError, HTTPException):
        with nullcontext() if reading.is_noted else reading.audited():
            raise
    if reading.is_noted:
        return response
    if response.is_streamed:
        pieces = cast(Iterable[bytes], response.response)
        response.response = AuditedPieces(pieces, reading.audited())
    else:
        with reading.audited():
            pass
    return response


def _chosen(found: JobCopies, wanted: Sequence[ApplicationId]) -> list[Copy]:
    """Return the copies of the wanted applications, or all.

    Raises:
        LogNotSaved: there is none, or one of the wanted is no known application of the job.
    """
    if not found.copies:
        raise LogNotSaved(f"No log is saved: {found.why_none}.")
    if not wanted:
        return one_per_application(found.copies)
    by_application = {copy.application: copy for copy in one_per_application(found.copies)}
    missing = [short(application) for application in wanted if application not in by_application]
    if missing:
        raise LogNotSaved(f"The job has no such application: {', '.join(missing)}.")
    return [by_application[application] for application in wanted]
