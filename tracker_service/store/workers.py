"""Keep which workers live, and what they tell of their load."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from tracker_service.domain.tasks import TRACK
from tracker_service.store.database import Connection, after, database_now, upsert
from tracker_service.store.tables import jobsets, workers

#: Kinds that a worker knows which does not say so: one of an earlier release.
_OF_EARLIER_RELEASES = (TRACK,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a worker tells of itself."""

    id: str
    started_at: datetime
    release: str  #: of this software
    kinds: tuple[str, ...]  #: of tasks, which it knows
    busy: float = 0.0  #: part of its time in which it asked the cluster, 0 to 1
    late: int = 0  #: tasks that it could not look at in time


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorker(Presence):
    """A worker and what it holds."""

    seen_at: datetime  #: by the database's clock
    is_alive: bool
    jobsets: int
    tasks: int


def note(connection: Connection, presence: Presence) -> None:
    """Note that a worker lives, and its load."""
    row = {
        "id": presence.id,
        "started_at": presence.started_at,
        "seen_at": database_now(),
        "release": presence.release[:32],
        "kinds": list(presence.kinds),
        "busy": presence.busy,
        "late": presence.late,
    }
    upsert(connection, workers, row)


def living(connection: Connection, within_s: float) -> int:
    """Return how many workers have said that they live within this time."""
    alive = select(func.count()).select_from(workers).where(workers.c.seen_at > after(-within_s))
    return connection.scalar(alive) or 0


def living_by_kind(connection: Connection, within_s: float) -> Counter[str]:
    """Return for each kind how many workers know it that have said lately that they live."""
    alive = select(workers.c.kinds).where(workers.c.seen_at > after(-within_s))
    known = connection.scalars(alive)
    return Counter(kind for kinds in known for kind in kinds or _OF_EARLIER_RELEASES)


def known(connection: Connection, within_s: float) -> list[KnownWorker]:
    """Return every worker that has not stopped, the oldest first.

    Args:
        within_s: one that was silent for longer does not live.
    """
    counts = (func.count().label("jobsets"), func.sum(jobsets.c.size).label("tasks"))
    held = select(jobsets.c.owner, *counts).group_by(jobsets.c.owner).subquery()
    rows = connection.execute(
        select(
            workers,
            (workers.c.seen_at > after(-within_s)).label("is_alive"),
            func.coalesce(held.c.jobsets, 0).label("jobsets"),
            func.coalesce(held.c.tasks, 0).label("tasks"),
        )
        .outerjoin(held, held.c.owner == workers.c.id)
        .order_by(workers.c.started_at, workers.c.id)
    )
    return [
        KnownWorker(
            id=row.id,
            started_at=row.started_at,
            seen_at=row.seen_at,
            release=row.release or "",
            kinds=tuple(row.kinds or _OF_EARLIER_RELEASES),
            busy=row.busy or 0.0,
            late=row.late or 0,
            is_alive=bool(row.is_alive),
            jobsets=row.jobsets,
            tasks=int(row.tasks),
        )
        for row in rows
    ]


def forget_silent(connection: Connection, silence_s: float) -> None:
    """Remove the records of workers that were killed long ago."""
    connection.execute(workers.delete().where(workers.c.seen_at < after(-silence_s)))


def forget(connection: Connection, worker: str) -> None:
    """Remove the record of a worker that stops."""
    connection.execute(workers.delete().where(workers.c.id == worker))
