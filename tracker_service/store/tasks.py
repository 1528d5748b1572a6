"""Keep tasks of any kind: end them, and keep the reason why they wait.

Each kind adds its tasks itself, and has its own states; the last state is always `ENDED`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, bindparam, select, union, update

from tracker_service.domain.chunks import chunks
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import ENDED, HeldTask
from tracker_service.store import jobsets
from tracker_service.store.database import Connection
from tracker_service.store.reason_rows import reason_values
from tracker_service.store.tables import tasks

#: Every live task is in a jobset, and no ended one is. The state would tell the same, but a
#: condition with "not" has the databases read all tasks that have ended.
IS_LIVE = tasks.c.jobset_id > 0

# Statements are built once: to build one takes longer than SQLite takes to execute it.
_ANY_LIVE = select(tasks.c.id).where(tasks.c.owner == bindparam("asked_by"), IS_LIVE).limit(1)
_CLEAR_REASON = (
    update(tasks)
    .where(tasks.c.owner == bindparam("asked_by"), IS_LIVE)
    .where(tasks.c.reason.is_not(None))
    .values(reason_code=None, reason=None)
)


def end(
    connection: Connection, task: HeldTask, now: datetime, reason: Reason[Any] | None = None
) -> None:
    """End a task, and free its room in the jobset.

    Args:
        reason: why it ended without a result; None if all was done.
    """
    ended = connection.execute(
        update(tasks)
        .where(tasks.c.id == task.id, tasks.c.state != ENDED)
        .values(state=ENDED, jobset_id=None, ended_at=now, **reason_values(reason))
    )
    if ended.rowcount:
        jobsets.shrink(connection, task.lease.jobset_id, 1)


def explain(connection: Connection, owner: str, reason: Reason[Any]) -> bool:
    """Set the reason why a user's live tasks wait; rows that have it are not written again.

    Returns:
        True if this is news: no live task of the user had this reason, and now some have.
    """
    of_user = (tasks.c.owner == owner, IS_LIVE)
    known = select(tasks.c.id).where(*of_user, tasks.c.reason_code == reason.code).limit(1)
    is_known = connection.scalar(known) is not None
    others = tasks.c.reason_code.is_distinct_from(reason.code)
    changed = update(tasks).where(*of_user, others).values(reason_values(reason))
    return connection.execute(changed).rowcount > 0 and not is_known


def clear_reason(connection: Connection, owner: str) -> None:
    """Clear the reasons of a user's live tasks, which go on."""
    connection.execute(_CLEAR_REASON, {"asked_by": owner})


def live_or_ended_since(
    since: datetime | ColumnElement[datetime], owner: str | None = None
) -> CompoundSelect[Any]:
    """Return the statement that selects the ids of the tasks live or ended since an instant.

    Its cost does not grow with the tasks that ended before: each half is read from an index.

    Args:
        owner: the user whose tasks are meant; None for all users.
    """
    live = select(tasks.c.id).where(IS_LIVE)
    late = select(tasks.c.id).where(tasks.c.state == ENDED, tasks.c.ended_at >= since)
    if owner is not None:
        live, late = live.where(tasks.c.owner == owner), late.where(tasks.c.owner == owner)
    return union(live, late)  # not union_all, which SQLite takes apart when it is joined


def waiting(connection: Connection, owner: str, codes: Collection[str]) -> list[int]:
    """Return the ids of a user's live tasks that wait for one of these reasons."""
    found = connection.scalars(
        select(tasks.c.id)
        .where(tasks.c.owner == owner, IS_LIVE)
        .where(tasks.c.reason_code.in_(list(codes)))
    )
    return list(found)


def has_live(connection: Connection, owner: str) -> bool:
    """Tell whether a user has a live task."""
    return connection.scalar(_ANY_LIVE, {"asked_by": owner}) is not None


def live_owners(connection: Connection, jobset_ids: Iterable[int]) -> set[str]:
    """Return the users who have a live task in these jobsets."""
    owners = set[str]()
    for chunk in chunks(list(jobset_ids)):
        owners.update(
            connection.scalars(
                select(tasks.c.owner)
                .where(tasks.c.jobset_id.in_(chunk), tasks.c.state != ENDED)
                .distinct()
            )
        )
    return owners
