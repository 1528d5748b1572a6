"""Find saved logs, and note where they were moved and which were removed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, update

from tracker_service.domain.copies import Copy, CopyReason, CopyStatus
from tracker_service.domain.reasons import Reason
from tracker_service.store.copies import UNFINISHED
from tracker_service.store.copy_rows import copy_of, every_copy
from tracker_service.store.database import Connection
from tracker_service.store.reason_rows import reason_values
from tracker_service.store.tables import copies, jobs, tasks, track_tasks

REMOVED = Reason(CopyReason.REMOVED, "you removed the logs")
EXPIRED = Reason(CopyReason.EXPIRED, "removed: older than copying.keep_copies_h")


def saved_before(
    connection: Connection, owner: str, before: datetime, *, after: str, limit: int
) -> list[Copy]:
    """Return a page of a user's copies that were saved before an instant and have ended.

    Args:
        after: the id of the last copy of the page before; copies come in the order of their ids.
        limit: the most copies to return.
    """
    rows = connection.execute(
        every_copy()
        .where(tasks.c.owner == owner, copies.c.saved_at < before, copies.c.id > after)
        .where(copies.c.status.not_in(UNFINISHED))
        .order_by(copies.c.id)
        .limit(limit)
    )
    return [copy_of(row) for row in rows]


def forget_saved(
    connection: Connection, removed: Iterable[Copy], reason: Reason[CopyReason]
) -> None:
    """Note that saved logs were removed, unless a log was saved again since then.

    A copy that is waiting to be made again goes on.
    """
    gone = {"saved_at": None, "bytes": None, "sha256": None, "contents": None}
    waits = (CopyStatus.WAITING, CopyStatus.UNKNOWN)
    for copy in removed:
        same = update(copies).where(copies.c.id == copy.id, copies.c.saved_at == copy.saved_at)
        connection.execute(same.where(copies.c.status.in_(waits)).values(**gone))
        connection.execute(
            same.where(copies.c.status.not_in(UNFINISHED)).values(
                **gone, **reason_values(reason), status=CopyStatus.KILLED
            )
        )


def of_earlier_runs(connection: Connection, copy: Copy) -> list[Copy]:
    """Return the same user's saved copies of earlier runs of the same job."""
    rows = connection.execute(
        every_copy()
        .where(tasks.c.owner == copy.owner, jobs.c.external_id == copy.job_id)
        .where(copies.c.run < copy.run, copies.c.saved_at.is_not(None))
        .where(copies.c.status.not_in(UNFINISHED))
        .order_by(copies.c.run.desc(), copies.c.application_id)
    )
    return [copy_of(row) for row in rows]


def has_later_run(connection: Connection, copy: Copy) -> bool:
    """Tell whether the same user has saved copies of later runs of the same job."""
    later = (
        select(copies.c.id)
        .join(tasks, tasks.c.id == copies.c.task_id)
        .join(track_tasks, track_tasks.c.task_id == tasks.c.id)
        .join(jobs, jobs.c.id == track_tasks.c.job_id)
        .where(tasks.c.owner == copy.owner, jobs.c.external_id == copy.job_id)
        .where(copies.c.run > copy.run, copies.c.saved_at.is_not(None))
    )
    return connection.scalar(later.limit(1)) is not None


def note_moved(connection: Connection, copy: Copy, path: str) -> None:
    """Note the new path of a saved log."""
    connection.execute(update(copies).where(copies.c.id == copy.id).values(path=path))
