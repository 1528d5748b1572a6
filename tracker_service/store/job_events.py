"""Tell of jobs in the log of events: each user who tracks a job gets an event of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import bindparam, select

from tracker_service.domain.chunks import chunks
from tracker_service.domain.events import Event, EventType
from tracker_service.domain.jobs import OOZIE, JobId, JobStatus
from tracker_service.domain.tasks import ENDED
from tracker_service.store import events
from tracker_service.store.database import Connection, at_end
from tracker_service.store.tables import jobs, tasks, track_tasks

# Statements are built once: to build one takes longer than SQLite takes to execute it.
_TRACKED_BY = (
    select(jobs.c.external_id, tasks.c.owner)
    .join(track_tasks, track_tasks.c.job_id == jobs.c.id)
    .join(tasks, tasks.c.id == track_tasks.c.task_id)
    .where(jobs.c.kind == OOZIE, jobs.c.external_id.in_(bindparam("ids", expanding=True)))
    .where(tasks.c.state != ENDED, track_tasks.c.stopped_at.is_(None))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStatus:
    """A change of a job's state, or the start of another run."""

    job_id: JobId
    run: int
    name: str | None
    user: str | None  #: owner in the cluster
    from_status: JobStatus
    to_status: JobStatus
    at: datetime


def state_changed(connection: Connection, change: NewStatus) -> None:
    """Tell the users who track a job at the end of this transaction that its state has changed."""
    at_end(connection, _tell_users, change)


def _tell_users(connection: Connection, changes: Sequence[NewStatus]) -> None:
    users: dict[str, set[str]] = {}
    for chunk in chunks([change.job_id for change in changes]):
        for row in connection.execute(_TRACKED_BY, {"ids": chunk}):
            users.setdefault(row.external_id, set()).add(row.owner)
    for change in changes:
        for user in sorted(users.get(change.job_id, ())):
            events.append(connection, _event(change, user))


def _about(change: NewStatus) -> str:
    what = (change.job_id, str(change.run), change.from_status, change.to_status)
    return str(uuid5(NAMESPACE_URL, "\n".join((*what, change.at.isoformat()))))


def _event(change: NewStatus, user: str) -> Event:
    return Event(
        type=EventType.JOB_STATE_CHANGED,
        subject=change.job_id,
        time=change.at,
        owner=user,
        about=_about(change),
        data={
            "id": change.job_id,
            "run": change.run,
            "name": change.name,
            "user": change.user,
            "from": change.from_status,
            "to": change.to_status,
        },
    )
