"""Read lines of a saved log: the last ones, the ones from a number on, or all."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from tracker_service.archive.reading.saved_log import SavedLog

LONGEST_LINE = 64 * 1024  #: in bytes; a longer one is given in parts
_FIRST_BYTES = 256 * 1024  #: are read back from the end; then twice as many, and so on
_MOST_BYTES = 4 * 1024 * 1024  #: read back at once, and held for the answer
_SPLIT_BYTES = 8 * 1024  #: split at once: each may be a line


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of bytes that lie one after the other in a saved log."""

    offset: int  #: of its first byte in the saved log
    line: int | None = 1  #: number of its first line in its file; None if nobody has counted
    container: str = ""  #: empty where the whole log is read as it lies
    file: str = ""
    end: int | None = None  #: position behind its last byte; None until it is read


#: Pieces of stretches, each with the stretch that it is of, in order.
Pieces = Iterator[tuple[Stretch, bytes]]
#: The same, while they are read from HDFS.
Reading = Generator[tuple[Stretch, bytes], None, None]


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log, or a part of one that is very long."""

    stretch: Stretch
    number: int | None  #: in its file, from 1; None if nobody has counted
    offset: int  #: in the saved log
    text: bytes  #: without its end


def whole(log: SavedLog) -> Reading:
    """Yield the whole log as it lies."""
    return _read(log, Stretch(0), log.length)


def _read(log: SavedLog, stretch: Stretch, end: int) -> Reading:
    for piece in log.read(stretch.offset, end - stretch.offset):
        yield stretch, piece


def last_lines(log: SavedLog, stretches: Iterable[Stretch], wanted: int) -> Reading:
    """Yield the last lines of some stretches, which are read from their ends.

    Args:
        stretches: of the log, the last one first; it is known where each of them ends.
        wanted: how many lines; the last one need not have an end.
    """
    found: list[_Tail] = []
    for stretch in stretches:
        if wanted <= 0:
            break
        found.append(_tail(log, stretch, wanted, is_held=not found))
        wanted -= found[-1].lines
    for tail in reversed(found):
        if tail.held is None:
            yield from _read(log, tail.stretch, tail.end)
        else:
            yield tail.stretch, tail.held


@dataclass(frozen=True, slots=True)
class _Tail:
    """The last lines of a stretch."""

    stretch: Stretch
    end: int
    lines: int
    held: bytes | None  #: its bytes, if they are few


def _tail(log: SavedLog, stretch: Stretch, wanted: int, *, is_held: bool) -> _Tail:
    start, end = stretch.offset, log.length if stretch.end is None else stretch.end
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
            return _Tail(replace(stretch, offset=at, line=None), end, wanted, _joined(held))
    return _Tail(stretch, end, lines + (end > start), _joined(held))


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


def as_lines(pieces: Pieces) -> Iterator[list[LogLine]]:
    """Yield what is read as lines, piece by piece."""
    splitter: _Splitter | None = None
    for stretch, piece in pieces:
        if splitter is None or stretch != splitter.stretch:
            if splitter:
                yield splitter.rest()
            splitter = _Splitter(stretch)
        for start in range(0, len(piece), _SPLIT_BYTES):
            yield splitter.take(piece[start : start + _SPLIT_BYTES])
    if splitter:
        yield splitter.rest()


class _Splitter:
    """Cuts a stretch into lines."""

    def __init__(self, stretch: Stretch) -> None:
        self.stretch = stretch
        self._offset, self._number, self._held = stretch.offset, stretch.line, b""

    def take(self, piece: bytes) -> list[LogLine]:
        """Return the lines that have ended."""
        *ended, self._held = (self._held + piece).split(b"\n")
        found = [line for text in ended for line in self._parts(text, has_end=True)]
        while len(self._held) > LONGEST_LINE:
            part, self._held = self._held[:LONGEST_LINE], self._held[LONGEST_LINE:]
            found += self._parts(part, has_end=False)
        return found

    def rest(self) -> list[LogLine]:
        """Return what has no end."""
        return list(self._parts(self._held, has_end=False)) if self._held else []

    def _parts(self, text: bytes, *, has_end: bool) -> Iterator[LogLine]:
        for start in range(0, len(text) or 1, LONGEST_LINE):
            part = text[start : start + LONGEST_LINE]
            yield LogLine(self.stretch, self._number, self._offset, part)
            self._offset += len(part)
        self._offset += has_end
        if has_end and self._number is not None:
            self._number += 1
