"""Give each request an id, and write one line about it once its answer has gone out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import cast
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from tracker_service.domain.jobs import is_job_id

log = structlog.get_logger()

HEADER = "X-Request-ID"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
_ASKED_BY_MACHINES = ("/healthz", "/readyz", "/metrics", "/metrics/teraslice")  #: every few seconds
_LONGEST_PATH = 200


def register(app: Flask) -> None:
    """Give each request an id, and write it and the job on every line that is logged."""
    app.before_request(_begin)
    app.after_request(_log_at_the_end)


def _begin() -> None:
    # Only a trusted proxy can send the header: see `api.proxies`.
    given = request.headers.get(HEADER, "")
    g.request_id = given if _WELL_FORMED.fullmatch(given) else uuid4().hex
    g.began = time.monotonic()
    clear_contextvars()  # of the request that this thread has answered before
    bind_contextvars(request_id=g.request_id)
    job_id = (request.view_args or {}).get("job_id", "").partition("@")[0]
    if is_job_id(job_id):
        bind_contextvars(job=job_id)


def _log_at_the_end(response: Response) -> Response:
    """Count the bytes of an answer, and log the request once it is sent."""
    response.headers[HEADER] = g.request_id
    pieces = cast(Iterable[bytes], response.response)
    stream = _Counted(pieces) if response.is_streamed else None
    if stream:
        response.response = stream
    path = request.url_rule.rule if request.url_rule else request.path[:_LONGEST_PATH]
    facts = {
        "method": request.method,
        "path": path,
        "status": response.status_code,
        "user": g.caller.name if "caller" in g else None,
        "client": request.remote_addr,
    }
    tell = log.debug if path in _ASKED_BY_MACHINES else log.info
    began, length = g.began, response.content_length

    def at_the_end() -> None:
        facts["seconds"] = round(time.monotonic() - began, 3)
        facts["bytes"] = stream.bytes if stream else length
        if stream and stream.cut:
            facts["cut"] = stream.cut
        tell("request", **facts)
        clear_contextvars()

    response.call_on_close(at_the_end)
    return response


class _Counted:
    """The pieces of a stream, counted as they go out."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._left = iter(pieces)
        self.bytes = 0
        self.cut: str | None = None  #: why it ended too early, if it did

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece = next(self._left)
        except StopIteration:
            self.cut = None
            raise
        except Exception as error:
            self.cut = str(error)
            raise
        self.cut = "the client went away"  # unless it asks for the next piece
        self.bytes += len(piece)
        return piece

    def close(self) -> None:
        """Close the stream behind the pieces."""
        if close := getattr(self._pieces, "close", None):
            close()
