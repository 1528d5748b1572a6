"""Keep each user's encrypted credential for background work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update

from tracker_service.store.database import Connection, upsert
from tracker_service.store.tables import credentials, tasks
from tracker_service.store.tasks import IS_LIVE

#: The pauses after a credential is refused; the last one repeats. Knox also answers 401 while its
#: LDAP is down, so the credential is tried again, but so rarely that no directory locks the user.
RETRY_AFTER = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=4),
)


def pause_after(refusals: int) -> timedelta:
    """Return the pause after so many refusals in a row, at least one."""
    return RETRY_AFTER[min(refusals, len(RETRY_AFTER)) - 1]


def has_rested(refusals: int, retry_at: datetime | None, now: datetime) -> bool:
    """Tell whether it is time to try a refused credential again.

    It is, too, if it was refused later than now: the clock was set back since.
    """
    if retry_at is None:
        return False
    return not retry_at - pause_after(refusals) <= now < retry_at


def may_be_used(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a user has no credential, or one that may be used now."""
    refusals, retry_at = credentials.c.refusals, credentials.c.retry_at
    longest = and_(refusals > len(RETRY_AFTER), retry_at > now + RETRY_AFTER[-1])
    from_ahead = [
        and_(refusals == number, retry_at > now + pause)
        for number, pause in enumerate(RETRY_AFTER, 1)
    ]
    return or_(func.coalesce(refusals, 0) == 0, retry_at <= now, longest, *from_ahead)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCredential:
    """A user's encrypted credential, and whether the gateway has refused it."""

    owner: str
    sealed: bytes
    kept_at: datetime
    refusals: int
    retry_at: datetime | None

    def may_be_used(self, now: datetime) -> bool:
        """Tell whether the gateway has not refused it, or it is time for the next try."""
        return self.refusals == 0 or has_rested(self.refusals, self.retry_at, now)


def keep(connection: Connection, owner: str, sealed: bytes, now: datetime) -> None:
    """Keep a user's new credential in place of the old one."""
    fresh = {"owner": owner, "sealed": sealed, "kept_at": now, "refusals": 0, "retry_at": None}
    upsert(connection, credentials, fresh)


def find(connection: Connection, owners: Iterable[str]) -> dict[str, KeptCredential]:
    """Return the kept credentials of these users, by user."""
    rows = connection.execute(select(credentials).where(credentials.c.owner.in_(list(owners))))
    return {row.owner: KeptCredential(**row._mapping) for row in rows}


def refuse(connection: Connection, credential: KeptCredential, now: datetime) -> bool:
    """Note that the gateway refused a credential.

    Returns:
        False if a new credential has replaced it meanwhile; the new one is not changed.
    """
    pause = pause_after(credential.refusals + 1)
    changed = connection.execute(
        update(credentials)
        .where(credentials.c.owner == credential.owner)
        .where(credentials.c.kept_at == credential.kept_at)
        .values(refusals=credential.refusals + 1, retry_at=now + pause)
    )
    return changed.rowcount == 1


def renew(
    connection: Connection, credential: KeptCredential, sealed: bytes, now: datetime
) -> KeptCredential | None:
    """Replace a credential by a renewed one.

    Returns:
        the renewed credential; None if a new one has replaced the old one meanwhile.
    """
    changed = connection.execute(
        update(credentials)
        .where(credentials.c.owner == credential.owner)
        .where(credentials.c.kept_at == credential.kept_at)
        .values(sealed=sealed, kept_at=now)
    )
    return replace(credential, sealed=sealed, kept_at=now) if changed.rowcount else None


def accept(connection: Connection, credential: KeptCredential) -> None:
    """Note that the gateway accepts a credential again."""
    connection.execute(
        update(credentials)
        .where(credentials.c.owner == credential.owner)
        .where(credentials.c.kept_at == credential.kept_at)
        .values(refusals=0, retry_at=None)
    )


def erase_unneeded(connection: Connection, credential: KeptCredential) -> bool:
    """Erase a credential whose user has no live task, unless a new one has replaced it.

    Returns:
        whether it was erased.
    """
    needed = exists().where(tasks.c.owner == credential.owner, IS_LIVE)
    erased = connection.execute(
        delete(credentials)
        .where(credentials.c.owner == credential.owner, ~needed)
        .where(credentials.c.kept_at == credential.kept_at)
    )
    return erased.rowcount == 1


def all_encrypted(connection: Connection) -> Sequence[tuple[str, bytes]]:
    """Return the pairs of user and encrypted credential."""
    found = connection.execute(select(credentials.c.owner, credentials.c.sealed))
    return [(row.owner, row.sealed) for row in found]


def replace_encrypted(connection: Connection, owner: str, old: bytes, new: bytes) -> None:
    """Replace a credential by the same credential, encrypted with another key.

    A credential that has come meanwhile stays: it, too, was encrypted with a key of the key file.
    """
    connection.execute(
        update(credentials)
        .where(credentials.c.owner == owner, credentials.c.sealed == old)
        .values(sealed=new)
    )
