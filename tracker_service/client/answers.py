"""The answers of the service as values, each with the JSON that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to one posted id."""

    id: str
    status: str  #: Oozie's word, UNKNOWN where Oozie could not be asked, or NOT_FOUND
    applications: tuple[str, ...] = ()
    note: str | None = None  #: what the posted id means, if it is that of an action
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCopy:
    """The log of one application, saved or still to be saved."""

    application: str  #: without `application_`
    status: str  #: WAITING, RUNNING, SUCCEEDED, FAILED, KILLED or UNKNOWN
    job: str | None = None  #: Oozie id of the workflow that copies
    path: str | None = None  #: in HDFS
    bytes: int | None = None
    reason: str | None = None  #: why it is not saved
    completeness: str | None = None  #: COMPLETE, PARTIAL or LOST; None while that is open
    sha256: str | None = None  #: of the saved log
    verified: bool | None = None  #: None: not asked for, or no checksum is kept
    verdict: str | None = None  #: `intact`, what differs, or why nothing is verified
    verifying: bool = False  #: it is being read back: ask again for the verdict
    deleted_at: str | None = None  #: when the cluster deletes its log, if that is not saved

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be done for this copy."""
        return self.status in ("SUCCEEDED", "FAILED", "KILLED")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAction:
    """One action of a workflow."""

    name: str
    type: str
    status: str
    external_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    ended: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A line that proves why a job failed, and where it stands."""

    source: str  #: log, oozie or yarn
    text: str
    action: str | None = None
    application: str | None = None  #: without `application_`
    container: str | None = None
    file: str | None = None
    line: int | None = None  #: in that file, from 1
    offset: int | None = None  #: of its first byte in the saved log


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCause:
    """Why a run of a job failed."""

    id: str  #: of the job
    run: int
    category: str  #: memory, missing-input, permission …
    summary: str  #: one sentence
    hint: str  #: what you can do
    retryable: str  #: yes, no or unknown
    confidence: float  #: from 0 to 1
    fingerprint: str  #: the same for failures of one family
    action: str | None = None  #: that failed
    error: str | None = None
    exit_code: int | None = None
    evidence: tuple[Evidence, ...] = ()  #: the first proves it best
    is_complete: bool = True  #: False while logs are still to come, or if some were not readable
    other_jobs: int = 0  #: with the same failure, of those that you may see
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Failures with the same cause, of those that you may see."""

    fingerprint: str
    category: str
    summary: str
    count: int  #: jobs
    first_seen: str  #: RFC 3339
    last_seen: str
    jobs: tuple[str, ...] = ()  #: the newest first; of a large family not all
    users: tuple[str, ...] = ()
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the caller sees it; in the list of tracked jobs, some fields are missing."""

    id: str
    status: str
    name: str | None = None
    user: str | None = None  #: who submitted it
    owner: str | None = None  #: who tracks it; in lists only
    started: str | None = None  #: RFC 3339, like all times here
    ended: str | None = None
    is_tracked: bool = True
    reason: str | None = None  #: why the tracking does not go on
    applications: tuple[str, ...] = ()
    copies: tuple[LogCopy, ...] = ()
    logs: str | None = None  #: saved, at risk until …, partly lost, lost; None: none is wanted
    cause: JobCause | None = None  #: why it failed, where something tells
    actions: tuple[JobAction, ...] = ()
    raw: JsonObject = field(repr=False, compare=False)  #: the answer as it came


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProgress:
    """How far the copying of logs is."""

    is_finished: bool
    has_succeeded: bool
    copies: tuple[LogCopy, ...] = ()
    not_found: tuple[str, ...] = ()  #: ids that Oozie does not know
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OozieJob:
    """A job in Oozie's own list."""

    id: str
    status: str
    name: str | None = None
    user: str | None = None
    started: str | None = None  #: as Oozie writes it
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OozieJobs:
    """One page of Oozie's own list of jobs."""

    total: int
    jobs: tuple[OozieJob, ...]
    raw: JsonObject = field(repr=False, compare=False)


def answered(body: JsonObject) -> Answered:
    """Return the answer to one posted id."""
    ids = tuple(body.get("applications-ids") or ())
    return Answered(
        id=body["id"],
        status=body["status"],
        applications=ids,
        note=body.get("message"),
        raw=body,
    )


