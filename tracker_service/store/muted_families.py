"""Keep which families of failures nobody wants to hear of for a while."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select

from tracker_service.store.database import Connection, database_now, upsert
from tracker_service.store.tables import muted_families


def mute(
    connection: Connection, owner: str, fingerprint: str, until: datetime, muted_by: str
) -> None:
    """Send an owner no message of a family until an instant.

    Args:
        owner: whose messages; empty for those of the site.
    """
    row = {"owner": owner, "fingerprint": fingerprint, "until": until, "muted_by": muted_by}
    upsert(connection, muted_families, {**row, "muted_at": database_now()})


def unmute(connection: Connection, owner: str, fingerprint: str) -> bool:
    """Send an owner messages of a family again; return False if it was not muted."""
    this = (muted_families.c.owner == owner, muted_families.c.fingerprint == fingerprint)
    return connection.execute(delete(muted_families).where(*this)).rowcount > 0


def of_owners(
    connection: Connection, owners: Collection[str], now: datetime
) -> set[tuple[str, str | None]]:
    """Return the families that are muted now, each as (owner, fingerprint)."""
    rows = connection.execute(
        select(muted_families.c.owner, muted_families.c.fingerprint).where(
            muted_families.c.owner.in_(sorted(owners)), muted_families.c.until > now
        )
    )
    return {(row.owner, row.fingerprint) for row in rows}


def forget_over(connection: Connection, now: datetime) -> None:
    """Remove what is not muted any more."""
    connection.execute(delete(muted_families).where(muted_families.c.until <= now))
