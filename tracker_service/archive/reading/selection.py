"""Choose what of a saved log is read: files of containers, then lines of these."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from tracker_service.archive.reading import sections
from tracker_service.archive.reading.lines import (
    Pieces,
    Range,
    Reading,
    Stretch,
    between,
    last_lines,
    whole,
)
from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.archive.reading.sections import FileHead
from tracker_service.errors import LogNotSaved

T = TypeVar("T")

_LONGEST_LINE = 64 * 1024  #: in bytes; a longer one is given in parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of a log is wanted; lines are counted over all that is chosen."""

    container: str | None = None
    file: str | None = None
    tail: int | None = None
    first: int | None = None  #: number of a line, from 1
    lines: int | None = None  #: how many
    by_file: bool = False  #: contents of files without what stands between them

    @property
    def is_by_file(self) -> bool:
        """Whether what stands between the contents of files is left out."""
        return self.by_file or self.container is not None or self.file is not None

    def has(self, head: FileHead) -> bool:
        """Tell whether a file is among those that are wanted."""
        return self.container in (None, head.container) and self.file in (None, head.file)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log, or a part of one that is very long."""

    stretch: Stretch
    number: int | None  #: in its file, from 1; None if nobody has counted
    offset: int  #: in the saved log
    text: bytes  #: without its end


def read(log: SavedLog, choice: Selection) -> Reading:
    """Return what is chosen of a log.

    Raises:
        LogNotSaved: no file of the log is chosen: with the first piece.
    """
    if choice.tail is not None:
        return _last(log, choice, choice.tail)
    pieces = _contents(log, choice) if choice.is_by_file else whole(log)
    if choice.first is None and choice.lines is None:
        return pieces
    return between(pieces, choice.first or 1, choice.lines)


def _contents(log: SavedLog, choice: Selection) -> Reading:
    is_empty = True
    for stretch, piece in sections.contents(log, choice.has):
        is_empty = False
        yield stretch, piece
    if is_empty:
        raise _no_file(choice)


def _last(log: SavedLog, choice: Selection, lines: int) -> Reading:
    if not choice.is_by_file:
        return last_lines(log, [Range(Stretch(0), log.length)], lines)
    return _last_of_files(log, choice, lines)


def _last_of_files(log: SavedLog, choice: Selection, lines: int) -> Reading:
    is_empty = True
    ranges: deque[Range] = deque(maxlen=lines)  # each that is not empty has one at least
    for each in sections.ranges(log, choice.has):
        is_empty = False
        if each.end > each.stretch.offset:
            ranges.append(each)
    if is_empty:
        raise _no_file(choice)
    yield from last_lines(log, reversed(ranges), lines)


def _no_file(choice: Selection) -> LogNotSaved:
    named = (("container", choice.container), ("file", choice.file))
    told = " and ".join(f"{what} {name}" for what, name in named if name is not None)
    return LogNotSaved(
        f"This log has nothing of {told or 'any container'}: add /files to the address of the log "
        "to see what it has."
    )


def as_text(pieces: Pieces, *, is_titled: bool) -> Iterator[bytes]:
    """Yield what is read as text, on request with a line before each file that names it."""
    current, last = None, b"\n"
    for stretch, piece in pieces:
        if is_titled and stretch != current:
            separator = b"" if last.endswith(b"\n") else b"\n"
            yield separator + f"==> {stretch.container}/{stretch.file} <==\n".encode()
        current, last = stretch, piece or last
        yield piece


def as_lines(pieces: Pieces) -> Iterator[list[LogLine]]:
    """Yield what is read as lines, piece by piece."""
    splitter: _Splitter | None = None
    for stretch, piece in pieces:
        if splitter is None or stretch != splitter.stretch:
            if splitter:
                yield splitter.rest()
            splitter = _Splitter(stretch)
        yield splitter.take(piece)
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
        while len(self._held) > _LONGEST_LINE:
            part, self._held = self._held[:_LONGEST_LINE], self._held[_LONGEST_LINE:]
            found += self._parts(part, has_end=False)
        return found

    def rest(self) -> list[LogLine]:
        """Return what has no end."""
        return list(self._parts(self._held, has_end=False)) if self._held else []

    def _parts(self, text: bytes, *, has_end: bool) -> Iterator[LogLine]:
        for start in range(0, len(text) or 1, _LONGEST_LINE):
            part = text[start : start + _LONGEST_LINE]
            yield LogLine(self.stretch, self._number, self._offset, part)
            self._offset += len(part)
        self._offset += has_end
        if has_end and self._number is not None:
            self._number += 1


class Prefetched(Iterator[T]):
    """A stream that has read its first piece, so that what is wrong shows at once."""

    def __init__(self, pieces: Generator[T, None, None]) -> None:
        self._pieces = pieces
        self._first = [*islice(pieces, 1)]

    def __next__(self) -> T:
        return self._first.pop() if self._first else next(self._pieces)

    def close(self) -> None:
        """Let go of what is behind the stream."""
        self._pieces.close()
