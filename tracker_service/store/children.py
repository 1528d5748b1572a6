"""Keep what coordinators and bundles start: tasks of their own, for whoever tracks those."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select

from tracker_service.domain.chunks import chunks
from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.tasks import TrackTask
from tracker_service.store import jobsets, track_tasks
from tracker_service.store.database import Connection
from tracker_service.store.jobs import OOZIE, KeptJob
from tracker_service.store.tables import jobs
from tracker_service.store.tables import track_tasks as table

LISTED = 1000  #: children of one job that are told at most, the newest first


def without_task(connection: Connection, owner: str, ids: Sequence[JobId]) -> list[JobId]:
    """Return those of these jobs that a user does not track, and has not tracked before."""
    there: set[str] = set()
    for chunk in chunks(ids):
        there.update(
            connection.scalars(
                select(jobs.c.external_id)
                .join(table, table.c.job_id == jobs.c.id)
                .where(jobs.c.kind == OOZIE, jobs.c.external_id.in_(chunk), table.c.owner == owner)
            )
        )
    return [job_id for job_id in ids if job_id not in there]


def follow(
    connection: Connection, parent: TrackTask, started: Sequence[KeptJob], now: datetime
) -> None:
    """Give each of these jobs a task of its own, for the user who tracks what has started them.

    A job that succeeded and whose logs nobody wants has nothing left to do: its task has ended.
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


def known(connection: Connection, owner: str, parent_id: JobId) -> dict[JobId, JobStatus]:
    """Return the state of what a job has started and a user tracks, the newest first.

    A workflow names as its parent `<coordinator>@<number>`, a coordinator its bundle. No more than
    `LISTED` are told.
    """
    of_an_action = and_(jobs.c.parent_id >= f"{parent_id}@", jobs.c.parent_id < f"{parent_id}A")
    rows = connection.execute(
        select(jobs.c.external_id, jobs.c.status)
        .join(table, table.c.job_id == jobs.c.id)
        .where(jobs.c.kind == OOZIE, or_(jobs.c.parent_id == parent_id, of_an_action))
        .where(table.c.owner == owner, table.c.stopped_at.is_(None))
        .order_by(jobs.c.id.desc())
        .limit(LISTED)
    )
    found: dict[JobId, JobStatus] = {}
    for row in rows:  # a later run of a job stands before the earlier
        found.setdefault(JobId(row.external_id), JobStatus(row.status))
    return found
