"""Keep each user's encrypted credential for background work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select, update

from tracker_service.domain.tasks import TaskState
from tracker_service.store.database import Connection, upsert
from tracker_service.store.tables import credentials, tasks

#: Knox says 401 for a wrong password and while its LDAP is down. So a refused credential is tried
#: again, so seldom that no directory locks the user out: the last pause repeats itself.
RETRY_AFTER = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=4),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCredential:
    """A user's sealed credential, and whether it may be used now."""

    owner: str
    sealed: bytes
    kept_at: datetime
    refusals: int
    retry_at: datetime | None

    def may_be_used(self, now: datetime) -> bool:
        """Tell whether the gateway has not refused it, or its next try has come."""
        return self.refusals == 0 or (self.retry_at is not None and self.retry_at <= now)


def keep(connection: Connection, owner: str, sealed: bytes, now: datetime) -> None:
    """Keep a fresh credential in place of an older one."""
    fresh = {"owner": owner, "sealed": sealed, "kept_at": now, "refusals": 0, "retry_at": None}
    upsert(connection, credentials, fresh)


def find(connection: Connection, owners: Iterable[str]) -> dict[str, KeptCredential]:
    """Return the credentials of these users that are kept."""
    rows = connection.execute(select(credentials).where(credentials.c.owner.in_(list(owners))))
    return {row.owner: KeptCredential(**row._mapping) for row in rows}


def refuse(connection: Connection, credential: KeptCredential, now: datetime) -> bool:
    """Note that the gateway refused a credential.

    Returns:
        False if a fresh one has come meanwhile, which is unharmed.
    """
    pause = RETRY_AFTER[min(credential.refusals, len(RETRY_AFTER) - 1)]
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
    """Put a renewed credential in the place of one; None if a fresh one has come meanwhile."""
    changed = connection.execute(
        update(credentials)
        .where(credentials.c.owner == credential.owner)
        .where(credentials.c.kept_at == credential.kept_at)
        .values(sealed=sealed, kept_at=now)
    )
    return replace(credential, sealed=sealed, kept_at=now) if changed.rowcount else None


def accept(connection: Connection, credential: KeptCredential) -> None:
    """Note that the gateway takes a credential again."""
    connection.execute(
        update(credentials)
        .where(credentials.c.owner == credential.owner)
        .where(credentials.c.kept_at == credential.kept_at)
        .values(refusals=0, retry_at=None)
    )


def erase_unneeded(connection: Connection, credential: KeptCredential) -> bool:
    """Erase a credential whose user has no live task, unless it was kept anew meanwhile."""
    needed = exists().where(tasks.c.owner == credential.owner, tasks.c.state != TaskState.ENDED)
    erased = connection.execute(
        delete(credentials)
        .where(credentials.c.owner == credential.owner, ~needed)
        .where(credentials.c.kept_at == credential.kept_at)
    )
    return erased.rowcount == 1


def all_encrypted(connection: Connection) -> Sequence[tuple[str, bytes]]:
    """Return each user with the encrypted credential that is kept."""
    found = connection.execute(select(credentials.c.owner, credentials.c.sealed))
    return [(row.owner, row.sealed) for row in found]


def replace_encrypted(connection: Connection, owner: str, old: bytes, new: bytes) -> None:
    """Put the same credential, encrypted with another key, in the place of the old form.

    A credential that has come meanwhile stays: it was encrypted with a key of the file as well.
    """
    connection.execute(
        update(credentials)
        .where(credentials.c.owner == owner, credentials.c.sealed == old)
        .values(sealed=new)
    )
