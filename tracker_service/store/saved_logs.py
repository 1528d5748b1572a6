"""Keep account of the logs that are saved: where they lie, and what is no longer there."""

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
    """Return copies of a user that were saved before an instant and are not being made again.

    Args:
        after: the last copy that was returned before; they come in the order of their ids.
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
    """Note that saved logs are no longer there, unless others were saved in their place since.

    A copy that is to be made again meanwhile goes on.
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
    """Return the saved copies of the same user that are of earlier runs of the same job."""
    rows = connection.execute(
        every_copy()
        .where(tasks.c.owner == copy.owner, jobs.c.external_id == copy.job_id)
        .where(copies.c.run < copy.run, copies.c.saved_at.is_not(None))
        .where(copies.c.status.not_in(UNFINISHED))
        .order_by(copies.c.run.desc(), copies.c.application_id)
    )
    return [copy_of(row) for row in rows]


def has_later_run(connection: Connection, copy: Copy) -> bool:
    """Tell whether the same user has saved copies that are of later runs of the same job."""
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
    """Note where a saved log lies now."""
    connection.execute(update(copies).where(copies.c.id == copy.id).values(path=path))
