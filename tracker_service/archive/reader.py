"""Give saved logs back as one stream, each missing one with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    opened = [(copy, *_open(hdfs, copy)) for copy in copies[:1]]
    rest = copies[1:]
    while opened and opened[-1][1] is None and rest:
        copy, *rest = rest
        opened.append((copy, *_open(hdfs, copy)))
    if not opened or opened[-1][1] is None:
        reasons = [_missing(copy, reason) for copy, _, reason in opened]
        raise LogNotSaved("; ".join(reasons) or "no application of this job is known yet")
    first = (_body(copy, stream, reason) for copy, stream, reason in opened)
    later = (_body(copy, *_open(hdfs, copy)) for copy in rest)
    return chain.from_iterable(chain(first, later))


def _open(hdfs: WebHdfs, copy: Copy) -> tuple[Iterator[bytes] | None, str]:
    """Open one saved log, or say why there is none."""
    if copy.status != CopyStatus.SUCCEEDED:
        return None, f"{copy.status}: {copy.reason}"
    try:
        return hdfs.read(copy.path), ""
    except PathNotFound:
        return None, f"{copy.path} was saved and is no longer there"
    except (AccessDenied, RequestRefused, GatewayUnavailable) as error:
        return None, str(error)


def _body(copy: Copy, stream: Iterator[bytes] | None, reason: str) -> Iterator[bytes]:
    return stream if stream is not None else iter([f"{_missing(copy, reason)}\n".encode()])


def _missing(copy: Copy, reason: str) -> str:
    return f"No log of application {short(copy.application)}: {reason}"
