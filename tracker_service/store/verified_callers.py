"""Cache which user a caller's credential belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, or_, select, update

from tracker_service.store.database import Connection, upsert
from tracker_service.store.tables import verdicts

VERIFIED_FOR = timedelta(seconds=60)
#: The check of a credential that was right within this time takes none of the attempts in
#: `failed_logins`, unless the credential turns out to be wrong.
RIGHT_LATELY = timedelta(hours=12)

_FIND = select(verdicts.c.owner, verdicts.c.expires_at, verdicts.c.sealed).where(
    verdicts.c.fingerprint == bindparam("fingerprint")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCaller:
    """The user to whom a credential belongs."""

    owner: str
    expires_at: datetime  #: from then on it has to be verified again
    sealed: bytes | None = None  #: the encrypted token that it was exchanged for

    def is_valid(self, now: datetime) -> bool:
        """Tell whether the gateway has said so within the last minute.

        A later end was written before the clock was set back, or by a clock that is fast.
        """
        return now < self.expires_at <= now + VERIFIED_FOR


def keep(connection: Connection, fingerprint: str, found: VerifiedCaller) -> None:
    """Keep to which user a credential belongs."""
    row = {"owner": found.owner, "expires_at": found.expires_at, "sealed": found.sealed}
    upsert(connection, verdicts, {"fingerprint": fingerprint} | row)


def find(connection: Connection, fingerprint: str) -> VerifiedCaller | None:
    """Return to which user a credential belongs, also after it has expired; None if unknown."""
    row = connection.execute(_FIND, {"fingerprint": fingerprint}).one_or_none()
    return VerifiedCaller(**row._mapping) if row else None


def drop(connection: Connection, fingerprint: str) -> None:
    """Remove a credential."""
    connection.execute(delete(verdicts).where(verdicts.c.fingerprint == fingerprint))


def forget_old(connection: Connection, now: datetime) -> None:
    """Remove callers who were not verified lately, and expired tokens."""
    is_ahead = verdicts.c.expires_at > now + RIGHT_LATELY  # since the clock was set back
    is_old = or_(verdicts.c.expires_at <= now - RIGHT_LATELY, is_ahead)
    connection.execute(delete(verdicts).where(is_old))
    is_over = or_(verdicts.c.expires_at <= now, verdicts.c.expires_at > now + VERIFIED_FOR)
    connection.execute(
        update(verdicts).where(is_over, verdicts.c.sealed.is_not(None)).values(sealed=None)
    )
