"""Deliver to Prometheus' Alertmanager: trouble fires an alert, and its end resolves the alert.

See https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tracker_service.domain.events import CheckEventType, Event, EventType, LedgerEventType
from tracker_service.sinks.sink import Message, Outcome, delivered, one_by_one
from tracker_service.sinks.web import WebReceiver
from tracker_service.sinks.wording import words_of
from tracker_service.sinks.words import clipped

#: How long an alert fires whose end no event tells; without a time Alertmanager takes 5 minutes.
_FIRES_FOR = timedelta(hours=24)
_LONGEST_LABEL = 200
_LONGEST_ANNOTATION = 4000
_OVER = "_over"
#: Types that are no trouble, and the alerts that they resolve. Other types fire, but for those
#: that end with `_over`: they resolve the alert of the type without this ending.
_RESOLVE: Mapping[str, tuple[str, ...]] = {
    EventType.LOGS_SAVED: (EventType.LOGS_AT_RISK, EventType.LOGS_LOST),
    EventType.SCALING_LIMIT_OVER: (EventType.SCALING_LIMIT_HIT,),
    EventType.EXECUTION_APPEARED: (),
    EventType.EXECUTION_VANISHED: (EventType.EXECUTION_FAILING_SLICES,),
    CheckEventType.RECOVERED: (CheckEventType.FAILED,),
    CheckEventType.REACHABLE: (CheckEventType.UNREACHABLE,),
    LedgerEventType.COMPLETED: (LedgerEventType.FAILED, LedgerEventType.EXPIRED),
    LedgerEventType.ACTION_DONE: (),
    LedgerEventType.STATE_CHANGED: (),
}


class Alertmanager:
    """Sends events as alerts, in their order."""

    def __init__(
        self,
        receiver: WebReceiver,
        labels: Mapping[str, str],
        headers: Mapping[str, str],
        base_url: str,
    ) -> None:
        """Prepare to send.

        Args:
            receiver: leads to `/api/v2/alerts`.
            labels: that each alert has besides its own.
            headers: of each request, such as those that authenticate.
            base_url: of this service.
        """
        self._receiver, self._labels, self._base_url = receiver, labels, base_url
        self._headers = {"Content-Type": "application/json", **headers}

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send messages, up to the first one that has to be sent again."""
        return one_by_one(messages, self._send)

    def close(self) -> None:
        """Close the connection."""
        self._receiver.close()

    def _send(self, message: Message) -> Outcome:
        alerts = list(self._alerts(message))
        if not alerts:
            return delivered("nothing to send: the event neither fires nor resolves an alert")
        return self._receiver.post(json.dumps(alerts).encode(), self._headers)

    def _alerts(self, message: Message) -> Iterator[Mapping[str, Any]]:
        event = message.kept.event
        for kind in _resolved_by(event):
            yield {"labels": self._labels_of(kind, event), "endsAt": _time(event.time)}
        if _fires(event):
            words = words_of(message, self._base_url)
            yield {
                "labels": self._labels_of(event.type, event),
                "annotations": {
                    "summary": words.subject,
                    "description": words.text[:_LONGEST_ANNOTATION],
                    "severity": words.severity.value,
                    "event": clipped(event.id, _LONGEST_LABEL),
                },
                "startsAt": _time(event.time),
                "endsAt": _time(event.time + _FIRES_FOR),
                "generatorURL": next((url for _, url in words.links), self._base_url),
            }

    def _labels_of(self, kind: str, event: Event) -> Mapping[str, str]:
        """Return the labels of an alert, by which Alertmanager knows it again."""
        name = "".join(part.capitalize() for part in kind.replace("_", ".").split("."))
        own = {"alertname": name, "subject": event.subject, "service": self._base_url}
        return {**self._labels, **{key: clipped(text, _LONGEST_LABEL) for key, text in own.items()}}


def _resolved_by(event: Event) -> tuple[str, ...]:
    if event.type == EventType.JOB_STATE_CHANGED:
        return (EventType.JOB_FAILED,) if event.data.get("to") == "SUCCEEDED" else ()
    if event.type in _RESOLVE:
        return _RESOLVE[event.type]
    if event.type == EventType.LOGS_LOST:
        return (EventType.LOGS_AT_RISK,)
    return (event.type.removesuffix(_OVER),) if event.type.endswith(_OVER) else ()


def _fires(event: Event) -> bool:
    is_no_trouble = event.type in _RESOLVE or event.type.endswith(_OVER)
    return not is_no_trouble and event.type != EventType.JOB_STATE_CHANGED


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
