"""Count the wrong credentials of each user name, over all processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, update

from tracker_service.store.database import Connection, insert_new
from tracker_service.store.tables import wrong_tries

MOST = 3  #: in a minute
LIFE = timedelta(minutes=1)
_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """One of the places that a name has; it is taken for a minute, or until it is given back."""

    name: str
    place: int
    tried_at: datetime


def take(connection: Connection, name: str, now: datetime) -> LoginAttempt | datetime:
    """Take one of the tries that a name has.

    Args:
        name: of at most 64 characters.

    Returns:
        the try; or, if there is none left, when there will be one.
    """
    known = select(wrong_tries.c.place, wrong_tries.c.tried_at).where(wrong_tries.c.name == name)
    taken: dict[int, datetime] = {row.place: row.tried_at for row in connection.execute(known)}
    for place in range(MOST):
        if taken.get(place, _LONG_AGO) + LIFE <= now and _claim(connection, name, place, now):
            return LoginAttempt(name, place, now)
    # Where others have just taken the last ones, none of them is in `taken`.
    return min((at for at in taken.values() if at + LIFE > now), default=now) + LIFE


def _claim(connection: Connection, name: str, place: int, now: datetime) -> bool:
    """Compare and set; False if somebody else was faster."""
    fresh = {"name": name, "place": place, "tried_at": _LONG_AGO}
    insert_new(connection, wrong_tries, [fresh])
    changed = connection.execute(
        update(wrong_tries)
        .where(wrong_tries.c.name == name, wrong_tries.c.place == place)
        .where(wrong_tries.c.tried_at <= now - LIFE)
        .values(tried_at=now)
    )
    return changed.rowcount == 1


def give_back(connection: Connection, mine: LoginAttempt) -> None:
    """Let a try not count."""
    connection.execute(
        update(wrong_tries)
        .where(wrong_tries.c.name == mine.name, wrong_tries.c.place == mine.place)
        .where(wrong_tries.c.tried_at == mine.tried_at)
        .values(tried_at=_LONG_AGO)
    )


def forget(connection: Connection, now: datetime) -> None:
    """Remove what counts no more."""
    connection.execute(delete(wrong_tries).where(wrong_tries.c.tried_at <= now - LIFE))
