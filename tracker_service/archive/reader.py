"""Give saved logs back as one stream, each missing one with its reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from tracker_service.domain.applications import short
from tracker_service.domain.tasks import Copy
from tracker_service.errors import (
    AccessDenied,
    GatewayError,
    GatewayUnavailable,
    LogNotSaved,
    PathNotFound,
    RequestRefused,
)
from tracker_service.sources.webhdfs import OpenFile, WebHdfs


@dataclass(frozen=True, slots=True)
class Logs:
    """Saved logs that are being read."""

    length: int | None  #: in bytes, where it is known from the start: of a single log
    pieces: Generator[bytes, None, None]

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces that are left."""
        return self.pieces


def open_logs(hdfs: WebHdfs, copies: Sequence[Copy]) -> Logs:
    """Open the saved logs of some applications with the rights of the reader.

    Returns:
        their bytes one after the other, in pieces; a line with the reason for each missing one.

    Raises:
        LogNotSaved: there is none at all; says why for each.
        AccessDenied: the reader may not read what is saved.
        GatewayUnavailable: HDFS does not answer; or, while the stream is read, it ends too early.
    """
    opened = []
    waiting = deque(copies)
    while waiting:
        opened.append(_open(hdfs, waiting.popleft()))
        if opened[-1].file is not None:
            break
    else:
        told = "; ".join(log.missing for log in opened)
        raise next((type(o.error) for o in opened if o.error), LogNotSaved)(told)
    [*missing, last] = opened
    length = last.file.length if last.file and not (missing or waiting) else None
    pieces = _stream(hdfs, opened, waiting)
    next(pieces)
    return Logs(length, pieces)


def _stream(
    hdfs: WebHdfs, opened: Sequence[_Opened], waiting: Iterable[Copy]
) -> Generator[bytes, None, None]:
    """Yield what is open already, then the others; close each, also if nobody reads on.

    The first piece is empty: only a generator that has begun closes what it holds.
    """
    yield b""
    for log in chain(opened, (_open(hdfs, copy) for copy in waiting)):
        if log.file is None:
            yield f"{log.missing}\n".encode()
        else:
            with closing(log.file.pieces) as pieces:
                yield from pieces


@dataclass(frozen=True, slots=True)
class _Opened:
    """A saved log, or why there is none."""

    file: OpenFile | None
    missing: str = ""
    error: GatewayError | None = None  #: it is saved, and this keeps the reader from it


def _open(hdfs: WebHdfs, copy: Copy) -> _Opened:
    denied = None
    try:
        if copy.saved_at:  # also while a fresh copy is being made
            return _Opened(hdfs.read(copy.path))
        reason = f"{copy.status}: {copy.reason}"
    except PathNotFound:
        reason = f"{copy.path} was saved and is no longer there"
    except (AccessDenied, RequestRefused, GatewayUnavailable) as error:
        reason, denied = str(error), error
    missing = f"No log of application {short(copy.application)}: {reason}"
    return _Opened(None, missing, denied)
