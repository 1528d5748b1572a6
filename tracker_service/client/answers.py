"""What the service answers, as values; each keeps the JSON that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the service says to one id that it shall track."""

    id: str
    status: str  #: Oozie's word, UNKNOWN where Oozie could not be asked, or NOT_FOUND
    applications: tuple[str, ...] = ()
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCopy:
    """The saved, or yet to be saved, log of one application."""

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
    """A job as the service tells it to its caller; the list of tracked jobs has fewer facts."""

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


def answered(told: JsonObject) -> Answered:
    """Return the answer to one posted id."""
    ids = tuple(told.get("applications-ids") or ())
    return Answered(id=told["id"], status=told["status"], applications=ids, raw=told)


def _copy(told: JsonObject) -> LogCopy:
    return LogCopy(
        application=told["application"],
        status=told["status"],
        job=told.get("job"),
        path=told.get("path"),
        bytes=told.get("bytes"),
        reason=told.get("reason"),
        completeness=told.get("completeness"),
        sha256=told.get("sha256"),
        verified=told.get("verified"),
        verdict=told.get("verdict"),
        deleted_at=told.get("deleted-at"),
    )


def _copies(told: Mapping[str, JsonObject] | Sequence[JsonObject]) -> tuple[LogCopy, ...]:
    """Return copies that come as a list, or each under its application."""
    return tuple(_copy(each) for each in (told.values() if isinstance(told, Mapping) else told))


def progress(told: JsonObject) -> CopyProgress:
    """Return how far copying is."""
    return CopyProgress(
        is_finished=told["finished"],
        has_succeeded=told["succeeded"],
        copies=_copies(told["jobs"]),
        not_found=tuple(told.get("not-found", ())),
        raw=told,
    )


def _action(told: JsonObject) -> JobAction:
    return JobAction(
        name=told["name"],
        type=told["type"],
        status=told["status"],
        external_id=told.get("external-id"),
        error_code=told.get("error-code"),
        error_message=told.get("error-message"),
        ended=told.get("ended"),
    )


def cause(told: JsonObject) -> JobCause:
    """Return why a job failed."""
    return JobCause(
        id=told["id"],
        run=told["run"],
        category=told["category"],
        summary=told["summary"],
        hint=told["hint"],
        retryable=told["retryable"],
        confidence=float(told["confidence"]),
        fingerprint=told["fingerprint"],
        action=told["action"],
        error=told["error"],
        exit_code=told["exit-code"],
        evidence=tuple(_evidence(each) for each in told["evidence"]),
        is_complete=told["complete"],
        other_jobs=told["also-hit"]["jobs"] if told["also-hit"] else 0,
        raw=told,
    )


def _evidence(told: JsonObject) -> Evidence:
    return Evidence(
        source=told["source"],
        text=told["text"],
        action=told["action"],
        application=told["application"],
        container=told["container"],
        file=told["file"],
        line=told["line"],
        offset=told["offset"],
    )


def family(told: JsonObject) -> Family:
    """Return failures with the same cause."""
    return Family(
        fingerprint=told["fingerprint"],
        category=told["category"],
        summary=told["summary"],
        count=told["count"],
        first_seen=told["first-seen"],
        last_seen=told["last-seen"],
        jobs=tuple(told["jobs"]),
        users=tuple(told["users"]),
        raw=told,
    )


def job(told: JsonObject) -> Job:
    """Return a job, told at length or in a list."""
    copies = told.get("log-jobs", told.get("applications", {}))
    return Job(
        id=told["id"],
        status=told["status"],
        name=told.get("name"),
        user=told.get("user"),
        owner=told.get("owner"),
        started=told.get("started"),
        ended=told.get("ended"),
        is_tracked=told.get("tracked", True),
        reason=told.get("reason"),
        applications=tuple(told.get("application-ids", ())),
        copies=_copies(copies),
        logs=told.get("logs"),
        cause=cause(told["cause"]) if told.get("cause") else None,
        actions=tuple(_action(each) for each in told.get("actions", ())),
        raw=told,
    )


def oozie_jobs(told: JsonObject) -> OozieJobs:
    """Return a page of Oozie's own list."""
    kinds = ("workflows", "coordinatorjobs", "bundlejobs")
    listed = [each for kind in kinds for each in told.get(kind) or ()]
    return OozieJobs(
        total=int(told["total"]), jobs=tuple(_oozie_job(each) for each in listed), raw=told
    )


def _oozie_job(told: JsonObject) -> OozieJob:
    for kind in ("", "coordJob", "bundleJob"):
        id_key, name_key = (f"{kind}Id", f"{kind}Name") if kind else ("id", "appName")
        if told.get(id_key):
            return OozieJob(
                id=told[id_key],
                status=told["status"],
                name=told.get(name_key),
                user=told.get("user"),
                started=told.get("startTime"),
                raw=told,
            )
    raise KeyError("id")
