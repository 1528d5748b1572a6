"""Record an update of a master: its values, and the events that tell of its executions."""

from __future__ import annotations

from tracker_service.domain.leases import Lease
from tracker_service.exporters.changes import Changes, changes
from tracker_service.exporters.masters import Master
from tracker_service.exporters.scraping import Update
from tracker_service.exporters.snapshot import Snapshot
from tracker_service.store import events, expositions
from tracker_service.store.database import Connection, Store, current_time


def record(store: Store, task_id: int, lease: Lease, master: Master, found: Update) -> None:
    """Record an update and its events in one transaction.

    Raises:
        LeaseLost: another worker scrapes the master now, or nobody does any more.
        StoreUnavailable: nothing is recorded, or the answer to the commit got lost.
    """
    health = found.health.stored()
    told = _changes(store, task_id, master, found.snapshot) if found.snapshot else None
    packed = told.snapshot.packed() if told else None

    def write(connection: Connection) -> None:
        expositions.record(connection, task_id, lease, health, packed)
        for event in told.events if told else ():
            events.append(connection, event)

    store.write(write)


def _changes(store: Store, task_id: int, master: Master, found: Snapshot) -> Changes:
    """Compare with what is stored, and not with what this worker remembers: it may be new.

    Nobody else changes it in between, because whoever records holds the lease.
    """
    with store.read() as connection:
        stored = expositions.last_snapshot(connection, task_id)
        now = current_time(connection)
    return changes(master, Snapshot.unpacked(stored) if stored else None, found, now)
