"""Share the tasks between workers: jobsets, held by lease, each change of holder a new epoch.

A claim is a compare-and-set: it holds on every database, also on SQLite, which ignores
SELECT … FOR UPDATE. Leases are judged by the database's clock, the one clock that all share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    bindparam,
    func,
    or_,
    select,
    type_coerce,
    update,
)

from tracker_service.domain.tasks import Lease
from tracker_service.errors import LeaseLost
from tracker_service.store.engine import Connection, database_now, insert_new, upsert
from tracker_service.store.tables import Instant, jobsets, workers

CAPACITY = 100  #: tasks in one jobset


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJobset:
    """A jobset that a worker holds."""

    lease: Lease
    version: int
    size: int


def place(connection: Connection, kind: str, affinity: str, count: int) -> list[int]:
    """Make room for new tasks in jobsets of this kind and affinity.

    Returns:
        the jobset of each of the `count` tasks.
    """
    placed: list[int] = []
    while len(placed) < count:
        roomy = connection.execute(
            select(jobsets.c.id, jobsets.c.size, jobsets.c.version)
            .where(jobsets.c.kind == kind, jobsets.c.affinity == affinity)
            .where(jobsets.c.size < CAPACITY)
            .order_by(jobsets.c.size.desc())
        ).all()
        if not roomy:
            _add(connection, kind, affinity, -(-(count - len(placed)) // CAPACITY))
        for jobset in roomy:
            taken = min(CAPACITY - jobset.size, count - len(placed))
            # Whoever loses this compare-and-set looks again for room.
            if taken and _resize(connection, jobset.id, jobset.version, taken):
                placed += [jobset.id] * taken
    return placed


def _add(connection: Connection, kind: str, affinity: str, count: int) -> None:
    new = {"kind": kind, "affinity": affinity, "size": 0, "epoch": 0, "version": 0}
    never = datetime.fromtimestamp(0).astimezone()
    insert_new(connection, jobsets, [new | {"lease_until": never} for _ in range(count)])


def _resize(connection: Connection, jobset_id: int, version: int, by: int) -> bool:
    changed = connection.execute(
        update(jobsets)
        .where(jobsets.c.id == jobset_id, jobsets.c.version == version)
        .values(size=jobsets.c.size + by, version=jobsets.c.version + 1)
    )
    return changed.rowcount == 1


def shrink(connection: Connection, jobset_id: int, by: int) -> None:
    """Give back the room of tasks that have ended."""
    connection.execute(
        update(jobsets)
        .where(jobsets.c.id == jobset_id)
        .values(size=jobsets.c.size - by, version=jobsets.c.version + 1)
    )


def touch(connection: Connection, jobset_id: int) -> None:
    """Note that the content has changed, so that the holder looks at it."""
    shrink(connection, jobset_id, 0)


def _is_free() -> ColumnElement[bool]:
    has_no_holder = or_(jobsets.c.owner.is_(None), jobsets.c.lease_until < database_now())
    return and_(jobsets.c.size > 0, has_no_holder)


def any_free(connection: Connection) -> bool:
    """Tell whether there is a jobset to claim, without waiting for any writer."""
    return connection.scalar(select(jobsets.c.id).where(_is_free()).limit(1)) is not None


def claim(connection: Connection, worker: str, lease_s: float, limit: int) -> int:
    """Take jobsets that have tasks and no holder, or one whose lease has run out.

    Returns:
        how many were taken, `limit` at most.
    """
    free = _is_free()
    candidates = connection.execute(
        select(jobsets.c.id, jobsets.c.version)
        .where(free)
        .order_by(jobsets.c.lease_until)
        .limit(limit)
    ).all()
    taken = 0
    for candidate in candidates:
        claimed = connection.execute(
            update(jobsets)
            .where(jobsets.c.id == candidate.id, jobsets.c.version == candidate.version)
            .where(free)  # its holder may have renewed the lease in between
            .values(
                owner=worker,
                epoch=jobsets.c.epoch + 1,
                version=jobsets.c.version + 1,
                lease_until=_after(lease_s),
            )
        )
        # 0: another worker was faster, or the content changed; the next look decides.
        taken += claimed.rowcount
    return taken


def renew(connection: Connection, worker: str, lease_s: float, started_at: datetime) -> None:
    """Say that a worker lives, and prolong all its leases with one statement."""
    row = {"id": worker, "started_at": started_at, "seen_at": database_now()}
    upsert(connection, workers, row)
    connection.execute(
        update(jobsets).where(jobsets.c.owner == worker).values(lease_until=_after(lease_s))
    )


def held(connection: Connection, worker: str) -> list[HeldJobset]:
    """Return what a worker holds according to the database."""
    rows = connection.execute(
        select(jobsets.c.id, jobsets.c.epoch, jobsets.c.version, jobsets.c.size).where(
            jobsets.c.owner == worker
        )
    )
    return [
        HeldJobset(
            lease=Lease(jobset_id=row.id, epoch=row.epoch), version=row.version, size=row.size
        )
        for row in rows
    ]


def release(connection: Connection, worker: str, leases: Iterable[Lease] | None = None) -> None:
    """Give jobsets back, at once and for anybody; without leases all that the worker holds."""
    given_back = (
        update(jobsets)
        .where(jobsets.c.owner == worker)
        .values(owner=None, version=jobsets.c.version + 1)
    )
    if leases is not None:
        given_back = given_back.where(jobsets.c.id.in_([lease.jobset_id for lease in leases]))
    connection.execute(given_back)


def guard(connection: Connection, lease: Lease) -> None:
    """Make sure that a lease still holds until this transaction ends.

    Raises:
        LeaseLost: another worker has taken the jobset: its epoch is higher.
    """
    epoch = connection.scalar(
        select(jobsets.c.epoch)
        .where(jobsets.c.id == lease.jobset_id, jobsets.c.owner.is_not(None))
        .with_for_update(read=True)  # SQLite needs none: it has one writer at a time
    )
    if epoch != lease.epoch:
        raise LeaseLost(f"jobset {lease.jobset_id} is in epoch {epoch}, not in {lease.epoch}")


def affinity(connection: Connection, lease: Lease) -> str:
    """Return who is asked about the tasks of a jobset, and as whom."""
    found = select(jobsets.c.affinity).where(jobsets.c.id == lease.jobset_id)
    return str(connection.execute(found).scalar_one())


def polled(connection: Connection, looked_at: Mapping[Lease, datetime]) -> None:
    """Note that all tasks of these jobsets were looked at, at the given instant or later."""
    rows = [
        {"jobset": lease.jobset_id, "held_in": lease.epoch, "instant": instant}
        for lease, instant in looked_at.items()
    ]
    connection.execute(
        update(jobsets)
        .where(jobsets.c.id == bindparam("jobset"), jobsets.c.epoch == bindparam("held_in"))
        .values(polled_at=bindparam("instant")),
        rows,
    )


def living_workers(connection: Connection, within_s: float) -> int:
    """Return how many workers have said that they live within this time."""
    alive = select(func.count()).select_from(workers).where(workers.c.seen_at > _after(-within_s))
    return connection.scalar(alive) or 0


def forget_silent_workers(connection: Connection, silence_s: float) -> None:
    """Remove the records of workers that were killed long ago."""
    connection.execute(workers.delete().where(workers.c.seen_at < _after(-silence_s)))


def forget_worker(connection: Connection, worker: str) -> None:
    """Remove the record of a worker that stops."""
    connection.execute(workers.delete().where(workers.c.id == worker))


def _after(seconds: float) -> ColumnElement[datetime]:
    """Return the instant this long after the database's now."""
    now = type_coerce(database_now(), BigInteger)
    return type_coerce(now + round(seconds * 1000), Instant)
