"""Write logs as the text that `yarn logs -applicationId` prints.

Follows org.apache.hadoop.yarn.logaggregation.LogToolUtils of Hadoop 3.3.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from tracker_service.archive.formats.node_file import Log
from tracker_service.errors import LogFileBroken
from tracker_service.yarn_log.grammar import FOOT

_LEAST_BYTES = 64 * 1024  #: of a piece of the text, but for the last
_EPOCH = datetime.fromtimestamp(0, UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def as_text(file_name: str, logs: Iterable[Log], kind: str = "AGGREGATED") -> Iterator[bytes]:
    """Yield the text for the logs of one node's file, in pieces of 64 KiB or more but the last.

    The bytes of the logs are unchanged; times are in UTC.

    Args:
        kind: what YARN calls logs that come from there.

    Raises:
        LogFileBroken: as `logs` does, after all text before the damage.
        GatewayUnavailable: as `logs` does.
    """
    held: list[bytes] = []
    size = 0
    try:
        for part in _parts(file_name, logs, kind):
            held.append(part)
            size += len(part)
            if size >= _LEAST_BYTES:
                yield b"".join(held)
                held, size = [], 0
    except LogFileBroken:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _parts(file_name: str, logs: Iterable[Log], kind: str) -> Iterator[bytes]:
    for log in logs:
        yield _head(file_name, log, kind)
        yield from log.content
        yield _foot(log.name)


def _head(file_name: str, log: Log, kind: str) -> bytes:
    title = f"Container: {log.container} on {file_name}"
    return _bytes(
        f"{title}\nLogAggregationType: {kind}\n{'=' * _width(title)}\n"
        f"LogType:{log.name}\nLogLastModifiedTime:{_time(log.modified_at)}\n"
        f"LogLength:{'unknown' if log.length is None else log.length}\nLogContents:\n"
    )


def _foot(name: str) -> bytes:
    last = f"{FOOT.decode()}{name}"
    return _bytes(f"\n{last}\n{'*' * (_width(last) + 50)}\n\n")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # half a pair of surrogates is `?`, as in Java


def _width(text: str) -> int:
    """Return the length as Java counts it, in units of 16 bits."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _time(moment: datetime) -> str:
    """Return a time as org.apache.hadoop.yarn.util.Times writes it, in English everywhere."""
    if moment <= _EPOCH:
        return "N/A"
    utc = moment.astimezone(UTC)
    return f"{_DAYS[utc.weekday()]} {_MONTHS[utc.month - 1]} {utc:%d %H:%M:%S} +0000 {utc.year:04d}"
