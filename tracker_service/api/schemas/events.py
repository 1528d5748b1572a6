"""Events, and the parameters with which they are asked for."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from tracker_service.api.schemas.queries import Query
from tracker_service.domain.events import KeptEvent
from tracker_service.sinks.cloud_events import cloud_event

MAX_EVENTS = 1000  #: in one answer
EVENT_TYPE_PATTERN = r"^[a-z_]+([.][a-z_]+)*([.]?[*])?$"


class EventsQuery(Query):
    """Which events."""

    after: int | None = Field(
        None,
        ge=0,
        le=2**53,
        description="events after this `sequence`; a stream without it: new ones",
    )
    type: list[str] = Field(
        [],
        max_length=20,
        description="of these types; `tracker.logs.*` stands for all that begin so",
        json_schema_extra={"items": {"type": "string", "pattern": EVENT_TYPE_PATTERN}},
    )
    subject: str | None = Field(None, max_length=255, description="such as the id of a job")
    limit: int = Field(100, ge=1, le=MAX_EVENTS, description="events in one answer")


class EventAnswer(BaseModel):
    """An event: CloudEvents 1.0 in JSON."""

    specversion: str
    id: str = Field(description="the same for each delivery of the event")
    source: str = Field(description="the URL of this service")
    type: str = Field(description="such as `tracker.job.failed`")
    subject: str = Field(description="what it happened to, such as the id of a job")
    time: str = Field(description="RFC 3339")
    datacontenttype: str
    sequence: str = Field(description="a number that grows with each event")
    data: dict[str, Any]

    @classmethod
    def of(cls, kept: KeptEvent, base_url: str) -> EventAnswer:
        """Return an event as clients see it."""
        return cls(**cloud_event(kept, base_url))


class EventsAnswer(BaseModel):
    """A page of events, the oldest first."""

    events: list[EventAnswer]
    next: int = Field(description="send it as `after` to get the events that follow")
