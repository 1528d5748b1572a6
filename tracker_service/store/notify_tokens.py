"""Keep the tokens with which Oozie may hint at changes for a user; only keyed hashes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, or_, select, update

from tracker_service.store.database import Connection
from tracker_service.store.tables import notify_tokens

ID_LENGTH = 12  #: of what tells a user's tokens apart: the start of a fingerprint
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotifyToken:
    """What is known of a token; not the token itself."""

    fingerprint: str
    owner: str
    created_at: datetime
    used_at: datetime | None  #: about when a notification came with it last

    @property
    def id(self) -> str:
        """Return what tells this token from the others of its owner."""
        return self.fingerprint[:ID_LENGTH]


def add(connection: Connection, token: KeptNotifyToken, limit: int) -> bool:
    """Keep a new token, unless its owner has as many as one user may have.

    Returns:
        False if it is not kept.
    """
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
    """Return the token that has one of these fingerprints."""
    row = connection.execute(
        select(notify_tokens).where(notify_tokens.c.fingerprint.in_(fingerprints))
    ).first()
    return KeptNotifyToken(**row._mapping) if row else None


def wants_note(token: KeptNotifyToken, now: datetime) -> bool:
    """Tell whether the last use that is known is so long ago that a new one is worth a write."""
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
    """Let a token of a user be worth nothing from now on.

    Returns:
        False if the user has no such token.
    """
    revoked = connection.execute(
        delete(notify_tokens)
        .where(notify_tokens.c.owner == owner)
        .where(func.substr(notify_tokens.c.fingerprint, 1, ID_LENGTH) == token_id)
    )
    return revoked.rowcount > 0
