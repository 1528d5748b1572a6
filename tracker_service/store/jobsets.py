"""Share tasks between workers: workers claim jobsets, and hold them by lease.

Each claim begins a new epoch; a write in an older epoch is refused. A claim is a compare-and-set,
which is safe on every database, also on SQLite, which ignores SELECT … FOR UPDATE. Leases end by
the database's clock, the only clock that all workers share.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, or_, select, true, update

from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import ENDED, TaskState
from tracker_service.errors import LeaseLost
from tracker_service.store import workers
from tracker_service.store.database import Connection, after, database_now, insert_new
from tracker_service.store.tables import jobset_exclusions, jobsets, tasks

CAPACITY = 100  #: tasks in one jobset
_APART = "apart:"  #: begins the affinity of a jobset of one task that a worker could not do
# Statements of every POST are built once: to build one takes longer than SQLite to execute it.
_ROOMY = (
    select(jobsets.c.id, jobsets.c.size, jobsets.c.version)
    .where(jobsets.c.kind == bindparam("task_kind"), jobsets.c.affinity == bindparam("together"))
    .where(jobsets.c.size < bindparam("capacity"))
    .order_by(jobsets.c.id)  # in the order of `merge`: no deadlocks
)
_RESIZE = (
    update(jobsets)
    .where(jobsets.c.id == bindparam("jobset"), jobsets.c.version == bindparam("seen"))
    .values(size=jobsets.c.size + bindparam("by"), version=jobsets.c.version + 1)
)
Kinds = Collection[str] | None  # of tasks
EVERY_KIND: Kinds = None
WAITED_TOO_LONG_S = 60.0  #: no worker has room for a jobset that is free for this long


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJobset:
    """A jobset that a worker holds."""

    lease: Lease
    kind: str  #: of its tasks
    version: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker may hold of a kind."""

    share: int  #: the most jobsets that it should hold
    free: int  #: jobsets that nobody holds and that it may claim


