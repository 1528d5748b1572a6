"""Carry hints from the API to workers: a task's job may have changed, check it now.

A task has a hint or has none; a second hint changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, exists, or_, select

from tracker_service.domain.chunks import chunks
from tracker_service.domain.jobs import JobId
from tracker_service.domain.tasks import TaskState
from tracker_service.store.database import Connection, insert_new
from tracker_service.store.jobs import keys_of
from tracker_service.store.tables import hints, jobs, jobsets, tasks, track_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A task whose job may have changed."""

    task_id: int
    state: TaskState  #: of the task
    owner: str  #: the user who asked for the task
    job_id: JobId


def tasks_to_hint(connection: Connection, owner: str, job_id: JobId) -> dict[int, bool]:
    """Return the user's tasks that a hint at this job is for.

    These are the tasks that watch the job. If there are none, it is the task of the newest run,
    because the job may have been run again.

    Returns:
        by the id of the task, whether it has a hint; empty if the user does not track the job.
    """
    keys = keys_of(connection, [job_id])
    rows = connection.execute(
        select(tasks.c.id, tasks.c.state, hints.c.hinted_at)
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
        .outerjoin(hints, hints.c.task_id == tasks.c.id)
        .where(track_tasks.c.owner == owner, track_tasks.c.job_id.in_(list(keys)))
        .where(track_tasks.c.stopped_at.is_(None))
        .order_by(jobs.c.run.desc())
    ).all()
    meant = [row for row in rows if row.state == TaskState.WATCHING] or rows[:1]
    return {row.id: row.hinted_at is not None for row in meant}


def add(connection: Connection, task_ids: Iterable[int], now: datetime) -> None:
    """Add hints to tasks; a task that has a hint keeps it."""
    insert_new(connection, hints, [{"task_id": id_, "hinted_at": now} for id_ in task_ids])


def for_worker(connection: Connection, worker: str) -> list[Hint]:
    """Return the hints at tasks that a worker holds, and at tasks that have ended."""
    # A cheap query first: it runs several times a second, and nearly always finds no hint.
    ids = list(connection.scalars(select(hints.c.task_id)))
    is_held = and_(jobsets.c.owner == worker, tasks.c.state != TaskState.ENDED)
    meant = (
        select(tasks.c.id, tasks.c.state, tasks.c.owner, jobs.c.external_id)
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
        .outerjoin(jobsets, jobsets.c.id == tasks.c.jobset_id)
        .where(or_(is_held, tasks.c.state == TaskState.ENDED))
    )
    return [
        Hint(
            task_id=row.id,
            state=TaskState(row.state),
            owner=row.owner,
            job_id=JobId(row.external_id),
        )
        for chunk in chunks(ids)
        for row in connection.execute(meant.where(tasks.c.id.in_(chunk)))
    ]


def take(connection: Connection, task_ids: Sequence[int]) -> None:
    """Remove hints, before the jobs are checked; a hint that comes during the check stays."""
    for chunk in chunks(task_ids):
        connection.execute(delete(hints).where(hints.c.task_id.in_(chunk)))


def forget_ended(connection: Connection, before: datetime) -> None:
    """Remove hints at ended tasks that no worker has taken before an instant.

    Hints from a day after it are removed, too: the clock was set back since.
    """
    has_ended = exists().where(tasks.c.id == hints.c.task_id, tasks.c.state == TaskState.ENDED)
    is_ahead = hints.c.hinted_at > before + timedelta(days=1)
    connection.execute(delete(hints).where(or_(hints.c.hinted_at < before, is_ahead), has_ended))
