"""Give saved logs back as one stream, each missing one with its reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from tracker_service.domain.applications import short
from tracker_service.domain.tasks import Copy, CopyStatus
from tracker_service.errors import (
    AccessDenied,
    GatewayUnavailable,
    LogNotSaved,
    PathNotFound,
    RequestRefused,
)
from tracker_service.sources.webhdfs import WebHdfs


def open_logs(hdfs: WebHdfs, copies: Sequence[Copy]) -> Iterator[bytes]:
    """Open the saved logs of some applications with the rights of the reader.

    Returns:
        their bytes one after the other, in pieces; a line with the reason for each missing one.

    Raises:
        LogNotSaved: there is none at all; says why for each.
        GatewayUnavailable: while the stream is read, if it ends too early.
    """
    opened = []
    waiting = deque(copies)
    while waiting:
        opened.append(_open(hdfs, waiting.popleft()))
        if opened[-1].stream is not None:
            break
    else:
        raise LogNotSaved("; ".join(log.missing for log in opened))
    return chain.from_iterable(chain(map(_body, opened), (_body(_open(hdfs, c)) for c in waiting)))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A saved log, or why there is none."""

    stream: Iterator[bytes] | None
    missing: str = ""


def _open(hdfs: WebHdfs, copy: Copy) -> _Opened:
    try:
        if copy.status == CopyStatus.SUCCEEDED:
            return _Opened(hdfs.read(copy.path))
        reason = f"{copy.status}: {copy.reason}"
    except PathNotFound:
        reason = f"{copy.path} was saved and is no longer there"
    except (AccessDenied, RequestRefused, GatewayUnavailable) as error:
        reason = str(error)
    return _Opened(None, f"No log of application {short(copy.application)}: {reason}")


def _body(log: _Opened) -> Iterator[bytes]:
    return iter([f"{log.missing}\n".encode()]) if log.stream is None else log.stream
