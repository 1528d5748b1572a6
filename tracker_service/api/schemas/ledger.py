"""The parameters and answers of the calls about jobs that report themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.domain.ledger import HistoryRow, Status, StoredJob

MAX_JOBS = 10_000  #: on one page


class LedgerQuery(BaseModel):
    """Which ledger is meant."""

    model_config = ConfigDict(extra="forbid")

    ledger: str = Field("default", description="name of the ledger")


class LedgerJobsQuery(LedgerQuery):
    """Which jobs are listed."""

    state: str | None = Field(None, description="only jobs in this state")
    after: str | None = Field(None, description="id of the last job on the page before")
    limit: int = Field(1000, ge=1, le=MAX_JOBS, description="jobs on one page")


class LedgerJobPath(BaseModel):
    """Which job is meant."""

    job: str = Field(description="id of the job, with its slashes")


class LedgerJobAnswer(Schema):
    """A job that reports itself."""

    id: str
    experiment: str
    datatype: str
    date: str = Field(description="RFC 3339, in its own zone")
    state: str
    label: str = Field(description="the state; of a failed job also where it has failed")
    detail: str = Field(description="the last one that is not empty, of the last two states")
    error: str = Field(description="why it has failed; empty if it has not")
    started: Instant
    state_since: Instant
    updated: Instant = Field(description="when the detail was last set")
    heartbeat: Instant | None
    elapsed_s: int = Field(description="from the start to the last detail")
    updates: int
    run: int = Field(description="how often it was started again")

    @classmethod
    def of(cls, stored: StoredJob) -> Self:
        """Return a job as readers see it."""
        return cls(**_values(stored))


class LedgerJobAnswers(RootModel[list[LedgerJobAnswer]]):
    """The jobs of a ledger, those first that were started first."""


class HistoryAnswer(Schema):
    """A state that has begun, or a detail of it."""

    number: int
    run: int
    state: str
    at: Instant
    detail: str

    @classmethod
    def of(cls, row: HistoryRow) -> Self:
        """Return a row of a history."""
        return cls(number=row.number, run=row.run, state=row.state, at=row.at, detail=row.detail)


class WholeLedgerJobAnswer(LedgerJobAnswer):
    """A job with its whole history."""

    history: list[HistoryAnswer] = Field(description="over all its runs, the oldest first")
    left_out: int = Field(description="oldest rows of the history that are not kept")

    @classmethod
    def with_history(cls, stored: StoredJob, rows: Sequence[HistoryRow]) -> Self:
        """Return a job as readers see it."""
        history = [HistoryAnswer.of(row) for row in rows]
        return cls(**_values(stored), history=history, left_out=stored.status.rows - len(history))


def _values(stored: StoredJob) -> dict[str, Any]:
    job, status = stored.job, stored.status
    return {
        "id": stored.key,
        "experiment": job.experiment,
        "datatype": job.datatype,
        "date": job.date.isoformat(),
    } | _standing(status)


def _standing(status: Status) -> dict[str, Any]:
    return {
        "state": status.state,
        "label": status.label,
        "detail": status.detail,
        "error": status.error,
        "started": status.start_time,
        "state_since": status.state_change_time,
        "updated": status.detail_time,
        "heartbeat": status.heartbeat_time,
        "elapsed_s": int(status.elapsed.total_seconds()),
        "updates": status.update_count,
        "run": status.run,
    }
