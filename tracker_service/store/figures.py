"""Count what lies in the database, for those who watch over the service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, Select, and_, case, func, select

from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.tasks import CopyStatus, TaskState
from tracker_service.store.copies import UNFINISHED
from tracker_service.store.engine import Connection, database_now
from tracker_service.store.jobsets import living_workers
from tracker_service.store.tables import copies, jobs, jobsets, tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What there is to count."""

    jobs: dict[str, int]  #: by state; jobs that nobody tracks any more included
    tasks: dict[str, int]  #: by state
    copies: dict[str, int]  #: by status
    logs: dict[str, int]  #: `saved`, `at_risk` or `lost`
    oldest_at_risk: datetime | None  #: when the log was written that the cluster deletes first
    saved_bytes: int
    due_copies: int  #: that wait for a look
    free_jobsets: int  #: with tasks, held by no worker
    workers: int  #: that gave a sign of life lately
    oldest_look: datetime | None  #: of the watched job that has been looked at longest ago


def figures(connection: Connection, worker_silence_s: float) -> Figures:
    """Count everything.

    Args:
        worker_silence_s: a worker that was silent for longer does not count.
    """
    watched = (
        select(func.min(func.coalesce(jobsets.c.polled_at, tasks.c.created_at)))
        .join(tasks, tasks.c.jobset_id == jobsets.c.id)
        .where(tasks.c.state == TaskState.WATCHING)
    )
    return Figures(
        jobs=_by_word(connection, JobStatus, jobs.c.status),
        tasks=_by_word(connection, TaskState, tasks.c.state),
        copies=_by_word(connection, CopyStatus, copies.c.status),
        logs=_logs(connection),
        oldest_at_risk=connection.scalar(select(func.min(copies.c.log_at)).where(_AT_RISK)),
        saved_bytes=connection.scalar(
            select(func.sum(copies.c.bytes)).where(copies.c.saved_at.is_not(None))
        )
        or 0,
        due_copies=_count(
            connection,
            select(copies.c.id)
            .where(copies.c.status.in_(UNFINISHED))
            .where(copies.c.due_at <= database_now()),
        ),
        free_jobsets=_count(
            connection,
            select(jobsets.c.id)
            .where(jobsets.c.size > 0)
            .where(jobsets.c.lease_until < database_now()),
        ),
        workers=living_workers(connection, worker_silence_s),
        oldest_look=connection.scalar(watched),
    )


_IS_SAVED = copies.c.saved_at.is_not(None)
_AT_RISK = and_(~_IS_SAVED, copies.c.status.in_(UNFINISHED))


def _logs(connection: Connection) -> dict[str, int]:
    """Count the logs that are wanted, by what has become of them."""
    state = case((_IS_SAVED, "saved"), (_AT_RISK, "at_risk"), else_="lost")
    rows = connection.execute(select(state, func.count()).group_by(state))
    return {"saved": 0, "at_risk": 0, "lost": 0} | {word: count for word, count in rows}


def _by_word(connection: Connection, words: type[StrEnum], column: Column[str]) -> dict[str, int]:
    """Count the rows with each word in a column; words that do not occur count nothing."""
    rows = connection.execute(select(column, func.count()).group_by(column))
    return dict.fromkeys(map(str, words), 0) | {word: count for word, count in rows}


def _count(connection: Connection, rows: Select[tuple[int]]) -> int:
    return connection.scalar(select(func.count()).select_from(rows.subquery())) or 0