def place(connection: Connection, kind: str, affinity: str, count: int) -> list[int]:
    """Reserve room for new tasks in jobsets of a kind and an affinity; add jobsets as needed.

    Returns:
        `count` ids of jobsets, one for each new task.
    """
    placed: list[int] = []
    while len(placed) < count:
        wanted = {"task_kind": kind, "together": affinity, "capacity": CAPACITY}
        roomy = connection.execute(_ROOMY, wanted).all()
        if not roomy:
            _add(connection, kind, affinity, -(-(count - len(placed)) // CAPACITY))
        for jobset in roomy:
            taken = min(CAPACITY - jobset.size, count - len(placed))
            # If this compare-and-set loses, the next round looks for room again.
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
    """Free the room of tasks that have ended."""
    connection.execute(
        update(jobsets)
        .where(jobsets.c.id == jobset_id)
        .values(size=jobsets.c.size - by, version=jobsets.c.version + 1)
    )


def touch(connection: Connection, jobset_id: int) -> None:
    """Mark a jobset as changed, so that its worker loads it again."""
    shrink(connection, jobset_id, 0)


def _is_free(kinds: Kinds, for_s: float = 0.0, worker: str | None = None) -> ColumnElement[bool]:
    """Return the condition that a jobset with tasks has no worker, for at least some seconds.

    Args:
        worker: leave out the jobsets that this worker has given away, because it cannot do them.
    """
    long_ago = jobsets.c.lease_until < after(-for_s)
    free = and_(jobsets.c.owner.is_(None), long_ago) if for_s else jobsets.c.owner.is_(None)
    is_wanted = true() if kinds is None else jobsets.c.kind.in_(list(kinds))
    found = and_(is_wanted, jobsets.c.size > 0, or_(free, long_ago))
    return found if worker is None else and_(found, ~_excludes(worker))


def _excludes(worker: str) -> ColumnElement[bool]:
    excluded = select(jobset_exclusions.c.worker).where(
        jobset_exclusions.c.jobset_id == jobsets.c.id,
        jobset_exclusions.c.worker == worker,
        jobset_exclusions.c.until > database_now(),
    )
    return excluded.exists()


def any_free(connection: Connection, kinds: Kinds, for_s: float = 0.0) -> bool:
    """Tell whether there is a jobset to claim; this waits for no writer.

    Args:
        for_s: count only jobsets that have been free for this many seconds.
    """
    free = select(jobsets.c.id).where(_is_free(kinds, for_s))
    return connection.scalar(free.limit(1)) is not None


def waiting(connection: Connection, kinds: Kinds) -> tuple[int, int]:
    """Return the number of free jobsets, and the number of tasks in them."""
    found = select(func.count(), func.coalesce(func.sum(jobsets.c.size), 0))
    number, tasks_in_them = connection.execute(found.where(_is_free(kinds))).one()
    return number, int(tasks_in_them)


def offers(
    connection: Connection,
    worker: str,
    kinds: Collection[str],
    lease_s: float,
    *,
    waited_s: float = 0.0,
) -> dict[str, Offer]:
    """Return what a worker of these kinds may hold, by kind.

    The jobsets of a kind are divided among the living workers that know the kind.

    Args:
        waited_s: a jobset counts as free only if it has been free for this many seconds.
    """
    free = func.count(case((_is_free(EVERY_KIND, waited_s, worker), 1)))
    found = connection.execute(
        select(jobsets.c.kind, func.count().label("number"), free.label("free"))
        .where(jobsets.c.size > 0, jobsets.c.kind.in_(list(kinds)))
        .group_by(jobsets.c.kind)
    )
    living = workers.living_by_kind(connection, lease_s)
    there = {row.kind: row for row in found}
    return {
        kind: Offer(share=-(-there[kind].number // max(1, living[kind])) + 1, free=there[kind].free)
        if kind in there
        else Offer(share=1, free=0)
        for kind in kinds
    }


def claim(
    connection: Connection,
    worker: str,
    kinds: Collection[str],
    lease_s: float,
    limit: int,
    *,
    waited_s: float = 0.0,
) -> int:
    """Claim jobsets with tasks that no worker holds, or whose lease has run out.

    Args:
        worker: the id of the worker.
        kinds: the kinds that the worker knows; jobsets of other kinds are left alone.
        lease_s: how long the lease lasts, in seconds.
        limit: the most jobsets to claim.
        waited_s: claim only jobsets that have been free for this many seconds.

    Returns:
        how many jobsets were claimed.
    """
    free = _is_free(kinds, waited_s, worker)
    candidates = connection.execute(
        select(jobsets.c.id, jobsets.c.version)
        .where(free)
        .order_by(jobsets.c.lease_until, jobsets.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)  # skip a jobset that another process is changing
    ).all()
    taken = 0
    for candidate in candidates:
        claimed = connection.execute(
            update(jobsets)
            .where(jobsets.c.id == candidate.id, jobsets.c.version == candidate.version)
            .where(free)  # its worker may have renewed the lease meanwhile
            .values(
                owner=worker,
                epoch=jobsets.c.epoch + 1,
                version=jobsets.c.version + 1,
                lease_until=after(lease_s),
            )
        )
        # 0: another worker was faster, or the content has changed; the next round tries again.
        taken += claimed.rowcount
    return taken


def renew(connection: Connection, worker: str, lease_s: float) -> None:
    """Renew all leases of a worker with one statement."""
    is_held = jobsets.c.owner == worker
    _lock(connection, is_held)
    connection.execute(update(jobsets).where(is_held).values(lease_until=after(lease_s)))


def _lock(connection: Connection, wanted: ColumnElement[bool]) -> None:
    """Lock jobsets in the order of their ids, so that two transactions cannot deadlock."""
    connection.execute(select(jobsets.c.id).where(wanted).order_by(jobsets.c.id).with_for_update())


def held(connection: Connection, worker: str) -> list[HeldJobset]:
    """Return the jobsets that a worker holds according to the database, the oldest first."""
    rows = connection.execute(
        select(jobsets.c.id, jobsets.c.epoch, jobsets.c.kind, jobsets.c.version, jobsets.c.size)
        .where(jobsets.c.owner == worker)
        .order_by(jobsets.c.id)
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
    """Free jobsets of a worker at once; any worker may then claim them.

    Args:
        leases: on the jobsets to free; None to free all jobsets of the worker.
    """
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
    """Check that a lease is valid, and keep it valid until this transaction ends.

    Raises:
        LeaseLost: the jobset was released or claimed by another worker.
    """
    found = connection.execute(
        select(jobsets.c.epoch, jobsets.c.owner)
        .where(jobsets.c.id == lease.jobset_id)
        # Not a shared lock: two transactions with one would deadlock when they change the jobset.
        # SQLite needs no lock, because it has one writer at a time.
        .with_for_update(key_share=True)
    ).first()
    if found is None or found.owner is None:
        raise LeaseLost(f"jobset {lease.jobset_id} was given back")
    if found.epoch != lease.epoch:
        message = f"jobset {lease.jobset_id} is in epoch {found.epoch}, not in {lease.epoch}"
        raise LeaseLost(message, is_taken=True)


def affinity(connection: Connection, lease: Lease) -> str:
    """Return the affinity of a jobset: the user who asks about its tasks, and the gateway."""
    found = select(jobsets.c.affinity).where(jobsets.c.id == lease.jobset_id)
    return str(connection.execute(found).scalar_one())


def note_polled(connection: Connection, looked_at: Mapping[Lease, datetime]) -> None:
    """Note that all tasks of a jobset were checked at an instant or later.

    Args:
        looked_at: the instants, by the leases on the jobsets. A lease that is lost is ignored.
    """
    rows = [
        {"jobset": lease.jobset_id, "held_in": lease.epoch, "instant": looked_at[lease]}
        for lease in sorted(looked_at, key=lambda lease: lease.jobset_id)
    ]
    connection.execute(
        update(jobsets)
        .where(jobsets.c.id == bindparam("jobset"), jobsets.c.epoch == bindparam("held_in"))
        .values(polled_at=bindparam("instant")),
        rows,
    )


def give_away(
    connection: Connection, lease: Lease, task_id: int, worker: str, for_s: float
) -> bool:
    """Move a task into a free jobset of its own, which this worker does not get for a while.

    Args:
        worker: holds the jobset, and cannot do the task.
        for_s: how long the worker does not get the task, in seconds.

    Returns:
        False if no other worker that lives may take it: then nothing is changed.

    Raises:
        LeaseLost: another worker holds the jobset now.
    """
    guard(connection, lease)
    is_here = (tasks.c.id == task_id) & (tasks.c.jobset_id == lease.jobset_id)
    kind = connection.scalar(select(tasks.c.kind).where(is_here))
    if kind is None:
        return False
    excluded = _excluded(connection, lease.jobset_id)
    others = workers.living_ids(connection, kind) - {worker, *excluded}
    if not others:
        return False
    _add(connection, kind, f"{_APART}{task_id}", 1)
    [apart] = connection.scalars(
        select(func.max(jobsets.c.id)).where(jobsets.c.affinity == f"{_APART}{task_id}")
    )
    changed = update(jobsets).where(jobsets.c.id == apart)
    connection.execute(changed.values(size=1, version=jobsets.c.version + 1))
    connection.execute(update(tasks).where(is_here).values(jobset_id=apart))
    shrink(connection, lease.jobset_id, 1)
    until = connection.execute(select(after(for_s))).scalar_one()
    rows = [
        {"jobset_id": apart, "worker": each, "until": end}
        for each, end in {**excluded, worker: until}.items()
    ]
    insert_new(connection, jobset_exclusions, rows)
    return True


def _excluded(connection: Connection, jobset_id: int) -> dict[str, datetime]:
    """Return the workers that do not get a jobset, and until when."""
    found = select(jobset_exclusions.c.worker, jobset_exclusions.c.until).where(
        jobset_exclusions.c.jobset_id == jobset_id, jobset_exclusions.c.until > database_now()
    )
    return {row.worker: row.until for row in connection.execute(found)}


def readmit(connection: Connection, kind: str) -> None:
    """End old bans, and those of jobsets that no living worker would get."""
    connection.execute(delete(jobset_exclusions).where(jobset_exclusions.c.until <= database_now()))
    waiting = (
        select(jobsets.c.id)
        .where(_is_free([kind]))
        .where(jobsets.c.id.in_(select(jobset_exclusions.c.jobset_id)))
    )
    living = workers.living_ids(connection, kind)
    for jobset_id in list(connection.scalars(waiting)):
        if living <= _excluded(connection, jobset_id).keys():
            lifted = delete(jobset_exclusions).where(jobset_exclusions.c.jobset_id == jobset_id)
            connection.execute(lifted)


def thin(connection: Connection, worker: str) -> list[Lease]:
    """Return the leases on a worker's jobsets that have few tasks and no log being saved."""
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
    """Move the tasks of a jobset into an older jobset of the same kind and affinity.

    Another worker may hold the older one. Tasks only move to older jobsets, so that two workers
    cannot deadlock.

    Returns:
        False if no jobset has enough room, or another process has just changed one of the two.
        Then nothing is changed.
    """
    columns = select(jobsets.c.id, jobsets.c.version, jobsets.c.size)
    source = connection.execute(
        columns.add_columns(jobsets.c.kind, jobsets.c.affinity)
        .where(jobsets.c.id == lease.jobset_id, jobsets.c.epoch == lease.epoch)
        .where(jobsets.c.size > 0, jobsets.c.owner.is_not(None))
    ).first()
    if source is None:
        return False
    target = connection.execute(
        columns.where(jobsets.c.kind == source.kind, jobsets.c.affinity == source.affinity)
        .where(jobsets.c.id < source.id, jobsets.c.size.between(1, CAPACITY - source.size))
        .order_by(jobsets.c.size.desc(), jobsets.c.id)
        .limit(1)
    ).first()
    # The older one first: two merges cannot deadlock.
    if target is None or not _resize(connection, target.id, target.version, source.size):
        return False
    emptied = connection.execute(
        update(jobsets)
        .where(jobsets.c.id == source.id, jobsets.c.version == source.version)
        .values(
            size=0,
            owner=None,
            epoch=jobsets.c.epoch + 1,
            version=jobsets.c.version + 1,
            lease_until=database_now(),
        )
    )
    if not emptied.rowcount:  # another process has just changed it: free the room again
        shrink(connection, target.id, source.size)
        return False
    connection.execute(
        update(tasks)
        .where(tasks.c.jobset_id == source.id, tasks.c.state != ENDED)
        .values(jobset_id=target.id)
    )
    return True


def remove_empty(connection: Connection, silence_s: float) -> None:
    """Remove jobsets that have been empty and free for some seconds."""
    connection.execute(
        delete(jobsets)
        .where(jobsets.c.size == 0, jobsets.c.owner.is_(None))
        .where(jobsets.c.lease_until < after(-silence_s))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownJobset:
    """A jobset with its worker, its lease and its load."""

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
    """Return the jobsets with tasks, the oldest first.

    Args:
        worker: only jobsets that this worker holds; None for all jobsets.
    """
    rows = select(jobsets, case((_is_free(EVERY_KIND), True), else_=False).label("is_waiting"))
    if worker is not None:
        rows = rows.where(jobsets.c.owner == worker)
    found = connection.execute(rows.where(jobsets.c.size > 0).order_by(jobsets.c.id))
    return [
        KnownJobset(**dict(row._mapping) | {"is_waiting": bool(row.is_waiting)}) for row in found
    ]
