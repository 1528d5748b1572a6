"""Complete the rows that processes of the previous release write during an upgrade.

The previous release has no table `track_tasks`. It writes the values of that table into `tasks`,
and leaves the subject of a task empty. This release writes the values into both tables, so that
`tasks` always has the newest ones, and reads them from `track_tasks`.

The previous release also writes reasons without codes. Only this module derives a code from the
sentence, which it knows as the previous release words it.

A migration of the next release drops these columns; then this module goes, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, null, or_, select, update

from tracker_service.domain.chunks import chunks
from tracker_service.domain.copies import CopyReason, CopyStatus
from tracker_service.domain.tasks import TaskReason
from tracker_service.store import jobsets
from tracker_service.store.database import Connection, Store, after, insert_new
from tracker_service.store.tables import copies, jobs, tasks, track_tasks
from tracker_service.store.tasks import live_or_ended_since

_Row = Row[*tuple[Any, ...]]

_LATELY_S = 2 * 86_400  #: an ended task is listed for half as long by default
_WAITS = "waiting-for-credentials"
_TASK_CODE = case(
    (tasks.c.reason.is_(None), null()),
    (tasks.c.reason.startswith(f"{_WAITS}: there is no"), TaskReason.NO_CREDENTIAL),
    (tasks.c.reason.startswith(f"{_WAITS}: the gateway"), TaskReason.CREDENTIAL_REFUSED),
    (tasks.c.reason.startswith(f"{_WAITS}: the stored"), TaskReason.CREDENTIAL_EXPIRED),
    (tasks.c.reason.startswith(_WAITS), TaskReason.CREDENTIAL_UNREADABLE),
    (tasks.c.reason == "you stopped tracking this job", TaskReason.STOPPED),
    (tasks.c.reason.startswith("Oozie does not know the job"), TaskReason.JOB_GONE),
    (tasks.c.reason.startswith("the job was run again"), TaskReason.RUN_TRACKED),
    else_=TaskReason.INCOMPLETE,
)
_waits, _runs, _is_killed = (
    copies.c.status == status
    for status in (CopyStatus.WAITING, CopyStatus.RUNNING, CopyStatus.KILLED)
)
_SLOT = "waits for a place: %"
_COPY_CODE = case(
    (
        and_(_runs, copies.c.reason.startswith("the tracker stopped the copy workflow")),
        CopyReason.STOPPED_BY_TRACKER,
    ),
    (
        and_(_waits, copies.c.reason.like(f"{_SLOT} copy workflows of % run already")),
        CopyReason.NO_USER_SLOT,
    ),
    (
        and_(_waits, copies.c.reason.like(f"{_SLOT} copy workflows run already")),
        CopyReason.NO_GATEWAY_SLOT,
    ),
    (
        and_(_waits, copies.c.reason.like(f"{_SLOT} logs are being copied already")),
        CopyReason.NO_STREAM,
    ),
    (
        and_(_is_killed, copies.c.reason == "you stopped tracking this job"),
        CopyReason.NOT_TRACKED,
    ),
    (and_(_is_killed, copies.c.reason == "you removed the logs"), CopyReason.REMOVED),
    (
        and_(_is_killed, copies.c.reason == "removed: older than copying.keep_copies_h"),
        CopyReason.EXPIRED,
    ),
    else_=null(),
)
_COPIES_BEHIND = copies.c.reason_code.is_distinct_from(_COPY_CODE)

_TAKEN_OVER = ("job_id", "copies_always", "stopped_at", "manifest_at")
_DIFFERS = or_(
    track_tasks.c.task_id.is_(None),
    tasks.c.subject.is_(None),
    tasks.c.reason_code.is_distinct_from(_TASK_CODE),
    *(tasks.c[name].is_distinct_from(track_tasks.c[name]) for name in _TAKEN_OVER),
)
_BEHIND = (
    select(tasks.c.id, tasks.c.jobset_id, tasks.c.owner, *(tasks.c[name] for name in _TAKEN_OVER))
    .add_columns(track_tasks.c.task_id, jobs.c.external_id)
    .join(jobs, jobs.c.id == tasks.c.job_id)
    .outerjoin(track_tasks, track_tasks.c.task_id == tasks.c.id)
    .where(_DIFFERS)  # only tasks of the kind `track` name a job
)
_BEHIND_AMONG = _BEHIND.where(tasks.c.id.in_(bindparam("ids", expanding=True)))
_COPIES_BEHIND_AMONG = select(copies.c.id).where(
    copies.c.task_id.in_(bindparam("ids", expanding=True)), _COPIES_BEHIND
)
# Statements of every POST and load are built once: SQLite executes one faster than it is built.
_OF_OWNER = _BEHIND.where(
    tasks.c.owner == bindparam("asked_by"), tasks.c.job_id.in_(bindparam("keys", expanding=True))
)
_ANY_IN_JOBSET = _BEHIND.where(tasks.c.jobset_id == bindparam("jobset")).limit(1)
_ANY_COPY_IN_JOBSET = (
    select(copies.c.id)
    .join(tasks, tasks.c.id == copies.c.task_id)
    .where(tasks.c.jobset_id == bindparam("jobset"), _COPIES_BEHIND)
    .limit(1)
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
_COMPLETE = (
    update(tasks)
    .where(tasks.c.id == bindparam("task"))
    .values(subject=bindparam("about"), reason_code=_TASK_CODE)
)


def adopt_of_jobset(store: Store, jobset_id: int) -> None:
    """Complete the rows of the tasks in a jobset.

    Nearly always nothing is missing; then this only reads, and waits for no writer.
    """
    looks = (_ANY_IN_JOBSET, _ANY_COPY_IN_JOBSET)
    with store.read() as connection:
        is_behind = any(connection.execute(look, {"jobset": jobset_id}).first() for look in looks)
    if is_behind:
        store.write(partial(adopt, jobset_id=jobset_id))


def adopt_all(store: Store) -> None:
    """Complete the rows of live tasks, of those that ended in the last days, and of their copies.

    What ended before that is completed when its user posts or stops the job again.
    """
    behind, copy_ids = list[_Row](), list[str]()
    with store.read() as connection:
        looked_at = list(connection.scalars(live_or_ended_since(after(-_LATELY_S))))
        for chunk in chunks(looked_at):
            behind += connection.execute(_BEHIND_AMONG, {"ids": chunk})
            copy_ids += connection.scalars(_COPIES_BEHIND_AMONG, {"ids": chunk})
    for jobset_id in sorted({row.jobset_id for row in behind if row.jobset_id is not None}):
        adopt_of_jobset(store, jobset_id)
    for chunk in chunks([row.id for row in behind if row.jobset_id is None]):
        store.write(partial(_adopt_where, which=tasks.c.id.in_(chunk)))
    for ids in chunks(copy_ids):
        store.write(partial(_give_codes, which=copies.c.id.in_(ids)))


def adopt(connection: Connection, jobset_id: int) -> None:
    """Complete the rows of the tasks in a jobset; the worker that holds it loads it again."""
    jobsets.touch(connection, jobset_id)  # locks the jobset until this transaction ends
    _adopt_where(connection, tasks.c.jobset_id == jobset_id)
    in_it = select(tasks.c.id).where(tasks.c.jobset_id == jobset_id)
    _give_codes(connection, copies.c.task_id.in_(in_it))


def _adopt_where(connection: Connection, which: ColumnElement[bool]) -> None:
    _take_over(connection, connection.execute(_BEHIND.where(which)).all())


def _give_codes(connection: Connection, which: ColumnElement[bool]) -> None:
    connection.execute(update(copies).where(which, _COPIES_BEHIND).values(reason_code=_COPY_CODE))


def adopt_of_owner(connection: Connection, owner: str, job_keys: Sequence[int]) -> None:
    """Complete the rows of a user's tasks for jobs, given by the keys of the jobs."""
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
    connection.execute(_COMPLETE, about)
