"""Select rows of copies, and make the objects of the domain from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Select, case, func, select

from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.copies import (
    Contents,
    Copy,
    CopyReason,
    CopyStatus,
    Strategy,
    WrittenLog,
)
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.store.tables import copies, jobs, tasks, track_tasks

_ENDED = [status for status in JobStatus if status.is_terminal]


def every_copy() -> Select[Any]:
    """Return the statement that selects all copies with the columns that `copy_of` needs."""
    return (
        select(
            copies,
            tasks.c.owner,
            jobs.c.external_id,
            jobs.c.owner.label("job_user"),
            case(
                (jobs.c.status.in_(_ENDED), func.coalesce(jobs.c.ended_at, copies.c.created_at))
            ).label("job_ended_at"),
            tasks.c.jobset_id,
        )
        .join(tasks, tasks.c.id == copies.c.task_id)
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
    )


def copy_of(row: Row[Any]) -> Copy:
    """Return the copy in a row of `every_copy`."""
    return Copy(
        id=row.id,
        task_id=row.task_id,
        owner=row.owner,
        job_id=JobId(row.external_id),
        job_user=row.job_user,
        job_ended_at=row.job_ended_at,
        run=row.run,
        application=ApplicationId(row.application_id),
        status=CopyStatus(row.status),
        strategy=Strategy(row.strategy),
        strategy_reason=row.strategy_reason,
        job=row.job,
        path=row.path,
        bytes=row.bytes,
        attempt=row.attempt,
        failures=row.failures,
        reason_code=CopyReason(row.reason_code) if row.reason_code else None,
        reason=row.reason,
        created_at=row.created_at,
        started_at=row.started_at,
        saved_at=row.saved_at,
        ended_at=row.ended_at,
        log_at=row.log_at,
        sha256=row.sha256,
        contents=_contents(row.contents),
        gap=row.gap,
        part=_part(row.part),
        diagnostics=row.diagnostics,
    )


def _part(kept: Mapping[str, Any] | None) -> WrittenLog | None:
    if kept is None:
        return None
    return WrittenLog(kept["length"], kept["sha256"], _contents(kept["contents"]) or Contents())


def _contents(kept: Mapping[str, Any] | None) -> Contents | None:
    if kept is None:
        return None
    lists = {name: tuple(value) for name, value in kept.items() if isinstance(value, list)}
    return Contents(**{**kept, **lists})
