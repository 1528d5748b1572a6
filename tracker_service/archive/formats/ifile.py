"""Read aggregated logs that are indexed files ("IFile").

Follows org.apache.hadoop.yarn.logaggregation.filecontroller.ifile.
LogAggregationIndexedFileController of Hadoop 3.3.6, and its first version of 2017 (YARN-7072).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tracker_service.archive.formats import java_stream
from tracker_service.archive.formats.java_collections import elements, entries
from tracker_service.archive.formats.java_stream import JavaObject
from tracker_service.archive.formats.node_file import Log, NodeFile
from tracker_service.archive.formats.pieces import (
    MOST_NAME_BYTES,
    ByteSource,
    Portion,
    decoded,
)
from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import LogFileBroken

_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID_BYTES = 36
_LENGTH_BYTES = 4
_INDEX_BYTES = 8 * 1024 * 1024  #: the most of an index: that of 100,000 logs
_MOST_LOGS = 100_000  #: and containers; objects that refer to each other can be any number
CHECKSUM_BYTES = 4096  #: more than a `-checksum` file has
_GAP_BYTES = 1024 * 1024  #: read and dropped rather than asking once more; asking takes longer
_EPOCH = datetime.fromtimestamp(0, UTC)


class _IndexEntry(NamedTuple):
    """Where one log is in the file, as the index has it."""

    container: str
    name: str
    length: int  #: in bytes, unpacked, as announced
    start: int
    stored: int  #: in bytes
    modified_at: datetime

    @property
    def end(self) -> int:
        return self.start + self.stored


class _Index(NamedTuple):
    begin: int  #: the logs end here
    algorithm: str
    entries: list[_IndexEntry]


def marker_of(file: NodeFile) -> bytes:
    """Return the bytes that stand at the end of an IFile of this application; none if it is none.

    They are the SHA-256 of the application's name; in the first version a random UUID, with which
    the file begins too.
    """
    digest = hashlib.sha256(file.application.encode()).digest()
    if _ends_with(file, digest):
        return digest
    if file.length >= 2 * _UUID_BYTES:
        last = file.part(file.length - _UUID_BYTES, _UUID_BYTES)
        if _UUID.fullmatch(last) and file.part(0, _UUID_BYTES) == last:
            return last
    return b""


def logs_in(file: NodeFile, marker: bytes) -> Generator[Log, None, None]:
    """Yield the logs of an IFile in the order in which `yarn logs` prints them.

    The last index counts: it has all logs of the indexes before it. Logs that lie one after the
    other are read at once; the index and about a piece are held in memory.

    Raises:
        LogFileBroken, GatewayUnavailable: also while a log's content is read.
    """
    index = _index(file, marker)
    for run in _runs(index.entries):
        yield from _logs(file, index.algorithm, run)


def valid_end(beside: bytes, file_name: str) -> int | None:
    """Return how many bytes of a file are valid, None if nothing is known about this file.

    Args:
        beside: the `-checksum` file beside it, which a node manager writes around each upload.
    """
    name_length = int.from_bytes(beside[:4], "big")
    if len(beside) == 4 + name_length + 8:
        is_meant = beside[4:-8] == file_name.encode()
        return int.from_bytes(beside[-8:], "big", signed=True) if is_meant else None
    return int.from_bytes(beside, "big", signed=True) if len(beside) == 8 else None


def _ends_with(file: NodeFile, marker: bytes) -> bool:
    if file.length < len(marker):
        return False
    return file.part(file.length - len(marker), len(marker)) == marker


def _index(file: NodeFile, marker: bytes) -> _Index:
    end = file.length - len(marker) - _LENGTH_BYTES
    room = end - len(marker)  # the marker stands at the beginning too
    if room <= 0:
        raise LogFileBroken("it is too short to have an index")
    length = int.from_bytes(file.part(end, _LENGTH_BYTES), "big", signed=True)
    if not 0 < length <= min(room, _INDEX_BYTES):
        raise LogFileBroken(f"its index cannot have {length} bytes")
    meta = java_stream.read_object(file.part(end - length, length))
    algorithm = _text(meta, "compressName")
    # Says now, before the first log, if it cannot be read.
    decoded(algorithm, iter(()), file.budget)
    return _Index(end - length, algorithm, _checked(_entries(meta), end - length))


def _checked(found: Iterator[_IndexEntry], limit: int) -> list[_IndexEntry]:
    """Return the entries that an index really can have: no byte of the file is in two logs."""
    checked: list[_IndexEntry] = []
    total = 0
    for entry in found:
        total += entry.stored
        if min(entry[2:5]) < 0 or max(entry.end, total) > limit:
            raise LogFileBroken(f"{entry.name!r} of its index cannot be at byte {entry.start}")
        if len(checked) == _MOST_LOGS:
            raise LogFileBroken(f"its index has more than {_MOST_LOGS} logs")
        checked.append(entry)
    return checked


def _entries(meta: object) -> Iterator[_IndexEntry]:
    seen = 0
    for upload in elements(_field(meta, "logMetas")):
        containers = entries(_field(upload, "logMetas"))
        seen += 1 + len(containers)
        if seen > _MOST_LOGS:
            raise LogFileBroken(f"its index has more than {_MOST_LOGS} containers")
        for _, logs in containers:
            yield from map(_entry, elements(logs))


def _entry(log: object) -> _IndexEntry:
    return _IndexEntry(
        _name(log, "containerId"),
        _name(log, "fileName"),
        _number(log, "fileSize"),
        _number(log, "startIndex"),
        _number(log, "fileCompressedSize"),
        _moment(log),
    )


def _field(found: object, name: str) -> object:
    if not isinstance(found, JavaObject):
        raise LogFileBroken(f"its index has something else in place of an object with {name}")
    return found.get(name)


def _text(found: object, name: str) -> str:
    text = _field(found, name)
    if not isinstance(text, str):
        raise LogFileBroken(f"its index has something else in place of the text {name}")
    return text


def _name(found: object, name: str) -> str:
    text = _text(found, name)
    if len(text.encode(errors="replace")) > MOST_NAME_BYTES:
        raise LogFileBroken(f"{text[:40]!r}… of its index is longer than the name of a file")
    return text


def _number(found: object, name: str) -> int:
    number = _field(found, name)
    if not isinstance(number, int):
        raise LogFileBroken(f"its index has something else in place of the number {name}")
    return number


def _moment(log: object) -> datetime:
    is_first = isinstance(log, JavaObject) and "lastModificatedTime" in log.java_class.places
    name = "lastModificatedTime" if is_first else "lastModifiedTime"
    milliseconds = _number(log, name)
    try:
        return _EPOCH + timedelta(milliseconds=max(milliseconds, 0))
    except OverflowError as error:
        raise LogFileBroken(f"its index has the time {milliseconds}") from error


def _runs(found: list[_IndexEntry]) -> Iterator[list[_IndexEntry]]:
    """Yield the entries so that those of each list can be had with one read."""
    run: list[_IndexEntry] = []
    for entry in found:
        if run and not 0 <= entry.start - run[-1].end <= _GAP_BYTES:
            yield run
            run = []
        run.append(entry)
    if run:
        yield run


def _logs(file: NodeFile, algorithm: str, run: list[_IndexEntry]) -> Iterator[Log]:
    at = run[0].start
    with closing(file.pieces(at, run[-1].end - at)) as pieces:
        stream = ByteSource(pieces)
        for entry in run:
            Portion(stream, entry.start - at).skip()
            stored = Portion(stream, entry.stored)
            yield Log(
                container=entry.container,
                name=entry.name,
                length=entry.length,
                modified_at=entry.modified_at,
                content=_content(algorithm, stored, entry, file.budget),
            )
            stored.skip()
            at = entry.end


def _content(
    algorithm: str, stored: Portion, entry: _IndexEntry, budget: WorkBudget
) -> Iterator[bytes]:
    if not entry.length:
        return
    unpacked = ByteSource(decoded(algorithm, stored, budget))
    content = Portion(unpacked, entry.length)
    yield from content
    if not content.left:
        unpacked.some(1)  # zlib compares its checksum only when it comes to the end
