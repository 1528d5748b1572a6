"""Choose lines of a saved log: the last ones, or those from a number on."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from tracker_service.archive.reading.saved_log import SavedLog

_FIRST_BYTES = 256 * 1024  #: are read back from the end; then twice as many, and so on
_MOST_BYTES = 4 * 1024 * 1024  #: read back at once, and held for the answer


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of bytes that lie one after the other in a saved log."""

    offset: int  #: of its first byte in the saved log
    line: int | None = 1  #: number of its first line in its file; None if nobody has counted
    container: str = ""  #: empty where the whole log is read as it lies
    file: str = ""


#: Pieces of stretches, each with the stretch that it is of, in order.
Pieces = Iterator[tuple[Stretch, bytes]]
#: The same, while they are read from HDFS.
Reading = Generator[tuple[Stretch, bytes], None, None]


def whole(log: SavedLog) -> Reading:
    """Yield the whole log as it lies."""
    return _read(log, Stretch(0), log.length)


def _read(log: SavedLog, stretch: Stretch, end: int) -> Reading:
    for piece in log.read(stretch.offset, end - stretch.offset):
        yield stretch, piece


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch, and where it ends."""

    stretch: Stretch
    end: int  #: position behind its last byte in the saved log


def last_lines(log: SavedLog, ranges: Iterable[Range], wanted: int) -> Reading:
    """Yield the last lines of some ranges, which are read from their ends.

    Args:
        ranges: of the log, the last one first.
        wanted: how many lines; the last one need not have an end.
    """
    found: list[_Tail] = []
    for each in ranges:
        if wanted <= 0:
            break
        found.append(_tail(log, each, wanted, is_held=not found))
        wanted -= found[-1].lines
    for tail in reversed(found):
        if tail.held is None:
            yield from _read(log, tail.stretch, tail.end)
        else:
            yield tail.stretch, tail.held


@dataclass(frozen=True, slots=True)
class _Tail:
    """The last lines of a range."""

    stretch: Stretch
    end: int
    lines: int
    held: bytes | None  #: its bytes, if they are few


def _tail(log: SavedLog, where: Range, wanted: int, *, is_held: bool) -> _Tail:
    start, end = where.stretch.offset, where.end
    at, size, lines = end, _FIRST_BYTES, 0
    held: list[bytes] | None = [] if is_held else None
    while at > start:
        begin = max(start, at - size)
        data = log.bytes_at(begin, at - begin)
        # The end of the last line separates it from nothing.
        border = len(data) - (at == end and data.endswith(b"\n"))
        ends = data.count(b"\n", 0, border)
        is_there = lines + ends >= wanted
        cut = _nth_from_end(data, wanted - lines, border) if is_there else 0
        if held is not None:
            held = [data[cut:], *held] if end - begin <= _MOST_BYTES else None
        lines, at, size = lines + ends, begin + cut, min(2 * size, _MOST_BYTES)
        if is_there:
            stretch = replace(where.stretch, offset=at, line=None)
            return _Tail(stretch, end, wanted, _joined(held))
    return _Tail(where.stretch, end, lines + (end > start), _joined(held))


def _joined(parts: list[bytes] | None) -> bytes | None:
    return None if parts is None else b"".join(parts)


def _nth_from_end(data: bytes, number: int, border: int) -> int:
    """Return the position behind the so-many-th end of a line, counted from the end."""
    for _ in range(number):
        border = data.rfind(b"\n", 0, border)
    return border + 1


def between(pieces: Pieces, first: int, count: int | None) -> Reading:
    """Yield some lines of what is read, counted over all stretches.

    Args:
        first: number of the first line, from 1.
        count: how many; None for all the rest.
    """
    skipped, left = _Countdown(first - 1), _Countdown(count)
    current = cut = None
    for stretch, piece in pieces:
        if stretch != current:
            skipped.end_line()
            left.end_line()
            current, cut, offset, line = stretch, None, stretch.offset, stretch.line
        passed = skipped.take(piece)
        if line is not None:
            line += piece.count(b"\n", 0, passed)
        wanted = left.take(piece[passed:])
        if wanted:
            cut = cut or replace(stretch, offset=offset + passed, line=line)
            yield cut, piece[passed : passed + wanted]
        if left.is_over:
            return
        offset += len(piece)


class _Countdown:
    """Lines that have yet to pass."""

    def __init__(self, lines: int | None) -> None:
        self._left, self._is_in_line = lines, False

    @property
    def is_over(self) -> bool:
        return self._left == 0

    def take(self, data: bytes) -> int:
        """Count lines down; return how many of these bytes belong to them."""
        if self._left is None:
            return len(data)
        if not self._left or not data:
            return 0
        ends = data.count(b"\n")
        if ends < self._left:
            self._left -= ends
            self._is_in_line = not data.endswith(b"\n")
            return len(data)
        position = 0
        for _ in range(self._left):
            position = data.index(b"\n", position) + 1
        self._left, self._is_in_line = 0, False
        return position

    def end_line(self) -> None:
        """Count a line that has no end of its own: nothing follows it in its file."""
        if self._is_in_line and self._left:
            self._left -= 1
        self._is_in_line = False
