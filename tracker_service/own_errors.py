"""Answer for the server itself, where the application sees no request (RFC 9457, RFC 9112)."""

from __future__ import annotations

import json
from http import HTTPStatus


def plain_answer(status: int, detail: str) -> bytes:
    """Return a whole answer in the form of all other errors; the connection ends with it."""
    reason = HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": reason, "status": status, "detail": detail})
    return (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json"
        f"\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
