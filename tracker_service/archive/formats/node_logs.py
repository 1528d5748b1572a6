"""Read the aggregated logs of a node, whatever the format of the file."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from tracker_service.archive.formats import ifile, tfile
from tracker_service.archive.formats.node_file import Log, NodeFile
from tracker_service.domain.work_budget import LOG_PARTS
from tracker_service.errors import LogFileBroken

_SMALL_BYTES = 8 * 1024 * 1024  #: read with one request
_TAIL_BYTES = 256 * 1024  #: of a larger file, where all indexes of usual size are
_PIECE_BYTES = 1024 * 1024
_Item = TypeVar("_Item")


def logs_of(file: NodeFile, end: int | None = None) -> Generator[Log, None, None]:
    """Yield the logs that a node's file has, in the order in which `yarn logs` prints them.

    Args:
        file: it is not read before the first log is asked for.
        end: how many bytes of the file are valid, where the `-checksum` file beside it says so.

    Raises:
        LogFileBroken: the file is damaged, not complete, or none that can be read; all logs that
            can be read came already. Also while a log's content is read; ask for the next log then.
        GatewayUnavailable: the same, where the file's `read` raises it.
    """
    charged = replace(file, read=partial(_charged, file))
    with closing(_named(file, _logs(charged, end))) as logs:
        for log in logs:
            file.budget.charge_parts(LOG_PARTS)
            yield replace(log, content=_named(file, log.content))


def _charged(file: NodeFile, offset: int, length: int) -> Generator[bytes, None, None]:
    with closing(file.read(offset, length)) as pieces:
        for piece in pieces:
            file.budget.charge_read(len(piece))
            yield piece


def _logs(file: NodeFile, end: int | None) -> Iterator[Log]:
    valid = file.length if end is None else end
    if not 0 < valid <= file.length:
        raise LogFileBroken(f"{valid} of its {file.length} bytes are valid")
    known = _with_end_known(replace(file, length=valid))
    if tfile.ends_here(known):
        yield from tfile.logs_in(known)
    elif marker := ifile.marker_of(known):
        yield from ifile.logs_in(known, marker)
    else:
        raise LogFileBroken("it is no file of logs, or not complete: no format ends like this")


def _with_end_known(file: NodeFile) -> NodeFile:
    """Read the end of a file, or all of a small one, and take it from memory from then on."""
    start = 0 if file.length <= _SMALL_BYTES else file.length - _TAIL_BYTES
    known = file.part(start, file.length - start)

    def read(offset: int, length: int) -> Generator[bytes, None, None]:
        if offset < start:
            return file.read(offset, length)
        return _slices(known, offset - start, offset - start + length)

    return replace(file, read=read)


def _slices(known: bytes, begin: int, end: int) -> Generator[bytes, None, None]:
    for at in range(begin, min(end, len(known)), _PIECE_BYTES):
        yield known[at : min(at + _PIECE_BYTES, end)]


def _named(file: NodeFile, items: Iterator[_Item]) -> Generator[_Item, None, None]:
    """Name the file in each error."""
    try:
        yield from items
    except LogFileBroken as error:
        raise type(error)(f"{file.name}: {error}") from error
