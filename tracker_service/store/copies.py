"""Keep the copies of logs, one for each user and application, from the decision to the end."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam, case, exists, func, select, true, update

from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.chunks import chunks
from tracker_service.domain.copies import Copy, CopyReason, CopyStatus, Strategy, log_path
from tracker_service.domain.jobs import JobId
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import TaskOfJob, TaskState
from tracker_service.store import locks
from tracker_service.store.copy_rows import copy_of, every_copy
from tracker_service.store.credentials import may_be_used
from tracker_service.store.database import Connection, insert_new
from tracker_service.store.reason_rows import reason_values
from tracker_service.store.tables import copies, credentials, jobs, tasks, track_tasks

UNFINISHED = (CopyStatus.WAITING, CopyStatus.RUNNING, CopyStatus.UNKNOWN)
#: The gateway does not refuse the user's credential, or there is none: without Knox none is kept.
_IS_GOOD = func.coalesce(credentials.c.refusals, 0) == 0


def decide(
    connection: Connection, task: TaskOfJob, found: Sequence[ApplicationId], now: datetime
) -> int:
    """Decide to copy the logs of applications; an application with a copy is left alone.

    Returns:
        the number of new copies.
    """
    there = set(
        connection.scalars(select(copies.c.application_id).where(copies.c.task_id == task.id))
    )
    new = [application for application in dict.fromkeys(found) if application not in there]
    if not new:
        return 0
    job = connection.execute(
        select(jobs.c.run, jobs.c.ended_at)
        .join(track_tasks, track_tasks.c.job_id == jobs.c.id)
        .where(track_tasks.c.task_id == task.id)
    ).one()
    # The oldest log is at least as old as the end of the job; the first check of a log knows more.
    log_at = min(job.ended_at or now, now)
    rows = [
        {
            "id": secrets.token_hex(8),
            "task_id": task.id,
            "application_id": application,
            "run": job.run,
            "status": CopyStatus.WAITING,
            "strategy": Strategy.AUTO,
            "path": log_path(task.owner, task.job_id, application),
            "reason": "waits until YARN has collected the log",
            "attempt": 0,
            "failures": 0,
            "due_at": now,
            "created_at": now,
            "log_at": log_at,
        }
        for application in new
    ]
    insert_new(connection, copies, rows)
    return len(new)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueFilter:
    """The copies that need no check at present."""

    owners: Collection[str] = ()  #: users whose copies are being checked
    copies: Collection[str] = ()  #: ids of copies that this process is making
    without_workflow: Collection[str] = ()  #: users who have no slot for one more workflow
    is_without_stream: bool = False  #: no slot is free for one more direct copy


def due(
    connection: Connection,
    leases: Mapping[int, Lease],
    now: datetime,
    resting: DueFilter,
    limit: int,
) -> list[tuple[Copy, Lease]]:
    """Return the copies that need a check now, the oldest log first: the cluster deletes it first.

    Copies of users whose credential was refused are left out until it may be tried again. A user
    without a credential needs none, or the check fails and says so.

    Args:
        leases: on the jobsets, by their ids.
        limit: the most copies to return.

    Returns:
        each copy with the lease on its jobset.
    """
    by_workflow = copies.c.strategy == Strategy.WORKFLOW
    waits_directly = and_(copies.c.status == CopyStatus.WAITING, ~by_workflow)
    waits_for_workflow = and_(copies.c.status == CopyStatus.WAITING, by_workflow)
    rows = connection.execute(
        every_copy()
        .outerjoin(credentials, credentials.c.owner == tasks.c.owner)
        .where(tasks.c.jobset_id.in_(list(leases)), tasks.c.state != TaskState.ENDED)
        .where(copies.c.status.in_(UNFINISHED), copies.c.due_at <= now, may_be_used(now))
        .where(tasks.c.owner.not_in(list(resting.owners)))
        .where(copies.c.id.not_in(list(resting.copies)))
        .where(~and_(waits_for_workflow, tasks.c.owner.in_(list(resting.without_workflow))))
        .where(~waits_directly if resting.is_without_stream else true())
        .order_by(copies.c.log_at, copies.c.due_at, copies.c.application_id)
        .limit(limit)
    )
    return [(copy_of(row), leases[row.jobset_id]) for row in rows]


def lock_workflows(connection: Connection) -> None:
    """Keep other workers from starting a copy workflow until this transaction ends."""
    locks.take(connection, "copy-workflows")


def running_workflows(connection: Connection) -> Mapping[str, int]:
    """Return how many copy workflows run now, by user.

    Workflows of users whose credential is refused do not count: nobody can check them, and they
    would keep the slots of other users' workflows.
    """
    rows = connection.execute(
        select(tasks.c.owner, func.count().label("number"))
        .join(tasks, tasks.c.id == copies.c.task_id)
        .outerjoin(credentials, credentials.c.owner == tasks.c.owner)
        .where(copies.c.status == CopyStatus.RUNNING, copies.c.strategy == Strategy.WORKFLOW)
        .where(_IS_GOOD, tasks.c.state != TaskState.ENDED)
        .group_by(tasks.c.owner)
    )
    return {row.owner: row.number for row in rows}


def streaming(connection: Connection) -> set[int]:
    """Return the ids of the jobsets with a direct copy that a worker is making now."""
    return set(
        connection.scalars(
            select(tasks.c.jobset_id)
            .join(copies, copies.c.task_id == tasks.c.id)
            .where(copies.c.status == CopyStatus.RUNNING, copies.c.strategy == Strategy.DIRECT)
        )
    )


def explain(connection: Connection, ids: Sequence[str], reason: Reason[CopyReason]) -> None:
    """Set the reason why copies wait; rows that have it already are not written again."""
    for chunk in chunks(ids):
        connection.execute(
            update(copies)
            .where(copies.c.id.in_(chunk))
            .where(copies.c.status == CopyStatus.WAITING)
            .where(copies.c.reason_code.is_distinct_from(reason.code))
            .values(reason_values(reason))
        )


def postpone(connection: Connection, ids: Sequence[str], due_at: datetime, reason: str) -> None:
    """Set when unfinished copies are checked next, and the reason for waiting.

    The reason that the tracker itself stopped a workflow stays until the next try.
    """
    is_our_deed = copies.c.reason_code == CopyReason.STOPPED_BY_TRACKER
    for chunk in chunks(ids):
        connection.execute(
            update(copies)
            .where(copies.c.id.in_(chunk), copies.c.status.in_(UNFINISHED))
            .values(due_at=due_at)
            .values(reason=case((is_our_deed, copies.c.reason), else_=reason))
            .values(reason_code=case((is_our_deed, copies.c.reason_code), else_=None))
        )


def hasten(connection: Connection, jobset_ids: Sequence[int], now: datetime) -> None:
    """Make all unfinished copies in these jobsets due now."""
    task_ids = select(tasks.c.id).where(tasks.c.jobset_id.in_(jobset_ids))
    connection.execute(
        update(copies)
        .where(copies.c.task_id.in_(task_ids), copies.c.status.in_(UNFINISHED))
        .values(due_at=now)
    )


def change(connection: Connection, copy: Copy, **values: object) -> bool:
    """Change a copy if its state and its try are still those that the caller saw.

    A new reason without a code clears the old code.

    Returns:
        False if the copy was changed meanwhile: then nothing is written.
    """
    if "reason" in values:
        values.setdefault("reason_code", None)
    changed = connection.execute(
        update(copies)
        .where(copies.c.id == copy.id, copies.c.status == copy.status)
        .where(copies.c.attempt == copy.attempt)
        .values(**values)
    )
    return changed.rowcount == 1


_AGAIN = (CopyStatus.FAILED, CopyStatus.KILLED, CopyStatus.UNKNOWN)


def restart(
    connection: Connection, task_ids: Sequence[int], now: datetime, *, refresh: bool
) -> None:
    """Start the copies again that did not succeed; with `refresh`, also the successful ones.

    Copies that wait, for example for a quota to be raised, become due now.

    A saved log stays readable until the new one replaces it.
    """
    ended = (*_AGAIN, CopyStatus.SUCCEEDED) if refresh else _AGAIN
    for chunk in chunks(task_ids):
        connection.execute(
            update(copies)
            .where(copies.c.task_id.in_(chunk))
            .where(copies.c.status.in_(ended))
            .values(
                status=CopyStatus.WAITING,
                strategy=Strategy.AUTO,
                strategy_reason=None,
                job=None,
                failures=0,
                reason_code=None,
                reason="is copied again, as you asked",
                due_at=now,
                created_at=now,
                ended_at=None,
            )
        )
        connection.execute(
            update(copies)
            .where(copies.c.task_id.in_(chunk), copies.c.status == CopyStatus.WAITING)
            .values(due_at=now)
        )


def give_up_waiting(
    connection: Connection, task_id: int, now: datetime, reason: Reason[CopyReason]
) -> None:
    """End the copies of a task that are still waiting."""
    connection.execute(
        update(copies)
        .where(copies.c.task_id == task_id)
        .where(copies.c.status.in_((CopyStatus.WAITING, CopyStatus.UNKNOWN)))
        .values(status=CopyStatus.KILLED, ended_at=now, **reason_values(reason))
    )


def of_tasks(connection: Connection, task_ids: Iterable[int]) -> Mapping[int, list[Copy]]:
    """Return the copies of tasks, by task and in the order of their applications."""
    found: dict[int, list[Copy]] = {task_id: [] for task_id in task_ids}
    wanted = list(found)
    for chunk in chunks(wanted):
        rows = connection.execute(
            every_copy().where(copies.c.task_id.in_(chunk)).order_by(copies.c.application_id)
        )
        for row in rows:
            found[row.task_id].append(copy_of(row))
    return found


def of_run(connection: Connection, task_id: int, run: int) -> list[Copy]:
    """Return the copies of the logs of one run, in the order of their applications."""
    return [copy for copy in of_tasks(connection, [task_id])[task_id] if copy.run == run]


def finished_tasks(connection: Connection, leases: Iterable[Lease]) -> set[int]:
    """Return the ids of the tasks in these jobsets that save logs and whose copies all ended."""
    unfinished = exists().where(copies.c.task_id == tasks.c.id, copies.c.status.in_(UNFINISHED))
    return set(
        connection.scalars(
            select(tasks.c.id)
            .where(tasks.c.jobset_id.in_([lease.jobset_id for lease in leases]))
            .where(tasks.c.state == TaskState.COPYING, ~unfinished)
        )
    )


def has_unfinished(connection: Connection, task_id: int) -> bool:
    """Tell whether a task has copies that have not ended."""
    unfinished = select(copies.c.id).where(
        copies.c.task_id == task_id, copies.c.status.in_(UNFINISHED)
    )
    return connection.scalar(unfinished.limit(1)) is not None


_COPY_JOBS = select(copies.c.job).where(copies.c.job.in_(bindparam("ids", expanding=True)))


def copy_jobs(connection: Connection, ids: Sequence[JobId]) -> set[str]:
    """Return the ids of the Oozie jobs that are the tracker's own copy workflows."""
    found: set[str] = set()
    for chunk in chunks(ids):
        found.update(connection.scalars(_COPY_JOBS, {"ids": chunk}))
    return found
