"""Keep the causes of failures, one for each user and run, and read the evidence for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, func, insert, select, update

from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.causes import Category, Cause, Quote, Retryable, Source
from tracker_service.domain.failures import Witness
from tracker_service.domain.jobs import OOZIE, JobId
from tracker_service.store.database import Connection
from tracker_service.store.tables import applications, causes, copies, jobs, tasks
from tracker_service.store.texts import storable

_LONGEST_FINGERPRINT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCause:
    """Why a run failed, as concluded for one user."""

    job_id: JobId
    run: int
    cause: Cause
    failed_at: datetime  #: when the job ended; when the cause was decided, if that is unknown
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """How many other jobs failed for the same cause, and when."""

    jobs: int
    first_at: datetime
    last_at: datetime


def keep(connection: Connection, task_id: int, job_key: int, cause: Cause, now: datetime) -> None:
    """Keep why a run failed, for the user of a task; an earlier cause of the run is replaced.

    Args:
        job_key: the row of the job and run.
    """
    ended_at = connection.scalar(select(jobs.c.ended_at).where(jobs.c.id == job_key))
    values = {
        "fingerprint": cause.fingerprint[:_LONGEST_FINGERPRINT],
        "category": cause.category,
        "summary": storable(cause.summary),
        "card": storable(asdict(cause)),
        "failed_at": ended_at or now,
        "decided_at": now,
    }
    # The caller holds the lease on the task's jobset, so nobody else writes this row.
    changed = connection.execute(update(causes).where(*_of(task_id, job_key)).values(**values))
    if not changed.rowcount:
        connection.execute(insert(causes).values(task_id=task_id, job_id=job_key, **values))


def _of(task_id: int, job_key: int) -> tuple[Any, Any]:
    return causes.c.task_id == task_id, causes.c.job_id == job_key


def is_kept(connection: Connection, task_id: int, job_key: int) -> bool:
    """Tell whether a cause of a run's failure is kept for the user of a task."""
    found = select(causes.c.id).where(*_of(task_id, job_key))
    return connection.scalar(found) is not None


def find(connection: Connection, job_id: JobId, owner: str | None) -> KeptCause | None:
    """Return the cause of a job's newest run that has one.

    Args:
        owner: the user for whom it was concluded; None for any user.
    """
    newest = (
        select(causes, jobs.c.external_id, jobs.c.run)
        .join(jobs, jobs.c.id == causes.c.job_id)
        .join(tasks, tasks.c.id == causes.c.task_id)
        .where(jobs.c.kind == OOZIE, jobs.c.external_id == job_id)
        .order_by(jobs.c.run.desc(), causes.c.decided_at.desc(), causes.c.id)
        .limit(1)
    )
    if owner is not None:
        newest = newest.where(tasks.c.owner == owner)
    row = connection.execute(newest).first()
    return _kept(row) if row else None


def _kept(row: Row[Any]) -> KeptCause:
    return KeptCause(
        job_id=JobId(row.external_id),
        run=row.run,
        cause=_cause(row.card),
        failed_at=row.failed_at,
        decided_at=row.decided_at,
    )


def _cause(card: Mapping[str, Any]) -> Cause:
    words = {"category": Category(card["category"]), "retryable": Retryable(card["retryable"])}
    quotes = [Quote(**{**line, "source": Source(line["source"])}) for line in card["evidence"]]
    return Cause(**{**card, **words, "evidence": tuple(quotes)})


def count_others(
    connection: Connection,
    fingerprint: str,
    but: JobId,
    owner: str | None,
    since: datetime,
) -> Others | None:
    """Count the other jobs that failed for the same cause since an instant.

    Args:
        but: the job that is left out.
        owner: the user whose jobs are counted; None for all users.
    """
    same = (
        select(
            func.count(jobs.c.external_id.distinct()).label("number"),
            func.min(causes.c.failed_at).label("first_at"),
            func.max(causes.c.failed_at).label("last_at"),
        )
        .join(jobs, jobs.c.id == causes.c.job_id)
        .join(tasks, tasks.c.id == causes.c.task_id)
        .where(causes.c.fingerprint == fingerprint[:_LONGEST_FINGERPRINT])
        .where(causes.c.failed_at >= since, jobs.c.external_id != but)
    )
    if owner is not None:
        same = same.where(tasks.c.owner == owner)
    row = connection.execute(same).one()
    if not row.number:
        return None
    return Others(jobs=row.number, first_at=row.first_at, last_at=row.last_at)


def witnesses(connection: Connection, task_id: int | None, job_key: int) -> list[Witness]:
    """Return the applications of a run with YARN's diagnostics and the findings in their logs.

    Args:
        task_id: the task whose copies have the findings; None if nobody tracks the run.
    """
    rows = connection.execute(
        select(
            applications.c.application_id,
            applications.c.action,
            applications.c.workflow_id,
            applications.c.role,
            copies.c.diagnostics,
            copies.c.contents,
            copies.c.saved_at,
        )
        .outerjoin(
            copies,
            and_(
                copies.c.application_id == applications.c.application_id,
                copies.c.task_id == task_id,
            ),
        )
        .where(applications.c.job_id == job_key)
        .order_by(applications.c.id)
    )
    return [
        Witness(
            application=ApplicationId(row.application_id),
            action=row.action,
            workflow_id=row.workflow_id,
            role=row.role,
            diagnostics=row.diagnostics,
            findings=(row.contents or {}).get("findings"),
            is_saved=row.saved_at is not None and not (row.contents or {}).get("gaps"),
        )
        for row in rows
    ]
