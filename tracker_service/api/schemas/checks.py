"""The answers about checks of HTTP endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, Field

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.api.schemas.queries import Query
from tracker_service.store.checks import FoundFile, KeptRun, KnownCheck


class CheckPath(BaseModel):
    """Which check is meant."""

    name: str = Field(description="name of the check, with its slashes")


class ChecksQuery(Query):
    """Which checks."""

    after: str = Field("", description="only checks whose names come after this one")
    limit: int = Field(1000, ge=1, le=10_000, description="checks in one answer")


class RunsQuery(Query):
    """Which runs."""

    runs: int = Field(20, ge=0, le=1000, description="the last runs that are shown")


class CheckAnswer(Schema):
    """A check and its last run."""

    name: str
    url: str = Field(description="without the values of its query")
    cron: str
    tags: list[str]
    file: str = Field(description="where it stands; empty if the settings make it")
    state: str = Field(description="new, up or down")
    since: Instant
    last_run: Instant | None
    ok: bool | None = Field(description="whether the last run succeeded")
    status: int | None = Field(description="of HTTP")
    latency_ms: int | None
    phases: dict[str, float] | None = Field(description="milliseconds of the last run")
    error: str | None
    certificate_until: Instant | None

    @classmethod
    def of(cls, check: KnownCheck) -> Self:
        """Return a check as users see it."""
        return cls(**_facts(check))


def _facts(check: KnownCheck) -> dict[str, Any]:
    return {
        "name": check.name,
        "url": check.url,
        "cron": check.cron,
        "tags": list(check.tags),
        "file": check.file,
        "state": check.state,
        "since": check.since,
        "last_run": check.ran_at,
        "ok": check.is_ok,
        "status": check.status,
        "latency_ms": check.latency_ms,
        "phases": dict(check.phases) if check.phases else None,
        "error": check.error,
        "certificate_until": check.certificate_until,
    }


class CheckFileAnswer(Schema):
    """A file of checks."""

    name: str
    read: Instant | None
    checks: int
    repaired: bool = Field(description="in memory, as `tracker checks lint --fix` does")
    rule: str | None = Field(description="that it breaks; then its last good version stays")
    line: int | None
    message: str | None

    @classmethod
    def of(cls, file: FoundFile) -> Self:
        """Return a file as users see it."""
        return cls(
            name=file.name,
            read=file.read_at,
            checks=file.checks,
            repaired=file.was_repaired,
            rule=file.rule,
            line=file.line,
            message=file.message,
        )


class CheckAnswers(Schema):
    """Checks in the order of their names."""

    checks: list[CheckAnswer]
    files: list[CheckFileAnswer] = Field(description="with the checks of the first page")


class RunAnswer(Schema):
    """A run of a check."""

    due: Instant
    ran: Instant
    late_ms: int
    ok: bool
    maintenance: bool = Field(description="it changed no state and counts for no availability")
    status: int | None
    latency_ms: int
    phases: dict[str, float]
    values: dict[str, Any] | None = Field(description="of the answer")
    error: str | None
    worker: str

    @classmethod
    def of(cls, run: KeptRun) -> Self:
        """Return a run as users see it."""
        return cls(
            due=run.due_at,
            ran=run.ran_at,
            late_ms=run.late_ms,
            ok=run.is_ok,
            maintenance=run.in_maintenance,
            status=run.status,
            latency_ms=run.latency_ms,
            phases=dict(run.phases),
            values=dict(run.values) if run.values else None,
            error=run.error,
            worker=run.worker,
        )


class WholeCheckAnswer(CheckAnswer):
    """A check with its last runs and its availability."""

    availability: dict[str, float | None] = Field(description="by 1h, 24h, 7d, 30d; 0 to 1")
    runs: list[RunAnswer]

    @classmethod
    def whole(
        cls, check: KnownCheck, availability: dict[str, float | None], runs: Sequence[KeptRun]
    ) -> Self:
        """Return a check with its last runs."""
        return cls(
            **_facts(check), availability=availability, runs=[RunAnswer.of(run) for run in runs]
        )
