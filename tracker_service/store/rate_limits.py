"""Limit the requests of each user, over all processes.

This is the generic cell rate algorithm: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update

from tracker_service.store.database import Connection, insert_new
from tracker_service.store.tables import allowances

_PERIOD = timedelta(minutes=1)


def take(
    connection: Connection, owner: str, now: datetime, per_minute: int, wanted: int
) -> tuple[int, timedelta]:
    """Take some of the requests that a user may send now.

    Each request uses its share of a minute. A user who was quiet for a minute may send the requests
    of a whole minute at once.

    Args:
        per_minute: the limit of the user.
        wanted: the most requests to take.

    Returns:
        how many requests were taken; if none, also the time after which to try again.
    """
    share = _PERIOD / per_minute
    full = now + _PERIOD
    kept = _locked(connection, owner, now)
    # Later than `full` is what was written before the clock was set back.
    used_until = kept if now < kept <= full else now
    taken = min(wanted, (full - used_until) // share)
    if taken <= 0:
        return 0, used_until + share - full
    connection.execute(
        update(allowances)
        .where(allowances.c.owner == owner)
        .values(used_until=used_until + taken * share)
    )
    return taken, timedelta(0)


def _locked(connection: Connection, owner: str, now: datetime) -> datetime:
    """Return up to when a user's requests are used up; other processes wait to read it."""
    found = select(allowances.c.used_until).where(allowances.c.owner == owner).with_for_update()
    while (row := connection.execute(found).first()) is None:
        insert_new(connection, allowances, [{"owner": owner, "used_until": now}])
    used_until: datetime = row.used_until
    return used_until


def forget(connection: Connection, now: datetime) -> None:
    """Remove the rows of users whose whole limit is free again."""
    is_free = or_(allowances.c.used_until <= now, allowances.c.used_until > now + _PERIOD)
    connection.execute(delete(allowances).where(is_free))
