"""Keep what lasts, such as an outage: it begins and ends with an event, whoever sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update

from tracker_service.domain.events import SITE, CheckEventType, Event, EventType
from tracker_service.store import events
from tracker_service.store.database import Connection, after, current_time, database_now
from tracker_service.store.tables import conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionType:
    """What may last, and the types of the events with which it begins and ends."""

    name: str
    begins: str
    ends: str


SCALING_LIMIT = ConditionType(
    name="scaling-limit", begins=EventType.SCALING_LIMIT_HIT, ends=EventType.SCALING_LIMIT_OVER
)
CLUSTER_TROUBLE = ConditionType(
    name="cluster-trouble", begins=EventType.CLUSTER_TROUBLE, ends=EventType.CLUSTER_TROUBLE_OVER
)
CHECK_UNREACHABLE = ConditionType(
    name="check-unreachable", begins=CheckEventType.UNREACHABLE, ends=CheckEventType.REACHABLE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that lasts now."""

    subject: str
    began_at: datetime
    data: Mapping[str, Any]


def note(
    connection: Connection, kind: ConditionType, subject: str, data: Mapping[str, Any]
) -> bool:
    """Note that something lasts; if it is new, tell who oversees the site.

    Returns:
        True if it is new.
    """
    seen = connection.execute(
        update(conditions)
        .where(conditions.c.name == kind.name, conditions.c.subject == subject)
        .values(seen_at=database_now())
    )
    if seen.rowcount:
        return False
    now = current_time(connection)
    row = {"name": kind.name, "subject": subject, "began_at": now, "seen_at": now, "data": data}
    connection.execute(insert(conditions).values(row))
    events.append(
        connection, Event(type=kind.begins, subject=subject, time=now, data=data, owner=SITE)
    )
    return True


def end_unseen(connection: Connection, kind: ConditionType, unseen_s: float) -> None:
    """End what no worker has seen for some seconds, and tell who oversees the site."""
    _end(connection, kind, conditions.c.seen_at <= after(-unseen_s))


def end(connection: Connection, kind: ConditionType, subjects: Collection[str]) -> None:
    """End what some subjects no longer have, and tell who oversees the site."""
    if subjects:
        _end(connection, kind, conditions.c.subject.in_(sorted(subjects)))


def _end(connection: Connection, kind: ConditionType, which: ColumnElement[bool]) -> None:
    is_over = (conditions.c.name == kind.name) & which
    for row in connection.execute(select(conditions).where(is_over)).all():
        ended = connection.execute(
            delete(conditions).where(is_over, conditions.c.subject == row.subject)
        )
        if ended.rowcount:
            now = current_time(connection)
            data = {**row.data, "began-at": row.began_at.isoformat()}
            over = Event(type=kind.ends, subject=row.subject, time=now, data=data, owner=SITE)
            events.append(connection, over)


def current(connection: Connection, kind: ConditionType) -> list[Condition]:
    """Return what lasts now, the oldest first."""
    rows = connection.execute(
        select(conditions)
        .where(conditions.c.name == kind.name)
        .order_by(conditions.c.began_at, conditions.c.subject)
    )
    return [Condition(subject=r.subject, began_at=r.began_at, data=r.data) for r in rows]
