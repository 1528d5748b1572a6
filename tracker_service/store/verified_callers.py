"""Remember for a minute which user a caller's credential belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select, update

from tracker_service.store.database import Connection, upsert
from tracker_service.store.tables import verdicts

#: A credential that was right within this time is not counted as a failed login before it is wrong.
RIGHT_LATELY = timedelta(hours=12)

_FIND = select(verdicts.c.owner, verdicts.c.expires_at, verdicts.c.sealed).where(
    verdicts.c.fingerprint == bindparam("fingerprint")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCaller:
    """Which user a credential was found to be."""

    owner: str
    expires_at: datetime  #: then it is only known to have been right
    sealed: bytes | None = None  #: what it was exchanged for


def keep(connection: Connection, fingerprint: str, found: VerifiedCaller) -> None:
    """Keep which user a credential was found to be."""
    row = {"owner": found.owner, "expires_at": found.expires_at, "sealed": found.sealed}
    upsert(connection, verdicts, {"fingerprint": fingerprint} | row)


def find(connection: Connection, fingerprint: str) -> VerifiedCaller | None:
    """Return which user a credential was found to be, lately or now."""
    row = connection.execute(_FIND, {"fingerprint": fingerprint}).one_or_none()
    return VerifiedCaller(**row._mapping) if row else None


def drop(connection: Connection, fingerprint: str) -> None:
    """Forget that a credential was right."""
    connection.execute(delete(verdicts).where(verdicts.c.fingerprint == fingerprint))


def forget_old(connection: Connection, now: datetime) -> None:
    """Remove callers who were not verified lately, and tokens that have expired."""
    connection.execute(delete(verdicts).where(verdicts.c.expires_at <= now - RIGHT_LATELY))
    old = verdicts.c.expires_at <= now, verdicts.c.sealed.is_not(None)
    connection.execute(update(verdicts).where(*old).values(sealed=None))
