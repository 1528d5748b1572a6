"""Track the jobs that a tracked coordinator or bundle starts, each by its own task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from tracker_service.domain.chunks import chunks
from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.jobs import JobId, JobStatus, JobType, type_of
from tracker_service.domain.tasks import TrackTask
from tracker_service.store import jobsets, track_tasks
from tracker_service.store.database import Connection
from tracker_service.store.jobs import KeptJob, keys_of
from tracker_service.store.tables import jobs
from tracker_service.store.tables import track_tasks as table

MAX_LISTED = 1000  #: the most children of one job in an answer, the newest first


def without_task(connection: Connection, owner: str, ids: Sequence[JobId]) -> list[JobId]:
    """Return the jobs that a user does not track and has never tracked."""
    keys = keys_of(connection, ids)
    there = {keys[key] for key in _tracked(connection, owner, list(keys))}
    return [job_id for job_id in ids if job_id not in there]


def _tracked(
    connection: Connection, owner: str, job_keys: Sequence[int], *conditions: ColumnElement[bool]
) -> set[int]:
    """Return the keys of the jobs that a user has a task for, or one that meets conditions."""
    of_owner = select(table.c.job_id).where(table.c.owner == owner, *conditions)
    return {
        key
        for chunk in chunks(job_keys)
        for key in connection.scalars(of_owner.where(table.c.job_id.in_(chunk)))
    }


def follow(
    connection: Connection, parent: TrackTask, started: Sequence[KeptJob], now: datetime
) -> None:
    """Track the jobs that a job has started, for the same user and with the same copy policy.

    A job that succeeded and whose logs are not wanted gets a task that has ended.
    """
    is_live = {
        job.key: parent.copies_always or job.status != JobStatus.SUCCEEDED for job in started
    }
    track_tasks.track(
        connection,
        parent.owner,
        jobsets.affinity(connection, parent.lease),
        [job for job in started if is_live[job.key]],
        now,
        CopyPolicy.ALL if parent.copies_always else CopyPolicy.OF_FAILURES,
    )
    done = [job for job in started if not is_live[job.key]]
    track_tasks.add_ended(connection, parent.owner, done, now)


def statuses(connection: Connection, owner: str, parent_id: JobId) -> dict[JobId, JobStatus]:
    """Return the states of the tracked jobs that a job has started, the newest job first.

    The parent of a workflow is `<coordinator>@<number>`, which may be asked for as well; the parent
    of a coordinator is its bundle. At most `MAX_LISTED` jobs are returned.
    """
    is_child = jobs.c.parent_id == parent_id
    if type_of(parent_id) != JobType.COORDINATOR_ACTION:
        first, end = f"{parent_id}@", f"{parent_id}A"
        of_an_action = and_(jobs.c.parent_id >= first, jobs.c.parent_id < end)
        is_child = or_(is_child, of_an_action)
    rows = connection.execute(
        select(jobs.c.id, jobs.c.external_id, jobs.c.status)
        .where(is_child)
        .order_by(jobs.c.id.desc())
    ).all()
    found: dict[JobId, JobStatus] = {}
    for chunk in chunks(rows):
        tracked = _tracked(
            connection, owner, [row.id for row in chunk], table.c.stopped_at.is_(None)
        )
        for row in chunk:  # a later run of a job stands before the earlier
            if row.id in tracked and len(found) < MAX_LISTED:
                found.setdefault(JobId(row.external_id), JobStatus(row.status))
        if len(found) == MAX_LISTED:
            break
    return found
