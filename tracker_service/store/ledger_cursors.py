"""How far the iterators of a ledger are: for each source, the next date."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from tracker_service.store import locks
from tracker_service.store.database import Connection, upsert
from tracker_service.store.tables import ledger_cursors

Place = tuple[str, str]  #: the iterator, and the name of the source


def lock(connection: Connection, ledger: str) -> None:
    """Wait until nobody else moves the cursors of a ledger, and keep others from it."""
    locks.take(connection, "ledger", ledger)


def read(connection: Connection, ledger: str) -> dict[Place, tuple[int, datetime]]:
    """Return the round and the next date of each source."""
    rows = select(ledger_cursors).where(ledger_cursors.c.ledger == ledger)
    return {(row.iterator, row.source): (row.round, row.date) for row in connection.execute(rows)}


def write(
    connection: Connection, ledger: str, cursors: Mapping[Place, tuple[int, datetime]]
) -> None:
    """Store the round and the next date of some sources."""
    for (iterator, source), (round_, date) in sorted(cursors.items()):
        place = {"ledger": ledger, "iterator": iterator, "source": source}
        upsert(connection, ledger_cursors, place | {"round": round_, "date": date})
