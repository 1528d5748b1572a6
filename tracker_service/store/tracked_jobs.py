"""List the jobs that users track, with their tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, String, bindparam, func, select, type_coerce

from tracker_service.domain.chunks import chunks
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.tasks import TaskState
from tracker_service.store.database import Connection
from tracker_service.store.jobs import KeptJob, kept_job, keys_of
from tracker_service.store.tables import applications, copies, jobs, tasks, track_tasks
from tracker_service.store.tables import jobsets as jobset_table
from tracker_service.store.tasks import live_or_ended_since

_UNLISTED_COLUMNS = ("part", "reason_code")  #: columns of a copy that no answer has
# No condition says that the jobs are those of Oozie: only these have rows in `track_tasks`, and
# SQLite would read all of them first.
_EVERY_TRACKED_JOB = (
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
)
# What a tag depends on. Instants stay numbers: that saves making thousands of objects.
_OUTLINED = (
    select(tasks.c.id, tasks.c.state, tasks.c.reason, track_tasks.c.copies_always)
    .add_columns(*(type_coerce(at, String) for at in (track_tasks.c.stopped_at, tasks.c.ended_at)))
    .add_columns(jobs.c.status, jobs.c.run, jobs.c.name, track_tasks.c.job_id)
    .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
    .join(jobs, jobs.c.id == track_tasks.c.job_id)
)
_KNOWN = select(func.count(), func.max(applications.c.id)).where(
    applications.c.job_id.in_(bindparam("keys", expanding=True))
)
_MADE = (
    select(*(type_coerce(col, String) for col in copies.c if col.name not in _UNLISTED_COLUMNS))
    .where(copies.c.task_id.in_(bindparam("ids", expanding=True)))
    .order_by(copies.c.task_id, copies.c.application_id)
)


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


def listed(
    connection: Connection, wanted: Listing, among: Sequence[int] | None = None
) -> list[TrackedJob]:
    """Return the jobs of a listing, the oldest task first.

    Args:
        among: only these tasks of the listing, by their ids; None for all.
    """
    ids = _shown(connection, wanted) if among is None else among
    return [_tracked_job(row) for row in _page(connection, _EVERY_TRACKED_JOB, wanted, ids)]


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
    above = None if wanted.limit is None else wanted.limit + 1
    shown = _shown(connection, wanted)
    rows = _page(connection, _OUTLINED, replace(wanted, limit=above), shown)
    task_ids = [row.id for row in rows[: wanted.limit]]
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(tuple(row)).encode())
    for keys in chunks([row.job_id for row in rows]):
        digest.update(repr(connection.execute(_KNOWN, {"keys": keys}).all()).encode())
    for ids in chunks(task_ids):
        digest.update(repr(connection.execute(_MADE, {"ids": ids}).all()).encode())
    return Outline(task_ids, len(task_ids) < len(rows), digest.hexdigest()[:32])


def _shown(connection: Connection, wanted: Listing) -> list[int]:
    """Return the tasks of a listing in their order, whatever the states of their jobs are."""
    shown = connection.scalars(live_or_ended_since(wanted.since, wanted.owner))
    return sorted(task_id for task_id in shown if task_id > wanted.after)


def _page(
    connection: Connection, everything: Select[Any], wanted: Listing, among: Sequence[int]
) -> list[Row[Any]]:
    """Return the rows of a statement about tasks that belong to a listing, the oldest task first.

    The tasks are chosen first, from an index, and then read by their keys: so no database is
    tempted to read all tasks in the order of their keys.

    Args:
        among: the ids of the tasks, in their order.
    """
    everything = everything.where(track_tasks.c.stopped_at.is_(None)).order_by(tasks.c.id)
    if wanted.statuses:
        everything = everything.where(jobs.c.status.in_(wanted.statuses))
    rows: list[Row[Any]] = []
    for ids in chunks(among):
        rows += connection.execute(everything.where(tasks.c.id.in_(ids)))
        if wanted.limit is not None and len(rows) >= wanted.limit:
            break
    return rows[: wanted.limit]


def of_job(connection: Connection, owner: str, job_id: JobId) -> list[TrackedJob]:
    """Return a user's tasks for the runs of a job, the newest run first."""
    found = of_jobs(connection, owner, list(keys_of(connection, [job_id])))
    return sorted(found, key=lambda tracked: -tracked.job.run)


def of_jobs(connection: Connection, owner: str, job_keys: Sequence[int]) -> list[TrackedJob]:
    """Return a user's tasks for many runs of jobs, given by their keys."""
    of_owner = _EVERY_TRACKED_JOB.where(track_tasks.c.owner == owner).order_by(tasks.c.id)
    return [
        _tracked_job(row)
        for chunk in chunks(job_keys)
        for row in connection.execute(of_owner.where(track_tasks.c.job_id.in_(chunk)))
    ]


def _tracked_job(row: Row[Any]) -> TrackedJob:
    return TrackedJob(
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
