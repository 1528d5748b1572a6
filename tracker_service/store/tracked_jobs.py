"""List the jobs that users track, with their tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, String, func, or_, select, type_coerce

from tracker_service.domain.chunks import chunks
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.tasks import TaskState
from tracker_service.store.database import Connection
from tracker_service.store.jobs import OOZIE, KeptJob, kept_job
from tracker_service.store.tables import applications, copies, jobs, tasks, track_tasks
from tracker_service.store.tables import jobsets as jobset_table

_UNLISTED_COLUMNS = ("part", "reason_code")  #: columns of a copy that no answer has


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedJob:
    """A user's task and the job that it tracks."""

    id: int
    owner: str  #: the user who asked
    state: TaskState
    reason: str | None
    ended_at: datetime | None
    copies_always: bool
    is_stopped: bool
    job: KeptJob
    polled_at: datetime | None  #: of its jobset

    @property
    def job_id(self) -> JobId:
        """Return the id of the job."""
        return self.job.id

    @property
    def checked_at(self) -> datetime | None:
        """Return when the cluster was last asked about the job."""
        known = (self.job.observed_at, self.job.details_at, self.polled_at)
        return max((instant for instant in known if instant), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Selects tracked jobs whose task is live or ended lately."""

    owner: str | None  #: the user who asked; None for all users
    since: datetime  #: leave out tasks that ended before
    statuses: tuple[JobStatus, ...] = ()  #: of the job; empty for all
    after: int = 0  #: the last task of the page before
    limit: int | None = None


def listed(connection: Connection, wanted: Listing) -> list[TrackedJob]:
    """Return the jobs of a listing, the oldest task first."""
    return _tracked_jobs(connection, *_conditions(wanted), limit=wanted.limit)


@dataclass(frozen=True, slots=True)
class Outline:
    """The tasks of a listing, and a tag that changes when the answer about them changes."""

    task_ids: Sequence[int]
    has_more: bool  #: more jobs follow after the limit
    tag: str


def outline(connection: Connection, wanted: Listing) -> Outline:
    """Return the outline of a listing.

    This makes no objects, so that a client may ask for thousands of jobs every second. The tag does
    not depend on the time of the last check of a job.
    """
    plain = [type_coerce(column, String) for column in (track_tasks.c.stopped_at, tasks.c.ended_at)]
    listing = (
        select(tasks.c.id, tasks.c.state, tasks.c.reason, track_tasks.c.copies_always, *plain)
        .add_columns(jobs.c.status, jobs.c.run, jobs.c.name)
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
        .where(jobs.c.kind == OOZIE, *_conditions(wanted))
    )
    above = None if wanted.limit is None else wanted.limit + 1
    rows = connection.execute(listing.order_by(tasks.c.id).limit(above)).all()
    among = listing.with_only_columns(tasks.c.id, track_tasks.c.job_id).subquery()
    known = select(func.count(), func.max(applications.c.id)).join(
        among, among.c.job_id == applications.c.job_id
    )
    made = (
        select(*(type_coerce(col, String) for col in copies.c if col.name not in _UNLISTED_COLUMNS))
        .join(among, among.c.id == copies.c.task_id)
        .order_by(copies.c.id)
    )
    digest = hashlib.sha256()
    for row in (*rows, *connection.execute(known), *connection.execute(made)):
        digest.update(repr(tuple(row)).encode())
    task_ids = [row.id for row in rows[: wanted.limit]]
    return Outline(task_ids, len(task_ids) < len(rows), digest.hexdigest()[:32])


def _conditions(wanted: Listing) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        or_(tasks.c.state != TaskState.ENDED, tasks.c.ended_at >= wanted.since),
        track_tasks.c.stopped_at.is_(None),
        tasks.c.id > wanted.after,
    ]
    if wanted.owner is not None:
        conditions.append(tasks.c.owner == wanted.owner)
    if wanted.statuses:
        conditions.append(jobs.c.status.in_(wanted.statuses))
    return conditions


def of_job(connection: Connection, owner: str, job_id: JobId) -> list[TrackedJob]:
    """Return a user's tasks for the runs of a job, the newest run first."""
    found = _tracked_jobs(connection, tasks.c.owner == owner, jobs.c.external_id == job_id)
    return sorted(found, key=lambda tracked: -tracked.job.run)


def of_jobs(connection: Connection, owner: str, job_keys: Sequence[int]) -> list[TrackedJob]:
    """Return a user's tasks for many runs of jobs, given by their keys."""
    return [
        tracked
        for chunk in chunks(job_keys)
        for tracked in _tracked_jobs(
            connection, tasks.c.owner == owner, track_tasks.c.job_id.in_(chunk)
        )
    ]


def _tracked_jobs(
    connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[TrackedJob]:
    rows = connection.execute(
        select(
            tasks.c.id.label("task_id"),
            tasks.c.owner.label("asked_by"),
            tasks.c.state,
            tasks.c.reason,
            track_tasks.c.copies_always,
            track_tasks.c.stopped_at,
            tasks.c.ended_at.label("task_ended_at"),
            jobset_table.c.polled_at,
            *(column for column in jobs.c if column.name != "actions"),
        )
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
        .outerjoin(jobset_table, jobset_table.c.id == tasks.c.jobset_id)
        .where(jobs.c.kind == OOZIE, *conditions)
        .order_by(tasks.c.id)
        .limit(limit)
    )
    return [
        TrackedJob(
            id=row.task_id,
            owner=row.asked_by,
            state=TaskState(row.state),
            reason=row.reason,
            ended_at=row.task_ended_at,
            copies_always=row.copies_always,
            is_stopped=row.stopped_at is not None,
            job=kept_job(row),
            polled_at=row.polled_at,
        )
        for row in rows
    ]
