"""A receiver of webhooks that prints what it gets, for those who have none yet."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from werkzeug.wrappers import Request, Response

PATH = "/receiver"
_LONGEST_BODY = 256 * 1024
_MAX_REMEMBERED = 100_000


class Receiver:
    """Takes CloudEvents."""

    def __init__(self) -> None:
        #: The ids of the events that it got last, oldest first.
        self.ids: deque[str] = deque(maxlen=_MAX_REMEMBERED)
        self.prints = True

    def answer(self, request: Request) -> Response:
        """Print a CloudEvent as a chat would show it; answer 204, or 400 to anything else."""
        try:
            event = json.loads(request.get_data()[:_LONGEST_BODY])
            text = message(event)
            self.ids.append(event["id"])
        except (ValueError, TypeError, KeyError, AttributeError):
            return Response("send a CloudEvent in JSON\n", 400)
        if self.prints:
            print(text, flush=True)
        return Response(status=204)


def message(event: dict[str, Any]) -> str:
    """Return what a person wants to know of an event."""
    data = event["data"]
    cause = data.get("cause") or {}
    lines = [
        f"--- {event['type']}: {data.get('name') or event['subject']}",
        f"    {data['message']}" if "message" in data else "",
        f"    {data.get('from', '')} -> {data['to']}" if "to" in data else "",
        f"    {cause['summary']} {cause.get('hint', '')}" if cause else "",
        *(f"    > {quote['text']}" for quote in cause.get("evidence", [])[:2]),
        f"    {data['links']['logs']}" if "links" in data else "",
    ]
    return "\n".join(_plain(line) for line in lines if line)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
