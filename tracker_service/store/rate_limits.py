"""Count the requests of each user, over all processes (the generic cell rate algorithm)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from tracker_service.store.database import Connection, insert_new
from tracker_service.store.tables import allowances

_TRIES = 5


def take(
    connection: Connection, owner: str, now: datetime, per_minute: int, wanted: int
) -> tuple[int, timedelta]:
    """Take some of the requests that a user may make now.

    Each request uses up its share of a minute. A user who was quiet for a minute may make all
    requests of the next one at once.

    Returns:
        how many were taken, at most `wanted`; if none: after which time to ask again.
    """
    share = timedelta(minutes=1) / per_minute
    full = now + timedelta(minutes=1)
    for _ in range(_TRIES):
        kept = connection.scalar(select(allowances.c.used_until).where(allowances.c.owner == owner))
        used_until = max(kept or now, now)
        taken = min(wanted, (full - used_until) // share)
        if taken <= 0:
            return 0, used_until + share - full
        if _note(connection, owner, kept, used_until + taken * share):
            return taken, timedelta(0)
    return 1, timedelta(0)  # others of this user are served right now: this one is no flood


def _note(connection: Connection, owner: str, kept: datetime | None, until: datetime) -> bool:
    """Compare and set; False if somebody else was faster."""
    if kept is None:
        insert_new(connection, allowances, [{"owner": owner, "used_until": until}])
        mine = select(allowances.c.used_until == until).where(allowances.c.owner == owner)
        return bool(connection.scalar(mine))
    changed = connection.execute(
        update(allowances)
        .where(allowances.c.owner == owner, allowances.c.used_until == kept)
        .values(used_until=until)
    )
    return changed.rowcount == 1


def forget(connection: Connection, now: datetime) -> None:
    """Remove users whose requests are all allowed again."""
    connection.execute(delete(allowances).where(allowances.c.used_until <= now))
