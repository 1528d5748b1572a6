"""Keep the records of workers: when they were last seen, their kinds and their load."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from tracker_service.domain.tasks import TRACK
from tracker_service.store.database import Connection, after, database_now, upsert
from tracker_service.store.tables import jobsets, workers

#: The kinds of a worker of an earlier release, which does not record them.
_OF_EARLIER_RELEASES = (TRACK,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a worker records about itself."""

    id: str
    started_at: datetime
    release: str  #: of this software
    kinds: tuple[str, ...]  #: the kinds of tasks that it knows
    busy: float = 0.0  #: the share of its time spent on work, from 0 to 1
    late: int = 0  #: tasks that it checks too late


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorker(Presence):
    """A worker with the number of jobsets and tasks that it holds."""

    seen_at: datetime  #: by the database's clock
    is_alive: bool
    jobsets: int
    tasks: int


def note(connection: Connection, presence: Presence) -> None:
    """Record that a worker lives, and its load."""
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
    """Return how many workers were seen within some seconds."""
    alive = select(func.count()).select_from(workers).where(workers.c.seen_at > after(-within_s))
    return connection.scalar(alive) or 0


def living_ids(connection: Connection, kind: str, within_s: float = 60.0) -> set[str]:
    """Return the ids of the workers that were seen within some seconds and know a kind."""
    alive = select(workers.c.id, workers.c.kinds).where(workers.c.seen_at > after(-within_s))
    rows = connection.execute(alive)
    return {row.id for row in rows if kind in (row.kinds or _OF_EARLIER_RELEASES)}


def living_by_kind(connection: Connection, within_s: float) -> Counter[str]:
    """Return how many workers that were seen within some seconds know a kind, by kind."""
    alive = select(workers.c.kinds).where(workers.c.seen_at > after(-within_s))
    known = connection.scalars(alive)
    return Counter(kind for kinds in known for kind in kinds or _OF_EARLIER_RELEASES)


def known(connection: Connection, within_s: float) -> list[KnownWorker]:
    """Return every worker that has not stopped, the oldest first.

    Args:
        within_s: a worker that was silent for longer counts as dead, in seconds.
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
    """Remove the records of workers that were not seen for some seconds."""
    connection.execute(workers.delete().where(workers.c.seen_at < after(-silence_s)))


def forget(connection: Connection, worker: str) -> None:
    """Remove the record of a worker that stops."""
    connection.execute(workers.delete().where(workers.c.id == worker))
