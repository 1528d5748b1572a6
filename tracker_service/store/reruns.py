"""Find the ended workflows to check for reruns, and the worker that checks them for a user."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select

from tracker_service.domain.jobs import OOZIE, JobId, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TRACK, TaskState
from tracker_service.store.database import Connection
from tracker_service.store.tables import jobs, jobsets, tasks, track_tasks
from tracker_service.store.tasks import IS_LIVE

_ENDS = [status for status in JobStatus if status.is_terminal and status != JobStatus.NOT_FOUND]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """The newest run of a workflow that a user tracks; its task has ended."""

    run: int
    copies_always: bool


def owners_to_ask_for(
    connection: Connection, leases: Iterable[Lease], owners: Collection[str] | None = None
) -> dict[str, Lease]:
    """Return the users for whom the holder of these leases asks Oozie, each with one of the leases.

    For each user with a live task, and so with a credential, one worker asks: the worker that holds
    the first of the user's jobsets.

    Args:
        owners: only these users; None for all.
    """
    held = {lease.jobset_id: lease for lease in leases}
    first = (
        select(tasks.c.owner, func.min(jobsets.c.id).label("jobset_id"))
        .join(jobsets, jobsets.c.id == tasks.c.jobset_id)
        .where(jobsets.c.kind == TRACK, IS_LIVE)
        .group_by(tasks.c.owner)
    )
    if owners is not None:
        first = first.where(tasks.c.owner.in_(list(owners)))
    rows = connection.execute(first)
    return {row.owner: held[row.jobset_id] for row in rows if row.jobset_id in held}


def ended(connection: Connection, owner: str, since: datetime) -> dict[JobId, EndedRun]:
    """Return a user's workflows whose newest tracked run and its task have ended.

    Args:
        since: leave out tasks that ended before.

    Returns:
        the newest run, by the id of the workflow. Workflows that the user has stopped tracking are
        left out.
    """
    later, of_later = jobs.alias(), track_tasks.alias()
    has_later_run = exists().where(
        later.c.kind == OOZIE,
        later.c.external_id == jobs.c.external_id,
        later.c.run > jobs.c.run,
        of_later.c.job_id == later.c.id,
        of_later.c.owner == owner,
    )
    rows = connection.execute(
        select(jobs.c.external_id, jobs.c.run, track_tasks.c.copies_always)
        .join(track_tasks, track_tasks.c.job_id == jobs.c.id)
        .join(tasks, tasks.c.id == track_tasks.c.task_id)
        .where(tasks.c.owner == owner, tasks.c.state == TaskState.ENDED)
        .where(tasks.c.ended_at >= since, track_tasks.c.stopped_at.is_(None), ~has_later_run)
        .where(jobs.c.kind == OOZIE, jobs.c.external_id.endswith("W"), jobs.c.status.in_(_ENDS))
    )
    return {
        JobId(row.external_id): EndedRun(run=row.run, copies_always=row.copies_always)
        for row in rows
    }
