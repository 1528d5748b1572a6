"""Count jobs, tasks, copies and waiting work in the database, for metrics and health checks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BindParameter, Row, and_, bindparam, case, func, select

from tracker_service.domain.chunks import chunks
from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.subscriptions import UNSENT, DeliveryState
from tracker_service.domain.tasks import TaskState
from tracker_service.store import workers
from tracker_service.store.copies import UNFINISHED
from tracker_service.store.database import Connection, database_now
from tracker_service.store.jobsets import EVERY_KIND, WAITED_TOO_LONG_S, any_free, waiting
from tracker_service.store.tables import copies, deliveries, jobs, jobsets, tasks, track_tasks
from tracker_service.store.tasks import IS_LIVE, live_or_ended_since
from tracker_service.store.workers import KnownWorker

_NOT_DELIVERED = (*UNSENT, DeliveryState.DEAD)
_COMFORTABLE = 0.7  #: the share of its time for which a worker may be busy on average


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The numbers of jobs, tasks, copies and logs: of those that are live or have ended lately.

    What ended earlier is not counted, so that the cost does not grow with what is stored.
    """

    jobs: dict[str, int]  #: by state; of live tasks and of those that ended lately
    tasks: dict[str, int]  #: by state
    copies: dict[str, int]  #: by status
    logs: dict[str, int]  #: `saved`, `at_risk` or `lost`
    oldest_at_risk: datetime | None  #: when the oldest log that is not saved yet was written
    saved_bytes: int
    due_copies: int  #: copies that wait for a check
    deliveries: dict[str, int]  #: of events, by state: what is still to be sent, or was given up


def figures(connection: Connection, since: datetime) -> Figures:
    """Count jobs, tasks and copies that are live or have ended since an instant."""
    counted = list(connection.scalars(live_or_ended_since(since)))
    jobs_of, states = dict[int, str](), Counter[str]()
    statuses, logs, saved_bytes = Counter[str](), Counter[str](), 0
    # By their keys: joined with a table, PostgreSQL may expect so many that it reads all copies.
    for ids in chunks(counted):
        jobs_of |= {row.id: row.status for row in connection.execute(_JOBS, {"ids": ids})}
        for row in connection.execute(_TASKS, {"ids": ids}):
            states[row.state] += row.number
        for row in connection.execute(_COPIES, {"ids": ids}):
            statuses[row.status] += row.number
            logs[_log_state(row)] += row.number
            saved_bytes += int(row.bytes or 0) if row.is_saved else 0
    return Figures(
        jobs=_with_all(JobStatus, Counter(jobs_of.values())),
        tasks=_with_all(TaskState, states),
        copies=_with_all(CopyStatus, statuses),
        logs={state: logs[state] for state in ("saved", "at_risk", "lost")},
        oldest_at_risk=connection.scalar(select(func.min(copies.c.log_at)).where(_AT_RISK)),
        saved_bytes=saved_bytes,
        due_copies=connection.scalar(select(func.count()).where(_IS_DUE)) or 0,
        deliveries={state: _count(connection, state) for state in _NOT_DELIVERED},
    )


def _count(connection: Connection, state: DeliveryState) -> int:
    found = select(func.count()).where(deliveries.c.state == state)
    return connection.execute(found).scalar_one()


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
        .where(tasks.c.state == TaskState.WATCHING, IS_LIVE)
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


_IS_UNFINISHED = copies.c.status.in_(UNFINISHED)
_IS_SAVED = copies.c.saved_at.is_not(None)
_AT_RISK = and_(~_IS_SAVED, _IS_UNFINISHED)
_IS_DUE = and_(_IS_UNFINISHED, copies.c.due_at <= database_now())
_is_saved = case((_IS_SAVED, True), else_=False).label("is_saved")
_number = func.count().label("number")
_ids: BindParameter[Any] = bindparam("ids", expanding=True)
_JOBS = (
    select(jobs.c.id, jobs.c.status)
    .join(track_tasks, track_tasks.c.job_id == jobs.c.id)
    .where(track_tasks.c.task_id.in_(_ids))
)
_TASKS = (
    # Joined, because a condition on the kind tempts SQLite to read all tasks of that kind.
    select(tasks.c.state, _number)
    .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
    .where(track_tasks.c.task_id.in_(_ids))
    .group_by(tasks.c.state)
)
_COPIES = (
    select(copies.c.status, _is_saved, _number, func.sum(copies.c.bytes).label("bytes"))
    .where(copies.c.task_id.in_(_ids))
    # In this order no index on the status tempts a database to read all copies.
    .group_by(_is_saved, copies.c.status)
)


def _log_state(row: Row[Any]) -> str:
    if row.is_saved:
        return "saved"
    return "at_risk" if row.status in UNFINISHED else "lost"


def _with_all(values: type[StrEnum], counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts by value; a value that does not occur counts 0."""
    return dict.fromkeys(map(str, values), 0) | dict(counts)
