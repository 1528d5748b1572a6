"""Copies of logs: their states, their contents, their paths in HDFS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.jobs import JobId


class CopyStatus(StrEnum):
    """The state of the copy of one application's log."""

    WAITING = "WAITING"  #: log not aggregated yet, or queued, or before another try; -> RUNNING
    RUNNING = "RUNNING"  #: -> SUCCEEDED | WAITING | FAILED | KILLED
    SUCCEEDED = "SUCCEEDED"  #: the whole log is in HDFS under its name
    FAILED = "FAILED"  #: all tries are used up
    KILLED = "KILLED"  #: somebody killed the copy
    UNKNOWN = "UNKNOWN"  #: the cluster does not say

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be done for this copy."""
        return self in (CopyStatus.SUCCEEDED, CopyStatus.FAILED, CopyStatus.KILLED)


class Strategy(StrEnum):
    """How a log is copied."""

    AUTO = "auto"  #: not decided yet: directly if possible, otherwise by a workflow
    DIRECT = "direct"  #: the tracker reads the aggregated files itself
    WORKFLOW = "workflow"  #: an Oozie workflow runs `yarn logs` on the cluster


class CopyPolicy(StrEnum):
    """Which logs a user wants."""

    OF_FAILURES = "of failures"  #: of jobs that end without success
    ALWAYS = "always"  #: of all jobs, however they end; ended copies are not repeated
    ALL = "all"  #: of all jobs, in any state; failed copies are repeated
    ALL_AGAIN = "all again"  #: of all jobs, in any state; saved logs are copied again too


class CopyReason(StrEnum):
    """Why a copy waits or was not made, as far as something depends on it."""

    STOPPED_BY_TRACKER = "stopped-by-tracker"  #: the tracker stops the workflow of the running try
    NO_USER_SLOT = "no-user-slot"  #: the user has as many copy workflows as a user may have
    NO_GATEWAY_SLOT = "no-gateway-slot"  #: as many copy workflows run as may at all
    NO_STREAM = "no-stream"  #: as many logs pass through the worker as may
    NOT_TRACKED = "not-tracked"  #: its user stopped tracking the job before the copy had begun
    REMOVED = "removed"  #: its user removed the logs
    EXPIRED = "expired"  #: the saved log was older than `copying.keep_copies_h`


#: Nobody misses the log of a copy with one of these.
NOT_WANTED = frozenset({CopyReason.NOT_TRACKED, CopyReason.REMOVED, CopyReason.EXPIRED})


class Completeness(StrEnum):
    """How much of a log is saved."""

    COMPLETE = "COMPLETE"
    PARTIAL = "PARTIAL"  #: part of it was lost before it could be saved
    LOST = "LOST"  #: there is no log, and there will be none


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The contents and the sources of a saved log."""

    containers: int | None = None  #: None if they were not counted
    logs: int | None = None  #: log files of containers
    #: how many secrets were hidden, by the names of their patterns; None if nothing looked for them
    redacted: Mapping[str, int] | None = None
    sources: tuple[str, ...] = ()  #: paths of the aggregated files
    gaps: tuple[str, ...] = ()  #: known missing parts; empty if the log is complete
    findings: Any = None  #: JSON: lines that may show why the job failed; None if not scanned


