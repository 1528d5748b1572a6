"""Refuse wrong requests by their heads alone, and set security headers on every answer."""

from __future__ import annotations

from flask import Flask, Response, request

from tracker_service.api import problems
from tracker_service.api.openapi import SCRIPT_HASH
from tracker_service.api.schemas import queries
from tracker_service.errors import BadInput

_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    f"default-src 'self'; script-src 'self' {SCRIPT_HASH}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
)
_LISTS = ("id", "seen", "state", "status", "type")  #: parameters that may be given more than once


def register(app: Flask) -> None:
    """Refuse wrong requests before anything else looks at them, and harden every answer."""
    app.config["MAX_CONTENT_LENGTH"] = queries.MAX_BODY_BYTES
    app.before_request(_refuse_at_once)
    app.after_request(_harden)


def _refuse_at_once() -> None:
    """Refuse a request by its head, or for its length alone: nobody asks the gateway.

    Raises:
        BadInput: the body is too long, or a parameter is given twice.
    """
    if (request.content_length or 0) > queries.MAX_BODY_BYTES or _is_cut():
        raise BadInput(problems.TOO_LONG, status=413)
    twice = [n for n, values in request.args.lists() if len(values) > 1 and n not in _LISTS]
    if twice:
        raise BadInput(f"Given more than once: {', '.join(twice)}. Send each once.")


def _is_cut() -> bool:
    """Tell whether a body that names no length is longer than is read of it: ids would be lost."""
    is_chunked = request.content_length is None and "Transfer-Encoding" in request.headers
    return is_chunked and len(request.get_data()) >= queries.MAX_BODY_BYTES


def _harden(response: Response) -> Response:
    """Forbid browsers everything but showing the answer.

    See the OWASP Secure Headers Project, https://owasp.org/www-project-secure-headers
    """
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    is_page = request.path.startswith("/docs")  # of Swagger UI, which styles itself
    policy = _PAGE_POLICY if is_page else _DATA_POLICY
    response.headers.setdefault("Content-Security-Policy", policy)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers.setdefault("Cache-Control", "no-store")
    return response
