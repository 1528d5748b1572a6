"""Keep the tasks that track a job of Oozie: start, stop and load them, and change their state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, exists, func, insert, select, update

from tracker_service.domain.chunks import chunks
from tracker_service.domain.copies import CopyPolicy, CopyReason
from tracker_service.domain.jobs import OOZIE, JobId, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import TRACK, TaskReason, TaskState, TrackTask
from tracker_service.errors import StoreConflict
from tracker_service.store import adoption, copies, jobsets
from tracker_service.store.database import Connection, insert_new
from tracker_service.store.jobs import KeptJob
from tracker_service.store.reason_rows import reason_values
from tracker_service.store.tables import jobs, tasks, track_tasks
from tracker_service.store.tasks import end

_Row = Row[*tuple[Any, ...]]

STOPPED = Reason(TaskReason.STOPPED, "you stopped tracking this job")
_COPY_STOPPED = Reason(CopyReason.NOT_TRACKED, STOPPED.text)
_RUN_TRACKED = Reason(TaskReason.RUN_TRACKED, "the job was run again, and that run is tracked too")

# Statements are built once: to build one takes longer than SQLite takes to execute it.
_OF_OWNER = (
    select(tasks.c.id, tasks.c.state, tasks.c.jobset_id, tasks.c.reason_code)
    .add_columns(track_tasks.c.job_id, track_tasks.c.copies_always, track_tasks.c.stopped_at)
    .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
    .where(track_tasks.c.owner == bindparam("asked_by"))
    .where(track_tasks.c.job_id.in_(bindparam("keys", expanding=True)))
)
_NEW_TASKS = insert(tasks)
# What this reads in `tasks` was written just now; see `_about`, and `adoption` for why it is there.
_COMPLETE = insert(track_tasks).from_select(
    ["task_id", "owner", "job_id", "copies_always", "stopped_at", "manifest_at"],
    select(tasks.c.id, tasks.c.owner, tasks.c.job_id, tasks.c.copies_always)
    .add_columns(tasks.c.stopped_at, tasks.c.manifest_at)
    .where(tasks.c.kind == TRACK, tasks.c.owner == bindparam("asked_by"))
    .where(tasks.c.job_id.in_(bindparam("keys", expanding=True)))
    .where(~exists().where(track_tasks.c.task_id == tasks.c.id)),
)


def track(
    connection: Connection,
    owner: str,
    affinity: str,
    wanted: Sequence[KeptJob],
    now: datetime,
    policy: CopyPolicy = CopyPolicy.OF_FAILURES,
) -> None:
    """Track jobs for a user: each job gets a task, unless the user has one for it.

    A task that has ended becomes live again if

    - it ended without a result, and so has a reason: Oozie did not know the job, or the user
      stopped it;
    - the job has not ended; or
    - the policy wants copies that the task has not made.

    Args:
        affinity: of the jobsets for the tasks.
        policy: which jobs' logs are saved; it adds to the policy that a task has.
    """
    always = policy != CopyPolicy.OF_FAILURES
    keys = [job.key for job in wanted]
    found = _locked_tasks(connection, owner, keys, lambda row: bool(row.stopped_at or always))
    changed = [row for row in found.values() if row.stopped_at or always]
    if policy in (CopyPolicy.ALL, CopyPolicy.ALL_AGAIN):
        refresh = policy == CopyPolicy.ALL_AGAIN
        copies.restart(connection, [row.id for row in found.values()], now, refresh=refresh)
    # One order, so that two posts of the same jobs do not wait for each other.
    new = sorted((job for job in wanted if job.key not in found), key=lambda job: job.key)
    again = [
        row.id
        for job in wanted
        if (row := found.get(job.key)) and _must_live_again(connection, row, job, always)
    ]
    again.sort()
    room = iter(jobsets.place(connection, TRACK, affinity, len(new) + len(again)))
    if new:
        common = {"state": TaskState.WATCHING, "created_at": now, "copies_always": always}
        rows = [common | _about(owner, job) | {"jobset_id": next(room)} for job in new]
        connection.execute(_NEW_TASKS, rows)
        _complete(connection, owner, [job.key for job in new])
    for task_id in again:
        _revive(connection, task_id, next(room))
    for row in changed:
        _set(connection, row.id, stopped_at=None, copies_always=row.copies_always or always)


def _revive(connection: Connection, task_id: int, jobset_id: int) -> None:
    revived = connection.execute(
        update(tasks)
        .where(tasks.c.id == task_id, tasks.c.state == TaskState.ENDED)
        .values(state=TaskState.WATCHING, jobset_id=jobset_id, ended_at=None)
        .values(reason_values(None))
    )
    if not revived.rowcount:  # the room that is reserved for it must be given back
        raise StoreConflict(f"another request has just changed the task {task_id}: try again")


def add_ended(connection: Connection, owner: str, done: Sequence[KeptJob], now: datetime) -> None:
    """Add ended tasks of a user, for jobs with nothing left to do."""
    ended = {"state": TaskState.ENDED, "created_at": now, "ended_at": now, "copies_always": False}
    insert_new(connection, tasks, [ended | _about(owner, job) for job in done])
    _complete(connection, owner, [job.key for job in done])


def _about(owner: str, job: KeptJob) -> dict[str, Any]:
    return {"kind": TRACK, "owner": owner, "subject": job.id, "job_id": job.key}


def _complete(connection: Connection, owner: str, job_keys: Sequence[int]) -> None:
    """Add the rows of `track_tasks` for a user's new tasks for jobs.

    Not every database returns the ids of many inserted rows, so the rows are found by their jobs.
    """
    for chunk in chunks(job_keys):
        connection.execute(_COMPLETE, {"asked_by": owner, "keys": chunk})


def _set(connection: Connection, task_id: int, **values: object) -> None:
    """Change the columns of a task that only this kind has."""
    changed = update(track_tasks).where(track_tasks.c.task_id == task_id)
    connection.execute(changed.values(**values))
    # For processes of the previous release; the migration of the next release drops these columns.
    connection.execute(update(tasks).where(tasks.c.id == task_id).values(**values))


def _must_live_again(connection: Connection, row: _Row, job: KeptJob, always: bool) -> bool:
    if row.state != TaskState.ENDED:
        return False
    if row.reason_code is not None or not job.status.is_terminal:
        return True
    return always and (not row.copies_always or copies.has_unfinished(connection, row.id))


def _of_owner(connection: Connection, owner: str, keys: Sequence[int]) -> dict[int, _Row]:
    """Return a user's tasks for jobs, by the jobs' keys."""
    adoption.adopt_of_owner(connection, owner, keys)
    return {
        row.job_id: row
        for chunk in chunks(keys)
        for row in connection.execute(_OF_OWNER, {"asked_by": owner, "keys": chunk})
    }


def _locked_tasks(
    connection: Connection, owner: str, keys: Sequence[int], is_locked: Callable[[_Row], bool]
) -> dict[int, _Row]:
    """Return a user's tasks for jobs, and lock some of them until this transaction ends.

    Workers guard each write with the row of the jobset, so changing that row locks its tasks. The
    tasks are read again afterwards, because a worker may have changed them, or moved one to another
    jobset. The worker that holds the jobset sees the change and loads the tasks again.

    Args:
        is_locked: tells which tasks to lock.
    """
    found, locked = _of_owner(connection, owner, keys), set[int]()
    while (
        unlocked := {r.jobset_id for r in found.values() if r.jobset_id and is_locked(r)} - locked
    ):
        for jobset_id in sorted(unlocked):
            jobsets.touch(connection, jobset_id)
        locked |= unlocked
        found = _of_owner(connection, owner, keys)
    return found


def stop(connection: Connection, owner: str, job_id: JobId, now: datetime) -> bool:
    """Stop tracking a job for a user: running copies are finished, no other copy begins.

    Returns:
        False if the user does not track the job.
    """
    keys = list(
        connection.scalars(
            select(jobs.c.id).where(jobs.c.kind == OOZIE, jobs.c.external_id == job_id)
        )
    )
    found = _locked_tasks(connection, owner, keys, lambda _: True)
    wanted = [row for row in found.values() if row.stopped_at is None]
    for row in wanted:
        copies.give_up_waiting(connection, row.id, now, _COPY_STOPPED)
        live = {"state": TaskState.COPYING}
        ended = {"state": TaskState.ENDED, "jobset_id": None, "ended_at": now}
        if row.state == TaskState.ENDED:
            values: dict[str, Any] = {}
        elif copies.has_unfinished(connection, row.id):
            values = live
        else:
            values = ended
            jobsets.shrink(connection, row.jobset_id, 1)
        changed = update(tasks).where(tasks.c.id == row.id)
        connection.execute(changed.values(values | reason_values(STOPPED)))
        _set(connection, row.id, stopped_at=now)
    return bool(wanted)


def live(connection: Connection, lease: Lease) -> list[TrackTask]:
    """Return the live tasks of a jobset, the oldest first."""
    rows = connection.execute(
        select(
            tasks.c.id.label("task_id"),
            tasks.c.owner.label("asked_by"),
            tasks.c.state,
            track_tasks.c.copies_always,
            track_tasks.c.stopped_at,
            track_tasks.c.failing_since,
            func.coalesce(jobs.c.created_at, tasks.c.created_at).label("began_at"),
            jobs.c.id,
            jobs.c.external_id,
            jobs.c.run,
            jobs.c.status,
            jobs.c.observed_at,
        )
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
        .where(tasks.c.jobset_id == lease.jobset_id, tasks.c.state != TaskState.ENDED)
        .order_by(tasks.c.id)
    )
    return [_track_task(row, lease) for row in rows]


def _track_task(row: _Row, lease: Lease) -> TrackTask:
    return TrackTask(
        id=row.task_id,
        owner=row.asked_by,
        lease=lease,
        state=TaskState(row.state),
        job_key=row.id,
        job_id=JobId(row.external_id),
        run=row.run,
        status=JobStatus(row.status),
        began_at=row.began_at,
        observed_at=row.observed_at,
        copies_always=row.copies_always,
        is_stopped=row.stopped_at is not None,
        failing_since=row.failing_since,
    )


def follow_run(connection: Connection, task: TrackTask, kept: KeptJob, now: datetime) -> TrackTask:
    """Move a task to the next run of its job; its copies of the earlier run go on.

    If the user tracks the next run by another task, this task stays with its run: it ends, once
    the copies of that run have ended.

    Returns:
        the task as the store has it now.
    """
    followed = replace(task, job_key=kept.key, run=kept.run, status=kept.status)
    row = connection.execute(
        select(track_tasks.c.job_id, tasks.c.state)
        .join(tasks, tasks.c.id == track_tasks.c.task_id)
        .where(tasks.c.id == task.id)
    ).one()
    if row.job_id == kept.key:  # it already does; the caller has an older view of the task
        return replace(followed, state=TaskState(row.state))
    if _of_owner(connection, task.owner, [kept.key]):
        if copies.has_unfinished(connection, task.id):
            return replace(task, state=start_copying(connection, task))
        end(connection, task, now, _RUN_TRACKED)
        return replace(task, state=TaskState.ENDED)
    is_stopped = exists().where(
        track_tasks.c.task_id == tasks.c.id, track_tasks.c.stopped_at.is_not(None)
    )
    changed = connection.execute(
        update(tasks)
        .where(tasks.c.id == task.id, tasks.c.state != TaskState.ENDED, ~is_stopped)
        .values(state=TaskState.WATCHING, **reason_values(None))
    )
    if changed.rowcount:
        _set(connection, task.id, job_id=kept.key)
    jobsets.touch(connection, task.lease.jobset_id)
    return current(connection, followed)


def current(connection: Connection, task: TrackTask) -> TrackTask:
    """Return a task as the store has it now; its user may have changed it since it was loaded."""
    row = connection.execute(
        select(tasks.c.state, track_tasks.c.copies_always, track_tasks.c.stopped_at)
        .add_columns(track_tasks.c.failing_since)
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .where(tasks.c.id == task.id)
    ).first()
    if row is None:
        return replace(task, state=TaskState.ENDED)
    return replace(
        task,
        state=TaskState(row.state),
        copies_always=row.copies_always,
        is_stopped=row.stopped_at is not None,
        failing_since=row.failing_since,
    )


def start_copying(connection: Connection, task: TrackTask) -> TaskState:
    """Start to save the logs of a task's job.

    Returns:
        the new state of the task: COPYING, or ENDED if it had ended.
    """
    changed = connection.execute(
        update(tasks)
        .where(tasks.c.id == task.id, tasks.c.state != TaskState.ENDED)
        .values(state=TaskState.COPYING, **reason_values(None))
    )
    jobsets.touch(connection, task.lease.jobset_id)
    return TaskState.COPYING if changed.rowcount else TaskState.ENDED


def manifest_at(connection: Connection, task_id: int) -> datetime | None:
    """Return when the manifest of a task's copies was written; None if it was not."""
    found = select(track_tasks.c.manifest_at).where(track_tasks.c.task_id == task_id)
    return connection.scalar(found)


def note_manifest(connection: Connection, task_id: int, now: datetime) -> None:
    """Note that the manifest of a task's copies was written now."""
    _set(connection, task_id, manifest_at=now)


def note_failing(connection: Connection, task: TrackTask, since: datetime | None) -> TrackTask:
    """Note since when each search for a task's applications fails; an earlier instant stays.

    Args:
        since: the instant of a failure; None if the search went well.

    Returns:
        the task as the store has it now.
    """
    since = since and (task.failing_since or since)
    if since == task.failing_since:
        return task
    changed = update(track_tasks).where(track_tasks.c.task_id == task.id)
    connection.execute(changed.values(failing_since=since))
    return replace(task, failing_since=since)
