"""Remove jobs that ended long ago, with everything that is stored about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, or_, select, union

from tracker_service.domain.jobs import OOZIE
from tracker_service.domain.tasks import ENDED
from tracker_service.store.copies import UNFINISHED
from tracker_service.store.database import Connection, after
from tracker_service.store.tables import copies, jobs, tasks, track_tasks
from tracker_service.store.tasks import IS_LIVE

#: Where a task names its run; a process of the previous release writes only the first.
_REFERENCES = (tasks.c.job_id, track_tasks.c.job_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class OldTask:
    """A task that ended long ago."""

    id: int
    owner: str
    ended_at: datetime
    job_id: str
    parent_id: str | None  #: the job that started its job; `<coordinator>@<number>` of a workflow


def old_tasks(
    connection: Connection, kept_s: float, last: OldTask | None, limit: int
) -> list[OldTask]:
    """Return a page of tasks that ended too long ago to be kept, the oldest first.

    Args:
        kept_s: how long an ended task is kept, in seconds of the database's clock.
        last: the last task of the page before; None for the first page.
        limit: the most tasks to return.
    """
    page = (
        select(tasks.c.id, tasks.c.owner, tasks.c.ended_at)
        .add_columns(jobs.c.external_id.label("job_id"), jobs.c.parent_id)
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
        .where(tasks.c.state == ENDED, tasks.c.ended_at < after(-kept_s))
        .order_by(tasks.c.ended_at, tasks.c.id)
        .limit(limit)
    )
    if last is not None:
        is_later = tasks.c.ended_at > last.ended_at
        is_next = and_(tasks.c.ended_at == last.ended_at, tasks.c.id > last.id)
        # The first condition is for the index, the second one is exact.
        page = page.where(tasks.c.ended_at >= last.ended_at, or_(is_later, is_next))
    return [OldTask(**row._mapping) for row in connection.execute(page)]


def remove(connection: Connection, kept_s: float, old: Sequence[OldTask]) -> int:
    """Remove tasks, and the jobs that no other task is about.

    With a task go its copies and causes, with a job its runs, history and applications. A task
    stays while it has a copy to make, or while its user tracks the job that started its job: the
    worker would take the job for a new one.

    Returns:
        the number of removed tasks.
    """
    keys = _locked_runs(connection, {task.job_id for task in old})
    spared = _with_live_parent(connection, old)
    wants_copy = select(copies.c.id).where(
        copies.c.task_id == tasks.c.id, copies.c.status.in_(UNFINISHED)
    )
    removed = connection.execute(
        delete(tasks)
        .where(tasks.c.id.in_([task.id for task in old if task.id not in spared]))
        # Its user may have posted the job again.
        .where(tasks.c.state == ENDED, tasks.c.ended_at < after(-kept_s), ~wants_copy.exists())
    )
    _remove_unused(connection, keys)
    return removed.rowcount


def _locked_runs(connection: Connection, job_ids: Collection[str]) -> dict[int, str]:
    """Lock all runs of jobs, so that nobody tracks one meanwhile; return the jobs by their keys."""
    runs = (
        select(jobs.c.id, jobs.c.external_id)
        .where(jobs.c.kind == OOZIE, jobs.c.external_id.in_(list(job_ids)))
        .order_by(jobs.c.external_id, jobs.c.run)  # in the order of `jobs.record`: no deadlocks
        .with_for_update()
    )
    return {row.id: row.external_id for row in connection.execute(runs)}


def _with_live_parent(connection: Connection, old: Sequence[OldTask]) -> set[int]:
    """Return the ids of the tasks whose users track the job that started their job."""
    parents = {task.id: task.parent_id.partition("@")[0] for task in old if task.parent_id}
    rows = connection.execute(
        select(tasks.c.owner, jobs.c.external_id)
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
        .where(jobs.c.kind == OOZIE, jobs.c.external_id.in_(set(parents.values())), IS_LIVE)
    )
    live = {(row.owner, row.external_id) for row in rows}
    return {task.id for task in old if (task.owner, parents.get(task.id)) in live}


def _remove_unused(connection: Connection, runs: Mapping[int, str]) -> None:
    """Remove the jobs of which no run has a task."""
    has_task = union(*(select(column).where(column.in_(list(runs))) for column in _REFERENCES))
    used = {runs[key] for key in connection.scalars(has_task)}
    unused = [key for key, job_id in runs.items() if job_id not in used]
    connection.execute(delete(jobs).where(jobs.c.id.in_(unused)))
