"""Keep the notification tokens of users, as keyed hashes; with one, Oozie may send hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, or_, select, update

from tracker_service.store import locks
from tracker_service.store.database import Connection
from tracker_service.store.tables import notify_tokens

ID_LENGTH = 12  #: characters of a fingerprint that identify a token of a user
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotifyToken:
    """A kept token: its fingerprint, not the token itself."""

    fingerprint: str
    owner: str
    created_at: datetime
    used_at: datetime | None  #: when its last notification came, to about a minute

    @property
    def id(self) -> str:
        """Return the id of this token among the tokens of its owner."""
        return self.fingerprint[:ID_LENGTH]


def add(connection: Connection, token: KeptNotifyToken, limit: int) -> bool:
    """Keep a new token, unless its owner has `limit` tokens.

    Returns:
        whether it is kept.
    """
    locks.take(connection, "notify-tokens", token.owner)
    count = select(func.count()).where(notify_tokens.c.owner == token.owner)
    if (connection.scalar(count) or 0) >= limit:
        return False
    row = {"fingerprint": token.fingerprint, "owner": token.owner, "created_at": token.created_at}
    connection.execute(insert(notify_tokens), row)
    return True


def of_owner(connection: Connection, owner: str) -> list[KeptNotifyToken]:
    """Return a user's tokens, the oldest first."""
    rows = connection.execute(
        select(notify_tokens)
        .where(notify_tokens.c.owner == owner)
        .order_by(notify_tokens.c.created_at, notify_tokens.c.fingerprint)
    )
    return [KeptNotifyToken(**row._mapping) for row in rows]


def find(connection: Connection, fingerprints: Sequence[str]) -> KeptNotifyToken | None:
    """Return the token with one of these fingerprints; None if there is none."""
    row = connection.execute(
        select(notify_tokens).where(notify_tokens.c.fingerprint.in_(fingerprints))
    ).first()
    return KeptNotifyToken(**row._mapping) if row else None


def wants_note(token: KeptNotifyToken, now: datetime) -> bool:
    """Tell whether a use of a token should be noted: at most one use a minute is."""
    return token.used_at is None or now - token.used_at >= _USE_NOTED_EVERY


def note_use(connection: Connection, token: KeptNotifyToken, now: datetime) -> None:
    """Note that a notification came with a token."""
    column = notify_tokens.c.used_at
    connection.execute(
        update(notify_tokens)
        .where(notify_tokens.c.fingerprint == token.fingerprint)
        .where(or_(column.is_(None), column < now))
        .values(used_at=now)
    )


def revoke(connection: Connection, owner: str, token_id: str) -> bool:
    """Remove a token of a user: it is refused from now on.

    Returns:
        False if the user has no token with this id.
    """
    revoked = connection.execute(
        delete(notify_tokens)
        .where(notify_tokens.c.owner == owner)
        .where(func.substr(notify_tokens.c.fingerprint, 1, ID_LENGTH) == token_id)
    )
    return revoked.rowcount > 0
