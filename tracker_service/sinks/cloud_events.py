"""Write events as CloudEvents 1.0 in JSON.

See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracker_service.domain.events import KeptEvent
from tracker_service.sinks.sink import Message

CONTENT_TYPE = "application/cloudevents+json"


def cloud_event(kept: KeptEvent, base_url: str) -> dict[str, Any]:
    """Return an event as a JSON object.

    Args:
        base_url: of this service; it is the source of the event, and its links begin with it.
    """
    event = kept.event
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": base_url,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "sequence": str(kept.sequence),
        "data": with_links(event.data, base_url),
    }


def with_links(data: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """Return the data of an event with whole URLs in place of paths."""
    links = data.get("links")
    if not isinstance(links, Mapping):
        return dict(data)
    return {**data, "links": {name: f"{base_url}{path}" for name, path in links.items()}}


def message_json(message: Message, base_url: str) -> dict[str, Any]:
    """Return a message as a JSON object: its event, how many others it counts, its links."""
    value = cloud_event(message.kept, base_url)
    if message.mute_path:
        links = {**value["data"].get("links", {}), "mute": f"{base_url}{message.mute_path}"}
        value["data"] = {**value["data"], "links": links}
    if message.others:
        others = {"count": message.others.count, "since": message.others.since}
        value["data"] = {**value["data"], "and-others": others}
    return value
