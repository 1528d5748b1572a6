"""Lock what has a limit: one transaction at a time counts rows and adds to them."""

from __future__ import annotations

from tracker_service.store.database import Connection, database_now, upsert
from tracker_service.store.tables import locks


def take(connection: Connection, purpose: str, owner: str = "") -> None:
    """Wait until no other transaction holds a lock, and hold it until this transaction ends.

    Args:
        purpose: what is limited.
        owner: the user whose rows are limited; empty if the limit is one of all users.
    """
    upsert(connection, locks, {"purpose": purpose, "owner": owner, "taken_at": database_now()})
