"""Keep the log of events: each is written in the transaction of the change that it tells of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, delete, insert, or_, select, update

from tracker_service.domain.chunks import chunks
from tracker_service.domain.events import Event, KeptEvent
from tracker_service.domain.subscriptions import has_type
from tracker_service.store import deliveries
from tracker_service.store.database import Connection, after, at_end
from tracker_service.store.event_rows import kept_event
from tracker_service.store.tables import counters, events
from tracker_service.store.texts import storable

_COUNTER = "events"
# Statements are built once: to build one takes longer than SQLite takes to execute it.
_COUNT = (
    update(counters)
    .where(counters.c.name == _COUNTER)
    .values(value=counters.c.value + bindparam("by"))
)
_LAST = select(counters.c.value).where(counters.c.name == _COUNTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events of the log are read."""

    owner: str | None = None  #: the user who asks; None for all events
    types: Sequence[str] = ()  #: without any: all; `tracker.job.*` stands for all that begin so
    subject: str | None = None

    def takes(self, kept: KeptEvent) -> bool:
        """Tell whether an event is one of these."""
        event = kept.event
        return (
            self.owner in (None, event.owner)
            and self.subject in (None, event.subject)
            and (not self.types or any(has_type(event, wanted) for wanted in self.types))
        )


def append(connection: Connection, event: Event) -> None:
    """Write an event when this transaction ends, if it is committed.

    An event whose id is known already is not written again.
    """
    clean = replace(event, subject=storable(event.subject)[:255], data=storable(event.data))
    at_end(connection, _write, clean)


def _write(connection: Connection, new: Sequence[Event]) -> None:
    """Number events and write them.

    The row of the counter stays locked until the commit, so a reader that sees an event also sees
    all events with smaller numbers.
    """
    if not connection.execute(_COUNT, {"by": len(new)}).rowcount:  # it is the first of all
        connection.execute(insert(counters).values(name=_COUNTER, value=len(new)))
    known = _known(connection, [event.id for event in new])
    first = last_sequence(connection) - len(new) + 1
    numbered = [
        KeptEvent(sequence=first + n, event=event)
        for n, event in enumerate({event.id: event for event in new}.values())
        if event.id not in known
    ]
    if numbered:
        connection.execute(insert(events), [_row(kept) for kept in numbered])
        deliveries.plan(connection, numbered)


def _known(connection: Connection, ids: Sequence[str]) -> set[str]:
    return {
        known
        for chunk in chunks(ids)
        for known in connection.scalars(select(events.c.id).where(events.c.id.in_(chunk)))
    }


def _row(kept: KeptEvent) -> dict[str, Any]:
    event = kept.event
    return {
        "sequence": kept.sequence,
        "id": event.id,
        "type": event.type,
        "subject": event.subject,
        "owner": event.owner,
        "time": event.time,
        "data": event.data,
    }


def last_sequence(connection: Connection) -> int:
    """Return the number of the newest event, whether it is still kept or not."""
    return connection.scalar(_LAST) or 0


def following(
    connection: Connection, sequence: int, wanted: EventFilter, limit: int
) -> list[KeptEvent]:
    """Return the events after a number, the oldest first.

    Args:
        limit: the most events to return.
    """
    page = select(events).where(events.c.sequence > sequence)
    if wanted.owner is not None:
        page = page.where(events.c.owner == wanted.owner)
    if wanted.subject is not None:
        page = page.where(events.c.subject == wanted.subject)
    if wanted.types:
        page = page.where(or_(*map(_has_type, wanted.types)))
    rows = connection.execute(page.order_by(events.c.sequence).limit(limit))
    return [kept_event(row) for row in rows]


def _has_type(pattern: str) -> Any:  # noqa: ANN401 (a condition of SQLAlchemy)
    if pattern.endswith("*"):
        return events.c.type.startswith(pattern[:-1], autoescape=True)
    return events.c.type == pattern


def any_older(connection: Connection, kept_s: float) -> bool:
    """Tell whether some event is too old to be kept.

    Args:
        kept_s: how long an event is kept, in seconds of the database's clock.
    """
    old = select(events.c.sequence).where(events.c.time < after(-kept_s)).limit(1)
    return connection.scalar(old) is not None


def prune(connection: Connection, kept_s: float, limit: int) -> None:
    """Remove the oldest of the events that are too old to be kept, with their deliveries.

    Args:
        kept_s: how long an event is kept, in seconds of the database's clock.
        limit: the most events to remove.
    """
    old = select(events.c.sequence).where(events.c.time < after(-kept_s))
    found = list(connection.scalars(old.order_by(events.c.time).limit(limit)))
    for chunk in chunks(found):
        connection.execute(delete(events).where(events.c.sequence.in_(chunk)))
