"""Keep the outbox: a delivery is written with its event, and stays until a receiver has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, or_, select, update

from tracker_service.domain.events import CHECK_POST, TEST, Event, KeptEvent
from tracker_service.domain.subscriptions import (
    CHECKS_OWNER,
    NOTIFY,
    SITE_OWNER,
    UNSENT,
    DeliveryState,
    Subscription,
    family_of,
)
from tracker_service.store import muted_families, subscriptions
from tracker_service.store.database import Connection, current_time, insert_new
from tracker_service.store.event_rows import kept_event
from tracker_service.store.tables import deliveries, events, tasks
from tracker_service.store.tasks import IS_LIVE
from tracker_service.store.texts import storable

_MOST_HELD = 10_000  #: of all families of one subscription, in one message each


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to one receiver."""

    id: int
    task_id: int  #: of the subscription
    subscription: str  #: its name
    state: DeliveryState
    family: str | None  #: of the failure that the event tells of
    attempts: int
    due_at: datetime
    answer: str | None  #: the last one of the receiver
    created_at: datetime
    ended_at: datetime | None
    event: KeptEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The new state of a delivery, after a try or without one."""

    id: int
    state: DeliveryState
    due_at: datetime
    answer: str | None
    is_tried: bool = True


def plan(connection: Connection, new: Sequence[KeptEvent]) -> None:
    """Write a delivery for each event and each subscription that wants it."""
    named = {kept.event.subject for kept in new if kept.event.type == CHECK_POST}
    owners = {SITE_OWNER, *(kept.event.owner for kept in new if kept.event.owner)} - {CHECKS_OWNER}
    found = [
        *subscriptions.of_owners(connection, owners),
        *subscriptions.named(connection, CHECKS_OWNER, named),
    ]
    if not found:
        return
    now = current_time(connection)
    muted = muted_families.of_owners(connection, owners, now)
    rows = [
        _row(kept, subscription, now)
        for kept in new
        for subscription in found
        if subscription.owner in (SITE_OWNER, kept.event.owner)
        and _wants(subscription, kept.event)
        and (subscription.owner, family_of(kept.event)) not in muted
    ]
    insert_new(connection, deliveries, rows)


def _wants(subscription: Subscription, event: Event) -> bool:
    if event.type == CHECK_POST:
        return (subscription.owner, subscription.name) == (event.owner, event.subject)
    if event.type == TEST:
        return subscription.name == event.subject
    return subscription.selection.wants(event)


def _row(kept: KeptEvent, to: Subscription, now: datetime) -> dict[str, Any]:
    quiet = to.selection.quiet
    return {
        "task_id": to.task_id,
        "event": kept.sequence,
        "about": (kept.event.about if to.owner == SITE_OWNER else None) or kept.event.id,
        "subject": kept.event.subject,
        "family": family_of(kept.event),
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "due_at": (quiet.over_at(now) if quiet else None) or now,
        "created_at": now,
    }


def with_work(connection: Connection, task_ids: Collection[int], now: datetime) -> set[int]:
    """Return the subscriptions, of some, that have something to send now."""
    due = (
        select(deliveries.c.task_id)
        .where(deliveries.c.task_id.in_(list(task_ids)))
        .where(deliveries.c.state.in_(UNSENT), deliveries.c.due_at <= now)
        .distinct()
    )
    return set(connection.scalars(due))


def due(connection: Connection, task_id: int, now: datetime, limit: int) -> list[Delivery]:
    """Return what a subscription is to send now, the oldest event first.

    What waits for an earlier event of its subject is left out.
    """
    pending = (deliveries.c.task_id == task_id, deliveries.c.state == DeliveryState.PENDING)
    waiting = select(deliveries.c.subject).where(*pending, deliveries.c.due_at > now)
    rows = connection.execute(
        _with_events()
        .where(*pending, deliveries.c.due_at <= now, deliveries.c.subject.not_in(waiting))
        .order_by(deliveries.c.event)
        .limit(limit)
    )
    return [_delivery(row) for row in rows]


def held(connection: Connection, task_id: int, now: datetime) -> list[Delivery]:
    """Return all that a subscription holds back of each family whose time has come."""
    of_task = (deliveries.c.task_id == task_id, deliveries.c.state == DeliveryState.HELD)
    over = select(deliveries.c.family).where(*of_task, deliveries.c.due_at <= now)
    rows = connection.execute(
        _with_events()
        .where(*of_task, deliveries.c.family.in_(over))
        .order_by(deliveries.c.event)
        .limit(_MOST_HELD)
    )
    return [_delivery(row) for row in rows]


def _with_events() -> Any:  # noqa: ANN401 (a statement of SQLAlchemy)
    return (
        select(
            deliveries.c.id.label("delivery"),
            deliveries.c.task_id,
            tasks.c.subject.label("subscription"),
            deliveries.c.state,
            deliveries.c.family,
            deliveries.c.attempts,
            deliveries.c.due_at,
            deliveries.c.answer,
            deliveries.c.created_at,
            deliveries.c.ended_at,
            events,
        )
        .join(events, events.c.sequence == deliveries.c.event)
        .join(tasks, tasks.c.id == deliveries.c.task_id)
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.delivery,
        task_id=row.task_id,
        subscription=row.subscription,
        state=DeliveryState(row.state),
        family=row.family,
        attempts=row.attempts,
        due_at=row.due_at,
        answer=row.answer,
        created_at=row.created_at,
        ended_at=row.ended_at,
        event=kept_event(row),
    )


_IS_UNSENT = [deliveries.c.state == state for state in UNSENT]  # IN cannot be sent many times
_CHANGE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"), or_(*_IS_UNSENT))
    .values(
        state=bindparam("new_state"),
        due_at=bindparam("next_at"),
        answer=func.coalesce(bindparam("new_answer"), deliveries.c.answer),
        attempts=deliveries.c.attempts + bindparam("tries"),
        ended_at=bindparam("end"),
    )
)


def change(connection: Connection, changes: Sequence[Change], now: datetime) -> None:
    """Write down what has become of deliveries that were still to be sent."""
    rows = [
        {
            "delivery": each.id,
            "new_state": each.state,
            "next_at": each.due_at,
            "new_answer": storable(each.answer),
            "tries": int(each.is_tried),
            "end": None if each.state in UNSENT else now,
        }
        for each in changes
    ]
    if rows:
        connection.execute(_CHANGE, rows)


def last_sent(
    connection: Connection, task_id: int, families: Collection[str], since: datetime
) -> Mapping[str, datetime]:
    """Return when a message of each family was sent last to a receiver, if after an instant."""
    rows = connection.execute(
        select(deliveries.c.family, func.max(deliveries.c.ended_at).label("sent_at"))
        .where(deliveries.c.task_id == task_id, deliveries.c.family.in_(sorted(families)))
        .where(deliveries.c.state == DeliveryState.DELIVERED, deliveries.c.ended_at >= since)
        .group_by(deliveries.c.family)
    )
    return {row.family: row.sent_at for row in rows}


def known(
    connection: Connection,
    owner: str,
    states: Sequence[DeliveryState],
    before: int | None,
    limit: int,
) -> list[Delivery]:
    """Return deliveries, the newest first.

    Args:
        owner: of the subscriptions.
        states: only deliveries in one of these; empty for all.
        before: only deliveries with a smaller id; None for the newest.
        limit: the most deliveries to return.
    """
    of_owner = select(tasks.c.id).where(tasks.c.kind == NOTIFY, tasks.c.owner.in_(_with(owner)))
    page = select(deliveries.c.id).where(deliveries.c.task_id.in_(of_owner))
    if states:
        page = page.where(deliveries.c.state.in_(states))
    if before is not None:
        page = page.where(deliveries.c.id < before)
    # First the ids, from an index alone: events are long, and a database may sort whole rows.
    ids = list(connection.scalars(page.order_by(deliveries.c.id.desc()).limit(limit)))
    rows = _with_events().where(deliveries.c.id.in_(ids)).order_by(deliveries.c.id.desc())
    return [_delivery(row) for row in connection.execute(rows)]


def count_dead(connection: Connection) -> int:
    """Count the results of checks that could not be posted."""
    of_checks = select(tasks.c.id).where(tasks.c.kind == NOTIFY, tasks.c.owner == CHECKS_OWNER)
    dead = deliveries.c.state == DeliveryState.DEAD
    found = select(func.count()).where(dead, deliveries.c.task_id.in_(of_checks))
    return connection.scalar(found) or 0


def _with(owner: str) -> tuple[str, ...]:
    """Return an owner; what checks post is the site's."""
    return (SITE_OWNER, CHECKS_OWNER) if owner == SITE_OWNER else (owner,)


