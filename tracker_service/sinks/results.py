"""Post the results of checks: JSON to a URL, or events on a bus of Amazon EventBridge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tracker_service.sinks.reach import Reach
from tracker_service.sinks.sink import Message, Outcome, Sink, masked, one_by_one
from tracker_service.sinks.web import WebReceiver

_ANYWHERE = Reach(is_everywhere=True)  #: the site's own files name the receivers


class ResultPost:
    """Posts the JSON of each result to a URL; the id of the run goes in a header."""

    def __init__(self, url: str, headers: Mapping[str, str], secrets: Sequence[str]) -> None:
        """Prepare to post.

        Args:
            secrets: that no answer may show.
        """
        self._receiver, self._secrets = WebReceiver(url, _ANYWHERE), secrets
        self._headers = {"Content-Type": "application/json", **headers}

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Post results, up to the first one that has to be posted again."""
        return one_by_one(messages, self._send)

    def close(self) -> None:
        """Close the connection."""
        self._receiver.close()

    def _send(self, message: Message) -> Outcome:
        event = message.kept.event
        body = json.dumps(event.data["body"]).encode()
        headers = {**self._headers, "Idempotency-Key": event.id}
        return masked(self._receiver.post(body, headers), self._secrets)


def open_results(kind: str, settings: Mapping[str, Any]) -> Sink:
    """Return the sink of a check's results.

    Args:
        kind: `post` or `put`.
        settings: as the check's file has them, with their secrets.

    Raises:
        ConfigError: they cannot be used.
    """
    if kind == "post":
        return ResultPost(settings["url"], settings["headers"], settings["secrets"])
    from tracker_service.sinks.eventbridge import Bus, ResultPut  # noqa: PLC0415 - an extra

    bus = Bus(
        name=settings["bus"],
        region=settings["region"],
        source=settings["source"],
        credentials_file=None,
        endpoint_url=settings["endpoint_url"],
        key=(settings["key"], settings["secret"]) if settings["key"] else None,
    )
    return ResultPut(bus, settings["detail_type"], settings["resources"])
