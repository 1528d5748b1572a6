"""Why a job failed: the cause, and the lines that prove it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracker_service.domain.applications import ApplicationId


class Category(StrEnum):
    """The kind of failure."""

    MEMORY = "memory"
    MISSING_INPUT = "missing-input"
    PERMISSION = "permission"
    CLASS_OR_MODULE_MISSING = "class-or-module-missing"
    SYNTAX = "syntax"  #: of a script, a query, a workflow, or of arguments
    DISK_OR_QUOTA = "disk-or-quota"
    NETWORK = "network"
    TIMEOUT = "timeout"
    KILLED_BY_USER = "killed-by-user"
    PREEMPTED = "preempted"
    DEPENDENCY_SERVICE = "dependency-service"  #: a database, a metastore, HDFS itself
    APPLICATION_ERROR = "application-error"  #: the job's own code, or its data
    UNKNOWN = "unknown"


class Retryable(StrEnum):
    """Whether the job may succeed if it is simply run again."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Source(StrEnum):
    """Where a line comes from."""

    LOG = "log"
    OOZIE = "oozie"
    YARN = "yarn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One line that proves a cause, unchanged, and its place."""

    source: Source
    text: str  #: without the end of the line, shortened if it is very long
    action: str | None = None  #: name of the action in the workflow
    application: ApplicationId | None = None
    container: str | None = None
    file: str | None = None  #: `stderr`, `syslog` …
    line: int | None = None  #: in that file, from 1
    offset: int | None = None  #: of the line's first byte in the saved log of the application


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a run of a job failed, as far as messages and logs show."""

    category: Category
    summary: str  #: one sentence
    hint: str  #: what the user can do
    retryable: Retryable
    confidence: float  #: from 0 to 1
    rule: str  #: which rule decided, `unknown` if none did
    fingerprint: str  #: equal for failures of one family
    action: str | None  #: that failed
    error: str | None = None  #: deepest `Caused by`, or the last line of a traceback
    exit_code: int | None = None
    evidence: tuple[Quote, ...] = ()  #: up to five lines, the best proof first
    is_complete: bool  #: False while logs are missing, or if one could not be read
