"""Take over what processes of the release before write beside this one.

They know no `track_tasks`: they write its values into `tasks`, and leave out a task's subject. This
release writes those values in both places, so that `tasks` has the newest of them always, and reads
them in `track_tasks`. The migration after this release drops them from `tasks`, and this module
goes with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, or_, select, update

from tracker_service.domain.chunks import chunks
from tracker_service.domain.tasks import TRACK
from tracker_service.store import jobsets
from tracker_service.store.database import Connection, Store, insert_new
from tracker_service.store.tables import jobs, tasks, track_tasks

_Row = Row[*tuple[Any, ...]]

_TAKEN_OVER = ("job_id", "copies_always", "stopped_at", "manifest_at")
_DIFFERS = or_(
    track_tasks.c.task_id.is_(None),
    tasks.c.subject.is_(None),
    *(tasks.c[name].is_distinct_from(track_tasks.c[name]) for name in _TAKEN_OVER),
)
_BEHIND = (
    select(tasks.c.id, tasks.c.jobset_id, tasks.c.owner, *(tasks.c[name] for name in _TAKEN_OVER))
    .add_columns(track_tasks.c.task_id, jobs.c.external_id)
    .join(jobs, jobs.c.id == tasks.c.job_id)
    .outerjoin(track_tasks, track_tasks.c.task_id == tasks.c.id)
    .where(tasks.c.kind == TRACK, _DIFFERS)
)
# Statements of every POST are built once: to build one takes longer than SQLite to execute it.
_OF_OWNER = _BEHIND.where(
    tasks.c.owner == bindparam("asked_by"), tasks.c.job_id.in_(bindparam("keys", expanding=True))
)
_CHANGE = (
    update(track_tasks)
    .where(track_tasks.c.task_id == bindparam("task"))
    .values(
        {
            name: select(tasks.c[name]).where(tasks.c.id == track_tasks.c.task_id).scalar_subquery()
            for name in _TAKEN_OVER
        }
    )
)
_SUBJECT = update(tasks).where(tasks.c.id == bindparam("task")).values(subject=bindparam("about"))


def adopt_of_jobsets(store: Store, jobset_ids: Sequence[int]) -> None:
    """Take over what was written about the tasks of jobsets; who holds them loads them anew.

    Nearly always there is nothing: then this waits for no writer.
    """
    with store.read() as connection:
        behind = {
            row.jobset_id
            for chunk in chunks(jobset_ids)
            for row in connection.execute(_BEHIND.where(tasks.c.jobset_id.in_(chunk)))
        }
    for jobset_id in behind:
        with store.begin() as connection:
            adopt(connection, jobset_id)


def adopt_all(store: Store) -> None:
    """Take over all that was written."""
    with store.read() as connection:
        behind = connection.execute(_BEHIND).all()
    adopt_of_jobsets(store, list({row.jobset_id for row in behind if row.jobset_id is not None}))
    for chunk in chunks([row.id for row in behind if row.jobset_id is None]):
        with store.begin() as connection:
            _take_over(connection, connection.execute(_BEHIND.where(tasks.c.id.in_(chunk))).all())


def adopt(connection: Connection, jobset_id: int) -> None:
    """Take over what was written about the tasks of a jobset; its holder loads it anew."""
    jobsets.touch(connection, jobset_id)  # nobody else writes on behalf of it until this ends
    _take_over(connection, connection.execute(_BEHIND.where(tasks.c.jobset_id == jobset_id)).all())


def adopt_of_owner(connection: Connection, owner: str, job_keys: Sequence[int]) -> None:
    """Take over what was written about a user's tasks for jobs."""
    for chunk in chunks(job_keys):
        rows = connection.execute(_OF_OWNER, {"asked_by": owner, "keys": chunk}).all()
        _take_over(connection, rows)


def _take_over(connection: Connection, rows: Sequence[_Row]) -> None:
    if not rows:
        return
    new = [
        {
            "task_id": row.id,
            "owner": row.owner,
            **{name: row._mapping[name] for name in _TAKEN_OVER},
        }
        for row in rows
        if row.task_id is None
    ]
    insert_new(connection, track_tasks, new)
    about = [{"task": row.id, "about": row.external_id} for row in rows]
    connection.execute(_CHANGE, about)
    connection.execute(_SUBJECT, about)
