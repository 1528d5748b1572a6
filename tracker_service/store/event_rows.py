"""Read events from rows of the table `events`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from tracker_service.domain.events import Event, KeptEvent


def kept_event(row: Row[Any]) -> KeptEvent:
    """Make an event from a row with the columns of the table `events`."""
    return KeptEvent(
        sequence=row.sequence,
        event=Event(
            id=row.id,
            type=row.type,
            subject=row.subject,
            owner=row.owner,
            time=row.time,
            data=row.data,
        ),
    )