def replay(connection: Connection, owner: str, ids: Collection[int] | None) -> int:
    """Send deliveries again that are dead.

    Args:
        owner: of the subscriptions.
        ids: of the deliveries; None for all that are dead.

    Returns:
        the number of deliveries that are sent again.
    """
    now = current_time(connection)
    is_of_owner = tasks.c.owner.in_(_with(owner))
    of_owner = select(tasks.c.id).where(tasks.c.kind == NOTIFY, is_of_owner, IS_LIVE)
    dead = (
        update(deliveries)
        .where(deliveries.c.state == DeliveryState.DEAD, deliveries.c.task_id.in_(of_owner))
        .values(state=DeliveryState.PENDING, due_at=now, created_at=now, ended_at=None)
    )
    if ids is not None:
        dead = dead.where(deliveries.c.id.in_(sorted(ids)))
    return connection.execute(dead).rowcount


def mute(connection: Connection, owner: str, family: str) -> None:
    """Send nothing of a family that an owner's subscriptions still have to send."""
    of_owner = select(tasks.c.id).where(tasks.c.kind == NOTIFY, tasks.c.owner == owner)
    unsent = (
        update(deliveries)
        .where(deliveries.c.family == family, deliveries.c.state.in_(UNSENT))
        .where(deliveries.c.task_id.in_(of_owner))
    )
    now = current_time(connection)
    connection.execute(
        unsent.values(state=DeliveryState.MUTED, ended_at=now, answer="its family is muted")
    )


def hasten(connection: Connection, task_ids: Collection[int], now: datetime) -> None:
    """Make due what some subscriptions are to send later."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.task_id.in_(sorted(task_ids)))
        .where(deliveries.c.state == DeliveryState.PENDING)
        .values(due_at=now)
    )
