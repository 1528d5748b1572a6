"""Lock what has a limit: one transaction at a time counts rows and adds to them."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Insert, bindparam

from tracker_service.store.database import Connection, database_now, upserting
from tracker_service.store.tables import locks


def take(connection: Connection, purpose: str, owner: str = "") -> None:
    """Wait until no other transaction holds a lock, and hold it until this transaction ends.

    Args:
        purpose: what is limited.
        owner: the user whose rows are limited; empty if the limit is one of all users.
    """
    connection.execute(_taken(connection.dialect.name), {"purpose": purpose, "owner": owner})


@cache
def _taken(dialect_name: str) -> Insert:
    return upserting(dialect_name, locks, ("purpose", "owner", "taken_at")).values(
        purpose=bindparam("purpose"), owner=bindparam("owner"), taken_at=database_now()
    )