def _copy(body: JsonObject) -> LogCopy:
    return LogCopy(
        application=body["application"],
        status=body["status"],
        job=body.get("job"),
        path=body.get("path"),
        bytes=body.get("bytes"),
        reason=body.get("reason"),
        completeness=body.get("completeness"),
        sha256=body.get("sha256"),
        verified=body.get("verified"),
        verifying=body.get("verifying", False),
        verdict=body.get("verdict"),
        deleted_at=body.get("deleted-at"),
    )


def _copies(body: Mapping[str, JsonObject] | Sequence[JsonObject]) -> tuple[LogCopy, ...]:
    """Return copies from a list, or from an object with one for each application."""
    return tuple(_copy(copy) for copy in (body.values() if isinstance(body, Mapping) else body))


def progress(body: JsonObject) -> CopyProgress:
    """Return how far copying is."""
    return CopyProgress(
        is_finished=body["finished"],
        has_succeeded=body["succeeded"],
        copies=_copies(body["jobs"]),
        not_found=tuple(body.get("not-found", ())),
        raw=body,
    )


def _action(body: JsonObject) -> JobAction:
    return JobAction(
        name=body["name"],
        type=body["type"],
        status=body["status"],
        external_id=body.get("external-id"),
        error_code=body.get("error-code"),
        error_message=body.get("error-message"),
        ended=body.get("ended"),
    )


def cause(body: JsonObject) -> JobCause:
    """Return why a job failed."""
    return JobCause(
        id=body["id"],
        run=body["run"],
        category=body["category"],
        summary=body["summary"],
        hint=body["hint"],
        retryable=body["retryable"],
        confidence=float(body["confidence"]),
        fingerprint=body["fingerprint"],
        action=body["action"],
        error=body["error"],
        exit_code=body["exit-code"],
        evidence=tuple(_evidence(line) for line in body["evidence"]),
        is_complete=body["complete"],
        other_jobs=body["also-hit"]["jobs"] if body["also-hit"] else 0,
        raw=body,
    )


def _evidence(body: JsonObject) -> Evidence:
    return Evidence(
        source=body["source"],
        text=body["text"],
        action=body["action"],
        application=body["application"],
        container=body["container"],
        file=body["file"],
        line=body["line"],
        offset=body["offset"],
    )


def family(body: JsonObject) -> Family:
    """Return failures with the same cause."""
    return Family(
        fingerprint=body["fingerprint"],
        category=body["category"],
        summary=body["summary"],
        count=body["count"],
        first_seen=body["first-seen"],
        last_seen=body["last-seen"],
        jobs=tuple(body["jobs"]),
        users=tuple(body["users"]),
        raw=body,
    )


def job(body: JsonObject) -> Job:
    """Return a job, from its own answer or from a list."""
    copies = body.get("log-jobs", body.get("applications", {}))
    return Job(
        id=body["id"],
        status=body["status"],
        name=body.get("name"),
        user=body.get("user"),
        owner=body.get("owner"),
        started=body.get("started"),
        ended=body.get("ended"),
        is_tracked=body.get("tracked", True),
        reason=body.get("reason"),
        applications=tuple(body.get("application-ids", ())),
        copies=_copies(copies),
        logs=body.get("logs"),
        cause=cause(body["cause"]) if body.get("cause") else None,
        actions=tuple(_action(action) for action in body.get("actions", ())),
        raw=body,
    )


def oozie_jobs(body: JsonObject) -> OozieJobs:
    """Return a page of Oozie's own list."""
    kinds = ("workflows", "coordinatorjobs", "bundlejobs")
    listed = [job for kind in kinds for job in body.get(kind) or ()]
    return OozieJobs(
        total=int(body["total"]), jobs=tuple(_oozie_job(job) for job in listed), raw=body
    )


def _oozie_job(body: JsonObject) -> OozieJob:
    for kind in ("", "coordJob", "bundleJob"):
        id_key, name_key = (f"{kind}Id", f"{kind}Name") if kind else ("id", "appName")
        if body.get(id_key):
            return OozieJob(
                id=body[id_key],
                status=body["status"],
                name=body.get(name_key),
                user=body.get("user"),
                started=body.get("startTime"),
                raw=body,
            )
    raise KeyError("id")
