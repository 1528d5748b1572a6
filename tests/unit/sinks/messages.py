"""Messages as the deliverer gives them to sinks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tracker_service.domain.events import Event, EventType, KeptEvent
from tracker_service.sinks.sink import Message, Others

BASE_URL = "https://tracker.example.com"
JOB = "0000012-261130000000000-oozie-oozi-W"
AT = datetime(2026, 11, 30, 3, 0, 7, tzinfo=UTC)

CAUSE: dict[str, Any] = {
    "category": "memory",
    "summary": "The executor ran out of memory",
    "hint": "Set spark.executor.memory higher",
    "retryable": "no",
    "confidence": 0.9,
    "fingerprint": "f" * 40,
    "evidence": [
        {
            "source": "log",
            "text": "java.lang.OutOfMemoryError: Java heap space",
            "action": "train",
            "application": "application_1_0001",
            "container": "container_1_0001_01_000002",
            "file": "stderr",
            "line": 17,
        }
    ],
    "complete": True,
}
LINKS = {"job": f"/api/job/{JOB}", "logs": f"/api/job/{JOB}/logs"}


def message(
    kind: str = EventType.JOB_FAILED,
    subject: str = JOB,
    *,
    others: Others | None = None,
    at: datetime = AT,
    event_id: str = "d0b6a9d2-9b0e-5c6e-8ad1-0123456789ab",
    **data: Any,
) -> Message:
    event = Event(id=event_id, type=kind, subject=subject, time=at, owner="alice", data=data)
    return Message(kept=KeptEvent(sequence=1, event=event), others=others)


def failure(**data: Any) -> Message:
    """A failed job with a cause, of whose three logs two are saved."""
    logs = {
        "wanted": 3,
        "saved": 2,
        "lost": 0,
        "missing": [{"application": "application_1_0003", "reason": "waits for HDFS"}],
    }
    known = {"id": JOB, "run": 0, "name": "etl-daily", "user": "alice", "cause": CAUSE}
    return message(**{**known, "logs": logs, "links": LINKS, **data})


def state_changed(before: str, now: str, *, at: datetime = AT, name: str | None = None) -> Message:
    data: dict[str, Any] = {"from": before, "to": now, "name": name}
    return message(EventType.JOB_STATE_CHANGED, at=at, **data)


def numbered(count: int, kind: str = EventType.JOB_FAILED) -> list[Message]:
    """Messages about as many jobs."""
    return [
        message(kind, f"{number:07}-261130000000000-oozie-oozi-W", event_id=f"event-{number}")
        for number in range(count)
    ]