@dataclass(frozen=True, slots=True)
class WrittenLog:
    """A log that was written to its end."""

    length: int  #: in bytes
    sha256: str | None  #: in hexadecimal; None if it could not be read back
    contents: Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The log of one application for one user, saved or still to be saved."""

    id: str
    task_id: int
    owner: str  #: the user who asked
    job_id: JobId
    job_user: str | None  #: the user who owns the job in the cluster
    job_ended_at: datetime | None = None  #: as far as known; None if the job goes on
    run: int = 0  #: of the job
    application: ApplicationId
    status: CopyStatus
    strategy: Strategy
    strategy_reason: str | None = None  #: why this way
    job: str | None  #: id of the copy job: the workflow's, of a direct copy its own
    path: str  #: of the log in HDFS, once it is saved
    bytes: int | None
    attempt: int  #: number of the try that runs or ran last
    failures: int  #: tries that failed; an outage of the cluster is none
    reason_code: CopyReason | None = None  #: of the reason, if something depends on it
    reason: str | None  #: why the status is not SUCCEEDED
    created_at: datetime
    started_at: datetime | None  #: of the try that runs or ran last
    saved_at: datetime | None = None  #: when the log at the path was saved
    ended_at: datetime | None = None
    log_at: (
        datetime  #: when the log was written, as far as known; the retention time counts from here
    )
    sha256: str | None = None  #: of the saved log
    contents: Contents | None = None  #: of the saved log
    gap: str | None = None  #: what the running try will miss
    part: WrittenLog | None = None  #: the log of the running try, once it is complete
    diagnostics: str | None = None  #: what YARN says of the application

    @property
    def directory(self) -> str:
        """Return the directory of the log."""
        return self.path.rpartition("/")[0]

    @property
    def job_directory(self) -> str:
        """Return the directory of the logs of its job; those of earlier runs are below it."""
        return f"{self.path.partition(f'/{self.job_id}/')[0]}/{self.job_id}"

    @property
    def run_directory(self) -> str:
        """Return the directory of the logs of its run, once a later run has saved logs."""
        return f"{self.job_directory}/run-{self.run}"

    @property
    def working_directory(self) -> str:
        """Return the directory of the copy while it is in progress."""
        return working_directory(self.job_directory.rpartition("/")[0], self.id)

    @property
    def file_name(self) -> str:
        """Return the name of the log in its directory."""
        return self.path.rpartition("/")[2]

    @property
    def has_workflow(self) -> bool:
        """Tell whether a workflow copies the log now."""
        return self.status == CopyStatus.RUNNING and self.strategy == Strategy.WORKFLOW

    @property
    def completeness(self) -> Completeness | None:
        """Return how much of the log is saved; None while that is open."""
        if self.saved_at:
            has_gaps = self.contents is not None and self.contents.gaps
            return Completeness.PARTIAL if has_gaps else Completeness.COMPLETE
        return Completeness.LOST if self.status.is_finished else None


def one_per_application(copies: Sequence[Copy]) -> list[Copy]:
    """Return one copy of each application: the newest saved one, or the newest if none is saved."""
    ordered = sorted(copies, key=lambda copy: (copy.saved_at is not None, copy.run))
    chosen = {copy.application: copy.id for copy in ordered}
    return [copy for copy in copies if chosen[copy.application] == copy.id]


#: Where logs are saved, unless a site sets another place.
LOGS = "{home}/WORK/logs"


def log_path(owner: str, job_id: str, application: str) -> str:
    """Return the usual HDFS path of the log of one application.

    It holds until a worker has asked HDFS where the home of the owner is.
    """
    return f"{LOGS.format(home=f'/user/{owner}')}/{job_id}/{application}.log"


def part_path(copy: Copy) -> str:
    """Return where the running try writes the log: no two tries share a file."""
    return f"{copy.path}.part-{copy.id}-{copy.attempt}"


def aside_path(path: str) -> str:
    """Return where a file is while another takes its name, on a server that cannot replace it."""
    return f"{path}.replaced"


def is_part(name: str, copy: Copy) -> bool:
    """Tell whether some try of a copy wrote the file of this name."""
    return name.startswith(f"{copy.file_name}.part-{copy.id}-")


def working_directory(logs: str, name: str) -> str:
    """Return an HDFS directory for work in progress below a user's directory of logs."""
    return f"{logs}/.tracker/{name}"


#: How the tracker says that it has killed the workflow of a copy.
STOPPED_BY_US = "the tracker stopped the copy workflow"

_COPY_JOB_NAME = re.compile(r"tracker-copy-[0-9a-f]{16}-[0-9]+")


def copy_job_name(copy: Copy) -> str:
    """Return the name of the Oozie workflow of the try that runs now."""
    return f"tracker-copy-{copy.id}-{copy.attempt}"


def is_copy_job_name(name: str | None) -> bool:
    """Tell whether an Oozie workflow of this name is a copy workflow of a tracker."""
    return _COPY_JOB_NAME.fullmatch(name or "") is not None
