"""Open saved logs: one of them, or all as one stream that gives a reason for each missing log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.domain.applications import short
from tracker_service.domain.copies import Copy, aside_path
from tracker_service.errors import (
    AccessDenied,
    GatewayError,
    GatewayUnavailable,
    LogNotSaved,
    PathNotFound,
    RequestRefused,
)
from tracker_service.sources.webhdfs import FileStatus, OpenFile, WebHdfs


@dataclass(frozen=True, slots=True)
class Logs:
    """Saved logs that are being read."""

    length: int | None  #: in bytes, where it is known from the start: of a single log
    pieces: Generator[bytes, None, None]

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces that are left."""
        return self.pieces


#: Told of each saved log that is opened, or of the error that keeps the reader from it.
OnOpened = Callable[[Copy, GatewayError | None], None]


def open_logs(
    hdfs: WebHdfs, copies: Sequence[Copy], on_opened: OnOpened = lambda _copy, _error: None
) -> Logs:
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
        opened.append(_open(hdfs, waiting.popleft(), on_opened))
        if opened[-1].file is not None:
            break
    else:
        reasons = "; ".join(log.missing for log in opened)
        raise next((type(log.error) for log in opened if log.error), LogNotSaved)(reasons)
    [*missing, last] = opened
    length = last.file.length if last.file and not (missing or waiting) else None
    pieces = _stream(opened, (_open(hdfs, copy, on_opened) for copy in waiting))
    next(pieces)
    return Logs(length, pieces)


def open_log(hdfs: WebHdfs, copy: Copy) -> SavedLog:
    """Open the saved log of one application with the rights of the reader.

    Raises:
        LogNotSaved: there is none; says why.
        AccessDenied: the reader may not look there; whether it may be read shows the first piece.
        GatewayUnavailable: HDFS does not answer.
    """
    if not copy.saved_at:
        raise LogNotSaved(f"{_missing(copy)}{_not_saved(copy)}")
    try:
        path, status = saved_file(hdfs, copy)
    except PathNotFound:
        raise LogNotSaved(f"{_missing(copy)}{_gone(copy)}") from None
    written = copy.sha256 or f"{copy.saved_at.timestamp():.3f}"
    version = f"{written[:32]}-{status.modified_ms:x}-{status.length:x}"
    return SavedLog(hdfs, path, status.length, version)


def saved_file(hdfs: WebHdfs, copy: Copy) -> tuple[str, FileStatus]:
    """Return where a saved log is now, and its status; a newer one may be taking its name.

    Raises:
        PathNotFound: it is not there.
    """
    try:
        return copy.path, hdfs.status(copy.path)
    except PathNotFound:
        aside = aside_path(copy.path)
        return aside, hdfs.status(aside)


def open_file(hdfs: WebHdfs, copy: Copy) -> OpenFile:
    """Open a saved log, also while a newer one takes its name.

    Raises:
        PathNotFound, AccessDenied: before the first piece.
    """
    try:
        return hdfs.read(copy.path)
    except PathNotFound:
        return hdfs.read(aside_path(copy.path))


def _missing(copy: Copy) -> str:
    return f"No log of application {short(copy.application)}: "


def _not_saved(copy: Copy) -> str:
    return f"{copy.status}: {copy.reason}"


def _gone(copy: Copy) -> str:
    return f"{copy.path} was saved and is no longer there"


def _stream(
    opened: Sequence[_Opened], following: Iterable[_Opened]
) -> Generator[bytes, None, None]:
    """Yield the log that is open already, then the others; close each log, also if reading stops.

    The first piece is empty: only a generator that has begun closes what it holds.
    """
    yield b""
    for log in chain(opened, following):
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


def _open(hdfs: WebHdfs, copy: Copy, on_opened: OnOpened) -> _Opened:
    if not copy.saved_at:  # it may be there while a fresh copy is being made
        return _Opened(None, _missing(copy) + _not_saved(copy))
    try:
        file = open_file(hdfs, copy)
    except PathNotFound as error:
        on_opened(copy, error)
        return _Opened(None, _missing(copy) + _gone(copy))
    except (AccessDenied, RequestRefused, GatewayUnavailable) as error:
        on_opened(copy, error)
        return _Opened(None, f"{_missing(copy)}{error}", error)
    on_opened(copy, None)
    return _Opened(file)
