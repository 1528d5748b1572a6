"""Keep what exporters have scraped: one task for each source, and what was found there last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, delete, insert, select, type_coerce, update

from tracker_service.domain.leases import Lease
from tracker_service.errors import LeaseLost
from tracker_service.store import jobsets, locks
from tracker_service.store.database import Connection, database_now, upsert
from tracker_service.store.tables import expositions, tasks

SCRAPING = "scraping"  #: the state of every task that scrapes
_OWNER = ""  #: these tasks are of no user

Spec = Mapping[str, Any]


def enrol(connection: Connection, kind: str, wanted: Mapping[str, Spec], now: datetime) -> None:
    """Change the tasks of a kind so that there is one for each wanted source and no other.

    Args:
        wanted: how each source is scraped, by its name.
    """
    locks.take(connection, kind)
    found = connection.execute(
        select(tasks.c.id, tasks.c.subject, tasks.c.spec, tasks.c.jobset_id).where(
            tasks.c.kind == kind, tasks.c.owner == _OWNER
        )
    ).all()
    for row in found:
        if row.subject not in wanted:
            jobsets.shrink(connection, row.jobset_id, 1)  # first: `record` waits, and finds nothing
            connection.execute(delete(tasks).where(tasks.c.id == row.id))
        elif row.spec != wanted[row.subject]:
            changed = update(tasks).where(tasks.c.id == row.id)
            connection.execute(changed.values(spec=wanted[row.subject]))
            jobsets.touch(connection, row.jobset_id)
    for name in wanted.keys() - {row.subject for row in found}:
        _add(connection, kind, name, wanted[name], now)


def _add(connection: Connection, kind: str, name: str, spec: Spec, now: datetime) -> None:
    """Add a task in a jobset of its own: sources are shared one by one, and given back so."""
    [jobset] = jobsets.place(connection, kind, name, 1)
    row = {"kind": kind, "owner": _OWNER, "subject": name, "spec": spec, "jobset_id": jobset}
    connection.execute(insert(tasks), row | {"state": SCRAPING, "created_at": now})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A task that scrapes, as its worker loads it."""

    id: int
    spec: Spec
    health: Mapping[str, Any] | None  #: as its last worker left it


def of_jobset(connection: Connection, lease: Lease) -> list[Source]:
    """Return the tasks of a jobset."""
    rows = connection.execute(
        select(tasks.c.id, tasks.c.spec, expositions.c.health)
        .outerjoin(expositions, expositions.c.task_id == tasks.c.id)
        .where(tasks.c.jobset_id == lease.jobset_id)
    )
    return [Source(**row._mapping) for row in rows]


def record(
    connection: Connection,
    task_id: int,
    lease: Lease,
    health: Mapping[str, Any],
    snapshot: bytes | None,
) -> None:
    """Record an update, whole.

    Args:
        snapshot: the new values; None if the last ones stay.

    Raises:
        LeaseLost: another worker scrapes the source now, or nobody does any more.
    """
    jobsets.guard(connection, lease)
    wanted = select(tasks.c.id).where(tasks.c.id == task_id, tasks.c.jobset_id == lease.jobset_id)
    if connection.scalar(wanted) is None:
        raise LeaseLost(f"task {task_id} was removed")
    row = {"task_id": task_id, "health": health, "tried_at": database_now()}
    if snapshot is not None:
        row |= {"snapshot": snapshot, "snapshot_at": database_now()}
    upsert(connection, expositions, row)


def last_snapshot(connection: Connection, task_id: int) -> bytes | None:
    """Return the values that the last successful update of a source has found."""
    found: bytes | None = connection.scalar(
        select(expositions.c.snapshot).where(expositions.c.task_id == task_id)
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposition:
    """What is shown of a source."""

    spec: Spec
    health: Mapping[str, Any] | None  #: None: it was not scraped yet
    tried_s: float | None  #: since when no update has ended, in seconds
    snapshot: bytes | None
    snapshot_s: float | None  #: how old the snapshot is, in seconds


def shown(connection: Connection, kind: str, name: str | None = None) -> list[Exposition]:
    """Return what is known of the sources of a kind, in the order of their names.

    Args:
        name: of one source; None for all.
    """
    now = type_coerce(database_now(), BigInteger)
    wanted = (
        select(
            tasks.c.spec,
            expositions.c.health,
            ((now - type_coerce(expositions.c.tried_at, BigInteger)) / 1000.0).label("tried_s"),
            expositions.c.snapshot,
            ((now - type_coerce(expositions.c.snapshot_at, BigInteger)) / 1000.0).label(
                "snapshot_s"
            ),
        )
        .outerjoin(expositions, expositions.c.task_id == tasks.c.id)
        .where(tasks.c.kind == kind, tasks.c.owner == _OWNER)
        .order_by(tasks.c.subject)
    )
    if name is not None:
        wanted = wanted.where(tasks.c.subject == name)
    rows = connection.execute(wanted)
    return [Exposition(**row._mapping) for row in rows]
