"""Keep subscriptions: each is a task of the kind `notify`, which a worker holds by lease."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.domain.subscriptions import (
    NOTIFY,
    SITE_OWNER,
    UNSENT,
    Selection,
    Subscription,
)
from tracker_service.domain.tasks import ENDED
from tracker_service.store import jobsets, locks
from tracker_service.store.database import Connection, after
from tracker_service.store.reason_rows import reason_values
from tracker_service.store.tables import deliveries, tasks
from tracker_service.store.tasks import IS_LIVE

_ACTIVE = "active"  #: the state of a subscription until it is removed
_UNSENT = deliveries.c.state.in_(UNSENT)
_LIVE = (tasks.c.kind == NOTIFY, IS_LIVE)


def add(
    connection: Connection,
    owner: str,
    name: str,
    sink: Mapping[str, Any],
    selection: Selection,
    now: datetime,
) -> None:
    """Add a subscription."""
    [jobset_id] = jobsets.place(connection, NOTIFY, owner, 1)
    connection.execute(
        insert(tasks).values(
            kind=NOTIFY,
            owner=owner,
            subject=name,
            spec={"sink": dict(sink), "selection": selection.to_json()},
            jobset_id=jobset_id,
            state=_ACTIVE,
            created_at=now,
        )
    )


def count(connection: Connection, owner: str) -> int:
    """Count the subscriptions of a user; nobody else adds one until this transaction ends."""
    locks.take(connection, "subscriptions", owner)
    found = select(func.count()).select_from(tasks).where(*_LIVE, tasks.c.owner == owner)
    return connection.execute(found).scalar_one()


def of_owners(connection: Connection, owners: Collection[str]) -> list[Subscription]:
    """Return the subscriptions of some users, the oldest first."""
    found = select(tasks).where(*_LIVE, tasks.c.owner.in_(sorted(owners))).order_by(tasks.c.id)
    return [_subscription(row) for row in connection.execute(found)]


def named(connection: Connection, owner: str, names: Collection[str]) -> list[Subscription]:
    """Return the subscriptions of an owner that have one of some names."""
    if not names:
        return []
    found = select(tasks).where(*_LIVE, tasks.c.owner == owner, tasks.c.subject.in_(sorted(names)))
    return [_subscription(row) for row in connection.execute(found)]


def locked(connection: Connection, owner: str, name: str) -> Subscription | None:
    """Return a subscription; nobody else changes it until this transaction ends."""
    locks.take(connection, "subscriptions", owner)
    return next((each for each in of_owners(connection, [owner]) if each.name == name), None)


def of_jobset(connection: Connection, lease: Lease) -> list[Subscription]:
    """Return the subscriptions in a jobset, the oldest first."""
    found = select(tasks).where(*_LIVE, tasks.c.jobset_id == lease.jobset_id).order_by(tasks.c.id)
    return [_subscription(row) for row in connection.execute(found)]


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        task_id=row.id,
        name=row.subject,
        owner=row.owner,
        sink=row.spec["sink"],
        selection=Selection.from_json(row.spec["selection"]),
        created_at=row.created_at,
        trouble=row.reason,
    )


def remove(connection: Connection, owner: str, name: str, now: datetime) -> bool:
    """Remove a subscription; what it has not sent is not sent any more.

    Returns:
        False if there is none of this name.
    """
    this = (*_LIVE, tasks.c.owner == owner, tasks.c.subject == name)
    row = connection.execute(select(tasks.c.id, tasks.c.jobset_id).where(*this)).first()
    if row is None:
        return False
    ended = connection.execute(
        update(tasks)
        .where(*this)
        .values(state=ENDED, jobset_id=None, ended_at=now, **reason_values(None))
    )
    if ended.rowcount:
        jobsets.shrink(connection, row.jobset_id, 1)
        connection.execute(delete(deliveries).where(deliveries.c.task_id == row.id, _UNSENT))
    return bool(ended.rowcount)


def set_routes(
    connection: Connection,
    routes: Mapping[str, tuple[Mapping[str, Any], Selection]],
    now: datetime,
    *,
    owner: str = SITE_OWNER,
    kept: Collection[str] = (),
) -> None:
    """Make the subscriptions of the site those of the settings; what stays keeps its deliveries.

    Args:
        routes: sinks and selections, by the names of the subscriptions.
        owner: of the subscriptions.
        kept: names of subscriptions that stay as they are, though `routes` does not have them.
    """
    locks.take(connection, "subscriptions", owner)
    known = {each.name: each for each in of_owners(connection, [owner])}
    for name in known.keys() - routes.keys() - set(kept):
        remove(connection, owner, name, now)
    for name, (sink, selection) in routes.items():
        before = known.get(name)
        if before is None:
            add(connection, owner, name, sink, selection, now)
        elif not _is_same(before.sink, sink) or before.selection != selection:
            change(connection, before, sink, selection)


def _is_same(before: Mapping[str, Any], sink: Mapping[str, Any]) -> bool:
    """Tell whether two sinks are the same; an encrypted one has a hash of what is in it."""
    if "digest" in before and "digest" in sink:
        return bool(before["digest"] == sink["digest"])
    return before == sink


def change(
    connection: Connection, before: Subscription, sink: Mapping[str, Any], selection: Selection
) -> None:
    """Change where a subscription leads, and what it wants; its worker hears of it."""
    spec = {"sink": dict(sink), "selection": selection.to_json()}
    changed = update(tasks).where(tasks.c.id == before.task_id)
    connection.execute(changed.values(spec=spec))
    found = select(tasks.c.jobset_id).where(tasks.c.id == before.task_id)
    jobsets.touch(connection, connection.execute(found).scalar_one())


def explain(connection: Connection, task_ids: Sequence[int], reason: Reason[Any] | None) -> None:
    """Say why a receiver refuses what is sent; None if it takes it again."""
    changed = update(tasks).where(tasks.c.id.in_(list(task_ids)))
    connection.execute(changed.values(**reason_values(reason)))


def forget_removed(connection: Connection, kept_s: float) -> None:
    """Remove the subscriptions that were removed some seconds ago, with their deliveries."""
    removed = (tasks.c.kind == NOTIFY, tasks.c.state == ENDED, tasks.c.ended_at < after(-kept_s))
    connection.execute(delete(tasks).where(*removed))


def all_sealed(connection: Connection) -> list[tuple[int, str]]:
    """Return the encrypted settings of the sinks of users, by the tasks of the subscriptions."""
    rows = connection.execute(select(tasks.c.id, tasks.c.spec).where(*_LIVE))
    return [(row.id, row.spec["sink"]["sealed"]) for row in rows if "sealed" in row.spec["sink"]]


def replace_sealed(connection: Connection, task_id: int, old: str, new: str) -> None:
    """Replace the encrypted settings of a sink, if they are still the old ones."""
    this = (*_LIVE, tasks.c.id == task_id)
    row = connection.execute(select(tasks.c.spec).where(*this).with_for_update()).first()
    if row and row.spec["sink"].get("sealed") == old:
        spec = {**row.spec, "sink": {**row.spec["sink"], "sealed": new}}
        connection.execute(update(tasks).where(*this).values(spec=spec))
