"""Share the tasks between workers: jobsets, held by lease, each change of holder a new epoch.

A claim is a compare-and-set: it holds on every database, also on SQLite, which ignores
SELECT … FOR UPDATE. Leases are judged by the database's clock, the one clock that all share.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, or_, select, true, update

from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import ENDED, TaskState
from tracker_service.errors import LeaseLost
from tracker_service.store import workers
from tracker_service.store.database import Connection, after, database_now, insert_new
from tracker_service.store.tables import jobsets, tasks

CAPACITY = 100  #: tasks in one jobset
# Statements of every POST are built once: to build one takes longer than SQLite to execute it.
_ROOMY = (
    select(jobsets.c.id, jobsets.c.size, jobsets.c.version)
    .where(jobsets.c.kind == bindparam("task_kind"), jobsets.c.affinity == bindparam("together"))
    .where(jobsets.c.size < bindparam("capacity"))
    .order_by(jobsets.c.id)  # as `merge` does: no two wait for each other
)
_RESIZE = (
    update(jobsets)
    .where(jobsets.c.id == bindparam("jobset"), jobsets.c.version == bindparam("seen"))
    .values(size=jobsets.c.size + bindparam("by"), version=jobsets.c.version + 1)
)
Kinds = Collection[str] | None  # of tasks
EVERY_KIND: Kinds = None
WAITED_TOO_LONG_S = 60.0  #: nobody has room for a jobset that is still free then


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJobset:
    """A jobset that a worker holds."""

    lease: Lease
    kind: str  #: of its tasks
    version: int
    size: int


def place(connection: Connection, kind: str, affinity: str, count: int) -> list[int]:
    """Make room for new tasks in jobsets of this kind and affinity.

    Returns:
        the jobset of each of the `count` tasks.
    """
    placed: list[int] = []
    while len(placed) < count:
        wanted = {"task_kind": kind, "together": affinity, "capacity": CAPACITY}
        roomy = connection.execute(_ROOMY, wanted).all()
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
    now = connection.execute(select(database_now())).scalar_one()
    insert_new(connection, jobsets, [new | {"lease_until": now} for _ in range(count)])


def _resize(connection: Connection, jobset_id: int, version: int, by: int) -> bool:
    changed = connection.execute(_RESIZE, {"jobset": jobset_id, "seen": version, "by": by})
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


def _is_free(kinds: Kinds, for_s: float = 0.0) -> ColumnElement[bool]:
    """Tell of a jobset with tasks that it waits for a worker, since some seconds at least."""
    long_ago = jobsets.c.lease_until < after(-for_s)
    free = and_(jobsets.c.owner.is_(None), long_ago) if for_s else jobsets.c.owner.is_(None)
    is_wanted = true() if kinds is None else jobsets.c.kind.in_(list(kinds))
    return and_(is_wanted, jobsets.c.size > 0, or_(free, long_ago))


def any_free(connection: Connection, kinds: Kinds, for_s: float = 0.0) -> bool:
    """Tell whether there is a jobset to claim, without waiting for any writer.

    Args:
        for_s: it has waited for a worker for so long.
    """
    free = select(jobsets.c.id).where(_is_free(kinds, for_s))
    return connection.scalar(free.limit(1)) is not None


def waiting(connection: Connection, kinds: Kinds) -> tuple[int, int]:
    """Return how many jobsets wait for a worker, and how many tasks are in them."""
    found = select(func.count(), func.coalesce(func.sum(jobsets.c.size), 0))
    number, tasks_in_them = connection.execute(found.where(_is_free(kinds))).one()
    return number, int(tasks_in_them)


def fair_share(connection: Connection, kinds: Collection[str], lease_s: float) -> int:
    """Return how many jobsets a worker that knows these kinds is to hold at most.

    The jobsets of each kind are shared between the living workers that know the kind.
    """
    with_tasks = connection.execute(
        select(jobsets.c.kind, func.count().label("number"))
        .where(jobsets.c.size > 0, jobsets.c.kind.in_(list(kinds)))
        .group_by(jobsets.c.kind)
    )
    living = workers.living_by_kind(connection, lease_s)
    shares = [Fraction(row.number, max(1, living[row.kind])) for row in with_tasks]
    return math.ceil(sum(shares)) + 1


def claim(
    connection: Connection,
    worker: str,
    kinds: Collection[str],
    lease_s: float,
    limit: int,
    *,
    waited_s: float = 0.0,
) -> int:
    """Take jobsets that have tasks and no holder, or one whose lease has run out.

    Args:
        kinds: that the worker knows; it leaves jobsets of other kinds to other workers.
        waited_s: take only those that have waited for so long.

    Returns:
        how many were taken, `limit` at most.
    """
    free = _is_free(kinds, waited_s)
    candidates = connection.execute(
        select(jobsets.c.id, jobsets.c.version)
        .where(free)
        .order_by(jobsets.c.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)  # what somebody changes just now is not waited for
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
                lease_until=after(lease_s),
            )
        )
        # 0: another worker was faster, or the content changed; the next look decides.
        taken += claimed.rowcount
    return taken


def renew(connection: Connection, worker: str, lease_s: float) -> None:
    """Prolong all leases of a worker with one statement."""
    mine = jobsets.c.owner == worker
    _lock(connection, mine)
    connection.execute(update(jobsets).where(mine).values(lease_until=after(lease_s)))


def _lock(connection: Connection, wanted: ColumnElement[bool]) -> None:
    """Lock jobsets in the order of their ids, so that no two who change many stop each other."""
    connection.execute(select(jobsets.c.id).where(wanted).order_by(jobsets.c.id).with_for_update())


def held(connection: Connection, worker: str) -> list[HeldJobset]:
    """Return what a worker holds according to the database."""
    rows = connection.execute(
        select(
            jobsets.c.id, jobsets.c.epoch, jobsets.c.kind, jobsets.c.version, jobsets.c.size
        ).where(jobsets.c.owner == worker)
    )
    return [
        HeldJobset(
            lease=Lease(jobset_id=row.id, epoch=row.epoch),
            kind=row.kind,
            version=row.version,
            size=row.size,
        )
        for row in rows
    ]


def release(connection: Connection, worker: str, leases: Iterable[Lease] | None = None) -> None:
    """Give jobsets back, at once and for anybody; without leases all that the worker holds."""
    given_back = jobsets.c.owner == worker
    if leases is not None:
        given_back &= jobsets.c.id.in_([lease.jobset_id for lease in leases])
    _lock(connection, given_back)
    connection.execute(
        update(jobsets)
        .where(given_back)
        .values(owner=None, version=jobsets.c.version + 1, lease_until=database_now())
    )


def guard(connection: Connection, lease: Lease) -> None:
    """Make sure that a lease still holds until this transaction ends.

    Raises:
        LeaseLost: another worker has taken the jobset: its epoch is higher.
    """
    epoch = connection.scalar(
        select(jobsets.c.epoch)
        .where(jobsets.c.id == lease.jobset_id, jobsets.c.owner.is_not(None))
        # Not shared: two writers who share it would stop each other when they change the jobset.
        # SQLite needs none, it has one writer at a time.
        .with_for_update(key_share=True)
    )
    if epoch != lease.epoch:
        raise LeaseLost(f"jobset {lease.jobset_id} is in epoch {epoch}, not in {lease.epoch}")


def affinity(connection: Connection, lease: Lease) -> str:
    """Return who is asked about the tasks of a jobset, and as whom."""
    found = select(jobsets.c.affinity).where(jobsets.c.id == lease.jobset_id)
    return str(connection.execute(found).scalar_one())


def note_polled(connection: Connection, looked_at: Mapping[Lease, datetime]) -> None:
    """Note that all tasks of these jobsets were looked at, at the given instant or later."""
    rows = [
        {"jobset": lease.jobset_id, "held_in": lease.epoch, "instant": instant}
        for lease, instant in sorted(looked_at.items(), key=lambda each: each[0].jobset_id)
    ]
    connection.execute(
        update(jobsets)
        .where(jobsets.c.id == bindparam("jobset"), jobsets.c.epoch == bindparam("held_in"))
        .values(polled_at=bindparam("instant")),
        rows,
    )


def thin(connection: Connection, worker: str) -> list[Lease]:
    """Return a worker's jobsets that are hardly filled, and of which no log is being saved."""
    is_saving = select(tasks.c.id).where(
        tasks.c.jobset_id == jobsets.c.id, tasks.c.state == TaskState.COPYING
    )
    rows = connection.execute(
        select(jobsets.c.id, jobsets.c.epoch)
        .where(jobsets.c.owner == worker, ~is_saving.exists())
        .where(jobsets.c.size.between(1, CAPACITY // 4))
        .order_by(jobsets.c.id.desc())
    )
    return [Lease(jobset_id=row.id, epoch=row.epoch) for row in rows]


def merge(connection: Connection, lease: Lease) -> bool:
    """Move the tasks of a jobset into an older one of the same affinity, whoever holds that.

    Only into an older one, so that no two workers wait for each other.

    Returns:
        False if there is none with enough room, or somebody else has just changed one of the two:
        then nothing is changed.
    """
    columns = select(jobsets.c.id, jobsets.c.version, jobsets.c.size)
    mine = connection.execute(
        columns.add_columns(jobsets.c.kind, jobsets.c.affinity)
        .where(jobsets.c.id == lease.jobset_id, jobsets.c.epoch == lease.epoch)
        .where(jobsets.c.size > 0, jobsets.c.owner.is_not(None))
    ).first()
    if mine is None:
        return False
    room = connection.execute(
        columns.where(jobsets.c.kind == mine.kind, jobsets.c.affinity == mine.affinity)
        .where(jobsets.c.id < mine.id, jobsets.c.size.between(1, CAPACITY - mine.size))
        .order_by(jobsets.c.size.desc(), jobsets.c.id)
        .limit(1)
    ).first()
    # The older one first: then no two mergers wait for each other in a circle.
    if room is None or not _resize(connection, room.id, room.version, mine.size):
        return False
    emptied = connection.execute(
        update(jobsets)
        .where(jobsets.c.id == mine.id, jobsets.c.version == mine.version)
        .values(
            size=0,
            owner=None,
            epoch=jobsets.c.epoch + 1,
            version=jobsets.c.version + 1,
            lease_until=database_now(),
        )
    )
    if not emptied.rowcount:  # it was changed just now: put the room back
        shrink(connection, room.id, mine.size)
        return False
    connection.execute(
        update(tasks)
        .where(tasks.c.jobset_id == mine.id, tasks.c.state != ENDED)
        .values(jobset_id=room.id)
    )
    return True


def remove_empty(connection: Connection, silence_s: float) -> None:
    """Remove jobsets that nobody has needed for a long time."""
    connection.execute(
        delete(jobsets)
        .where(jobsets.c.size == 0, jobsets.c.owner.is_(None))
        .where(jobsets.c.lease_until < after(-silence_s))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownJobset:
    """A jobset and how it stands."""

    id: int
    kind: str
    affinity: str
    size: int
    owner: str | None
    epoch: int
    version: int
    lease_until: datetime
    polled_at: datetime | None
    is_waiting: bool


def known(connection: Connection, worker: str | None = None) -> list[KnownJobset]:
    """Return the jobsets with tasks, of one worker or all, the oldest first."""
    rows = select(jobsets, case((_is_free(EVERY_KIND), True), else_=False).label("is_waiting"))
    if worker is not None:
        rows = rows.where(jobsets.c.owner == worker)
    found = connection.execute(rows.where(jobsets.c.size > 0).order_by(jobsets.c.id))
    return [
        KnownJobset(**dict(row._mapping) | {"is_waiting": bool(row.is_waiting)}) for row in found
    ]
