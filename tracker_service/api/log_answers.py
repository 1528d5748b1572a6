"""Send saved logs over HTTP with ranges, entity tags and gzip (RFC 9110)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from flask import Response, request
from werkzeug.exceptions import PreconditionFailed, RequestedRangeNotSatisfiable
from werkzeug.http import is_resource_modified

from tracker_service.archive.reading.opening import Logs
from tracker_service.archive.reading.saved_log import SavedLog

T = TypeVar("T")

TEXT = "text/plain; charset=utf-8"
JSON_LINES = "application/x-ndjson"

_RANGE = re.compile(
    r"(?i:bytes)=[ \t]*(?:(?P<first>\d{1,18})-(?P<last>\d{0,18})|-(?P<suffix>\d{1,18}))", re.ASCII
)
_GZIP = 31  #: window bits of zlib, for the form of gzip
_FASTEST = 1


class Prefetched(Iterator[T]):
    """A stream whose first piece is read at once, so that errors are raised before the answer."""

    def __init__(self, pieces: Generator[T, None, None]) -> None:
        self._pieces = pieces
        self._first = [*islice(pieces, 1)]

    def __next__(self) -> T:
        return self._first.pop() if self._first else next(self._pieces)

    def close(self) -> None:
        """Close the underlying stream."""
        self._pieces.close()


def whole(log: SavedLog) -> Response:
    """Answer with a whole log, or with the one range of its bytes that the client requests.

    A request for several ranges is answered with the whole log, as RFC 9110 (section 14.2) allows.

    Raises:
        RequestedRangeNotSatisfiable: the log has no bytes in this range.
        PreconditionFailed: the log is no longer the version that `If-Match` names.
    """
    tag = f'"{log.version}"'
    answer = Response(content_type=TEXT)
    answer.headers["ETag"] = tag
    answer.headers["Accept-Ranges"] = "bytes"
    answer.vary.add("Accept-Encoding")
    if not is_resource_modified(request.environ, tag):
        if request.if_match:
            raise PreconditionFailed
        answer.status_code = 304
        return answer
    asked = _range(tag)
    if asked is None:
        return _full(answer, log)
    start, stop = _bounds(asked, log.length)
    if start >= stop:
        raise RequestedRangeNotSatisfiable(
            log.length, "bytes", f"The log has {log.length} bytes; none of them is in this range."
        )
    answer.status_code = 206
    answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{log.length}"
    answer.response = Prefetched(log.read(start, stop - start))
    answer.content_length = stop - start
    return answer


def _full(answer: Response, log: SavedLog) -> Response:
    pieces = Prefetched(log.read(0, log.length))
    if _wants_gzip():
        answer.headers["ETag"] = f'W/"{log.version}"'  # weak: compressed bytes are different
        return _zipped(answer, pieces)
    answer.response, answer.content_length = pieces, log.length
    return answer


def _range(tag: str) -> re.Match[str] | None:
    """Return the requested range of bytes; None for the whole log."""
    if request.method != "GET" or request.headers.get("If-Range") not in (None, tag):
        return None
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    return None if found and found["last"] and int(found["last"]) < int(found["first"]) else found


def _bounds(asked: re.Match[str], length: int) -> tuple[int, int]:
    """Return the positions of the first byte and after the last one."""
    if asked["suffix"] is not None:
        return max(0, length - int(asked["suffix"])), length
    last = int(asked["last"]) if asked["last"] else length
    return int(asked["first"]), min(last + 1, length)


def several(logs: Logs) -> Response:
    """Answer with several logs, one after the other."""
    answer = Response(content_type=TEXT)
    answer.vary.add("Accept-Encoding")
    if _wants_gzip():
        return _zipped(answer, logs.pieces)
    answer.response = logs.pieces
    if logs.length is not None:  # lets clients show their progress
        answer.content_length = logs.length
    return answer


def streamed(pieces: Iterable[bytes], content_type: str) -> Response:
    """Answer with pieces of a log, and send each as soon as it is found."""
    answer = Response(content_type=content_type)
    answer.headers["Accept-Ranges"] = "none"
    answer.headers["X-Accel-Buffering"] = "no"  # for nginx
    answer.vary.add("Accept-Encoding")
    if _wants_gzip():
        return _zipped(answer, pieces, flushes=True)
    answer.response = pieces
    return answer


def _wants_gzip() -> bool:
    return request.accept_encodings.best_match(("identity", "gzip")) == "gzip"


def _zipped(answer: Response, pieces: Iterable[bytes], *, flushes: bool = False) -> Response:
    answer.headers["Content-Encoding"] = "gzip"
    if isinstance(pieces, Generator | Prefetched):
        answer.call_on_close(pieces.close)
    answer.response = _deflated(pieces, flushes=flushes)
    return answer


def _deflated(pieces: Iterable[bytes], *, flushes: bool) -> Iterator[bytes]:
    """Compress pieces with gzip.

    Args:
        flushes: whether a client can read each piece before the next one comes.
    """
    deflater = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
    for piece in pieces:
        packed = deflater.compress(piece)
        if flushes and piece:
            packed += deflater.flush(zlib.Z_SYNC_FLUSH)
        if packed:
            yield packed
    yield deflater.flush()
