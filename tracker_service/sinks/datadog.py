"""Deliver to Datadog: one event of its events API (v1) for each event.

See https://docs.datadoghq.com/api/v1/events/#post-an-event
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tracker_service.domain.events import Event
from tracker_service.sinks.sink import Message, Outcome, masked, one_by_one
from tracker_service.sinks.web import WebReceiver
from tracker_service.sinks.wording import words_of
from tracker_service.sinks.words import Severity, clipped

_ALERT_TYPES = {
    Severity.FAILURE: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "info",
    Severity.SUCCESS: "success",
}
_LONGEST_TITLE = 100
_LONGEST_TEXT = 4000
_LONGEST_KEY = 100
_LONGEST_TAG = 200
_OLDEST = timedelta(hours=18)  #: that Datadog takes; an older event gets the time of its delivery


class Datadog:
    """Sends events, in their order."""

    def __init__(
        self,
        receiver: WebReceiver,
        headers: Mapping[str, str],
        tags: Sequence[str],
        *,
        secrets: Sequence[str],
        base_url: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare to send.

        Args:
            headers: of each request; they have the key, if the URL does not.
            tags: that each event has besides its own, each `key:value`.
            secrets: that no answer may show.
            base_url: of this service.
        """
        self._receiver, self._tags, self._secrets = receiver, tags, secrets
        self._headers = {"Content-Type": "application/json", **headers}
        self._base_url, self._clock = base_url, clock

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send messages, up to the first one that has to be sent again."""
        return one_by_one(messages, self._send)

    def close(self) -> None:
        """Close the connection."""
        self._receiver.close()

    def _send(self, message: Message) -> Outcome:
        body = json.dumps(self._event(message)).encode()
        return masked(self._receiver.post(body, self._headers), self._secrets)

    def _event(self, message: Message) -> Mapping[str, Any]:
        event, words = message.kept.event, words_of(message, self._base_url)
        value: dict[str, Any] = {
            "title": clipped(words.subject, _LONGEST_TITLE),
            "text": words.text[:_LONGEST_TEXT],
            "tags": [*self._tags, *_tags(event)],
            "alert_type": _ALERT_TYPES[words.severity],
            "priority": "low" if words.severity == Severity.INFO else "normal",
            "aggregation_key": event.subject[:_LONGEST_KEY],
        }
        if self._clock() - event.time < _OLDEST:
            value["date_happened"] = int(event.time.timestamp())
        return value


def _tags(event: Event) -> Iterator[str]:
    data = event.data
    facts = {
        "event_id": event.id,
        "event_type": event.type,
        "subject": event.subject,
        "job_name": data.get("name"),
        "user": data.get("user"),
        "category": (data.get("cause") or {}).get("category"),
    }
    for name, value in facts.items():
        if value:
            yield clipped(f"{name}:{value}", _LONGEST_TAG)
