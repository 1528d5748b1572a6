"""Count jobs, tasks, copies and waiting work in the database, for metrics and health checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, Select, and_, case, func, select

from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.tasks import TaskState
from tracker_service.store import workers
from tracker_service.store.copies import UNFINISHED
from tracker_service.store.database import Connection, database_now
from tracker_service.store.jobsets import EVERY_KIND, WAITED_TOO_LONG_S, any_free, waiting
from tracker_service.store.tables import copies, jobs, jobsets, tasks
from tracker_service.store.workers import KnownWorker

_COMFORTABLE = 0.7  #: the share of its time for which a worker may be busy on average


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The numbers of jobs, tasks, copies and logs."""

    jobs: dict[str, int]  #: by state; includes jobs that nobody tracks any more
    tasks: dict[str, int]  #: by state
    copies: dict[str, int]  #: by status
    logs: dict[str, int]  #: `saved`, `at_risk` or `lost`
    oldest_at_risk: datetime | None  #: when the oldest log that is not saved yet was written
    saved_bytes: int
    due_copies: int  #: copies that wait for a check


def figures(connection: Connection) -> Figures:
    """Count jobs, tasks and copies."""
    return Figures(
        jobs=_count_by(connection, JobStatus, jobs.c.status),
        tasks=_count_by(connection, TaskState, tasks.c.state),
        copies=_count_by(connection, CopyStatus, copies.c.status),
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
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Whether the workers keep up with the tasks."""

    workers: int  #: living workers
    free_jobsets: int  #: jobsets with tasks that no worker holds
    waiting_tasks: int  #: tasks in free jobsets
    late_tasks: int  #: tasks that their workers check too late
    is_limit_hit: bool  #: no worker has room for more tasks
    workers_needed: int
    oldest_look: datetime | None  #: the earliest of the last checks of all watched jobs


def capacity(connection: Connection, worker_silence_s: float) -> Capacity:
    """Return whether the workers keep up.

    Args:
        worker_silence_s: a worker that was silent for longer counts as dead, in seconds.
    """
    known = workers.known(connection, worker_silence_s)
    alive = [worker for worker in known if worker.is_alive]
    late = sum(worker.late for worker in alive)
    free_jobsets, waiting_tasks = waiting(connection, EVERY_KIND)
    is_limit_hit = any_free(connection, EVERY_KIND, WAITED_TOO_LONG_S) or (
        len(alive) == 1 and late > 0
    )
    watched = (
        select(func.min(func.coalesce(jobsets.c.polled_at, tasks.c.created_at)))
        .join(tasks, tasks.c.jobset_id == jobsets.c.id)
        .where(tasks.c.state == TaskState.WATCHING)
    )
    return Capacity(
        workers=len(alive),
        free_jobsets=free_jobsets,
        waiting_tasks=waiting_tasks,
        late_tasks=late,
        is_limit_hit=is_limit_hit,
        workers_needed=_needed(alive, is_limit_hit=is_limit_hit),
        oldest_look=connection.scalar(watched),
    )


def _needed(alive: Sequence[KnownWorker], *, is_limit_hit: bool) -> int:
    """Return how many workers the load needs if each keeps some time in reserve."""
    by_load = math.ceil(sum(worker.busy for worker in alive) / _COMFORTABLE)
    return max(1, by_load, len(alive) + 1 if is_limit_hit else 0)


_IS_SAVED = copies.c.saved_at.is_not(None)
_AT_RISK = and_(~_IS_SAVED, copies.c.status.in_(UNFINISHED))


def _logs(connection: Connection) -> dict[str, int]:
    """Count the wanted logs: saved, at risk, or lost."""
    state = case((_IS_SAVED, "saved"), (_AT_RISK, "at_risk"), else_="lost")
    rows = connection.execute(select(state, func.count()).group_by(state))
    return {"saved": 0, "at_risk": 0, "lost": 0} | {word: count for word, count in rows}


def _count_by(connection: Connection, values: type[StrEnum], column: Column[str]) -> dict[str, int]:
    """Count the rows by the value in a column; a value that does not occur counts 0."""
    rows = connection.execute(select(column, func.count()).group_by(column))
    return dict.fromkeys(map(str, values), 0) | {value: count for value, count in rows}


def _count(connection: Connection, rows: Select[tuple[int]]) -> int:
    return connection.scalar(select(func.count()).select_from(rows.subquery())) or 0
