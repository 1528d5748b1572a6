"""Limit wrong credentials to a few in a minute for each user name, over all processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, or_, select, update

from tracker_service.store.database import Connection, insert_new
from tracker_service.store.tables import wrong_tries

MAX_PER_MINUTE = 3  #: for each user name
LIFE = timedelta(minutes=1)
_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """One of a user name's attempts; it counts for a minute, or until it is given back."""

    name: str
    place: int
    tried_at: datetime


def take(
    connection: Connection, name: str, now: datetime, most: int = MAX_PER_MINUTE
) -> LoginAttempt | datetime:
    """Take one of the attempts that a user name or a peer has in a minute.

    Args:
        name: a hash of whose attempts are counted, at most 64 characters.
        most: how many attempts there are.

    Returns:
        the attempt; if none is left, the instant from which one is free.
    """
    known = select(wrong_tries.c.place, wrong_tries.c.tried_at).where(wrong_tries.c.name == name)
    taken: dict[int, datetime] = {row.place: row.tried_at for row in connection.execute(known)}
    for place in range(most):
        is_free = not _counts(taken.get(place, _LONG_AGO), now)
        if is_free and _claim(connection, name, place, now):
            return LoginAttempt(name, place, now)
    # Attempts that other processes have taken just now are not in `taken`.
    return min((at for at in taken.values() if _counts(at, now)), default=now) + LIFE


def _counts(tried_at: datetime, now: datetime) -> bool:
    """Tell whether an attempt counts; one from far ahead is older than the clock, which was set."""
    return now - LIFE < tried_at <= now + LIFE


def _no_longer_counts(now: datetime) -> ColumnElement[bool]:
    return or_(wrong_tries.c.tried_at <= now - LIFE, wrong_tries.c.tried_at > now + LIFE)


def _claim(connection: Connection, name: str, place: int, now: datetime) -> bool:
    """Compare and set; return False if another process was faster."""
    fresh = {"name": name, "place": place, "tried_at": _LONG_AGO}
    insert_new(connection, wrong_tries, [fresh])
    changed = connection.execute(
        update(wrong_tries)
        .where(wrong_tries.c.name == name, wrong_tries.c.place == place)
        .where(_no_longer_counts(now))
        .values(tried_at=now)
    )
    return changed.rowcount == 1


def give_back(connection: Connection, attempt: LoginAttempt) -> None:
    """Free an attempt: the credential was right, or the gateway did not answer."""
    connection.execute(
        update(wrong_tries)
        .where(wrong_tries.c.name == attempt.name, wrong_tries.c.place == attempt.place)
        .where(wrong_tries.c.tried_at == attempt.tried_at)
        .values(tried_at=_LONG_AGO)
    )


def forget(connection: Connection, now: datetime) -> None:
    """Remove the attempts that no longer count."""
    connection.execute(delete(wrong_tries).where(_no_longer_counts(now)))
