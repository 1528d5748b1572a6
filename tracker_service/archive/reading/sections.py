"""Find where the files of containers begin and end in a saved log.

Logs of the tracker and of `yarn logs` of Hadoop 2.6 to 3.4 are understood. The announced length of
a file is believed if there is an end of it where it says. Else its end is looked for, because
what was replaced or cut on the way to the saved log has another length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from tracker_service.archive.reading.cursor import NEAR_BYTES, Cursor
from tracker_service.archive.reading.lines import Range, Reading, Stretch
from tracker_service.archive.reading.saved_log import SavedLog

_PIECE_BYTES = 256 * 1024
_LONGEST_HEAD = 1024  #: bytes of lines of a head, as far as an end is judged by them

_CONTAINER = re.compile(rb"Container: (\S+) on ")
_NAME = re.compile(rb"Log ?Type: ?(.+?)\r?\n")
_LENGTH = re.compile(rb"Log ?Length: ?([0-9]{1,18})\s")
_CONTENTS = re.compile(rb"Log ?Contents: ?\r?\n")

_FOOT = b"End of LogType:"
#: What follows the content in logs of Hadoop 2.6, which have no foot.
_NEXT = re.compile(rb"\n{1,4}(?:Log ?Type: ?|Container: \S+ on )\S")
#: A head in the middle of a content of unknown length, from the line with this beginning on.
_HEADS = {
    b"Container: ": re.compile(rb"Container: \S+ on [^\n]+\n(?:LogAggregationType: |={9})"),
    b"\nLogType:": re.compile(rb"\nLogType:[^\n]+\n(?:Log[^\n]+\n){0,2}LogLength:"),
    b"\nLog Type:": re.compile(rb"\nLog Type:[^\n]+\n(?:Log[^\n]+\n){0,2}Log ?Length:"),
}


@dataclass(frozen=True, slots=True)
class FileHead:
    """What a saved log says of a file before its content."""

    container: str
    file: str
    offset: int  #: of the content in the saved log
    announced: int | None  #: length of the content in bytes; None if it is not told


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One file of a container in a saved log."""

    container: str
    file: str
    offset: int  #: of the content in the saved log
    length: int  #: of the content there, in bytes
    lines: int | None  #: None where the content was passed over unread


Wanted = Callable[[FileHead], bool]


def contents(log: SavedLog, wanted: Wanted) -> Reading:
    """Yield the contents of files, each at least as one piece, which may be empty."""
    for section in _sections(log):
        if wanted(section.head):
            head = section.head
            stretch = Stretch(head.offset, 1, head.container, head.file)
            is_empty = True
            for piece in section.pieces():
                yield stretch, piece
                is_empty = False
            if is_empty:
                yield stretch, b""


def ranges(log: SavedLog, wanted: Wanted) -> Iterator[Range]:
    """Yield where the contents of files lie, without reading what can be passed over."""
    for section in _sections(log):
        if wanted(section.head):
            head = section.head
            stretch = Stretch(head.offset, 1, head.container, head.file)
            yield Range(stretch, section.pass_over()[0])


def files(log: SavedLog) -> Generator[FoundFile, None, None]:
    """Yield each file of each container, in the order of the log."""
    for section in _sections(log):
        head = section.head
        end, lines = section.pass_over()
        yield FoundFile(
            container=head.container,
            file=head.file,
            offset=head.offset,
            length=end - head.offset,
            lines=lines,
        )


def _sections(log: SavedLog) -> Iterator[_Section]:
    cursor = Cursor(log)
    container = ""
    try:
        while head := _next_head(cursor, container):
            section = _Section(cursor, head)
            yield section
            section.pass_over()
            container = head.container
    finally:
        cursor.close()


def _next_head(cursor: Cursor, container: str) -> FileHead | None:
    """Read on behind the next head; return None at the end of the log."""
    name, announced = None, None
    while line := cursor.line():
        if found := _CONTAINER.match(line):
            container, name, announced = _text(found[1]), None, None
        elif found := _NAME.match(line):
            name, announced = _text(found[1]), None
        elif found := _LENGTH.match(line):
            announced = int(found[1])
        elif name is not None and _CONTENTS.match(line):
            return FileHead(container, name, cursor.at, announced)
    return None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


class _Section:
    """A file whose content is being read or passed over."""

    def __init__(self, cursor: Cursor, head: FileHead) -> None:
        self.head = head
        self._cursor = cursor
        self._foot = _FOOT + head.file.encode()
        self._end = self._announced_end()
        self._has_ended = False

    def pieces(self) -> Iterator[bytes]:
        """Yield what is left of the content."""
        if self._end is None:
            yield from self._searched()
            return
        while self._cursor.at < self._end:
            piece = self._cursor.take(self._end - self._cursor.at)
            if not piece:
                return
            yield piece

    def pass_over(self) -> tuple[int, int | None]:
        """Go to the end of the content.

        Returns:
            its position; and how many lines there were, if they were read.
        """
        start = self._cursor.at
        if self._end is not None and self._end - start > NEAR_BYTES:
            self._cursor.jump(self._end)
            return self._end, None
        lines, last = 0, b"\n"
        for piece in self.pieces():
            lines, last = lines + piece.count(b"\n"), piece[-1:]
        return self._cursor.at, lines + (last != b"\n")

    def _announced_end(self) -> int | None:
        """Return where the content ends, if an end is where its length says."""
        head, length = self.head, self._cursor.log.length
        if head.announced is None or head.offset + head.announced > length:
            return None
        end = head.offset + head.announced
        behind = self._cursor.peek(end, _LONGEST_HEAD)
        is_end = (
            behind.removeprefix(b"\n").startswith(self._foot)
            or _NEXT.match(behind)
            or (end + len(behind) == length and not behind.strip())
        )
        return end if is_end else None

    def _searched(self) -> Iterator[bytes]:
        """Yield what is left of the content, up to the first thing that looks like its end."""
        while not self._has_ended:
            data = self._cursor.ahead(_PIECE_BYTES)
            is_last = self._cursor.at + len(data) >= self._cursor.log.length
            end = self._end_in(data)
            self._has_ended = end is not None or is_last
            if end is None:
                end = len(data) if is_last else len(data) - _LONGEST_HEAD
            if end:
                yield self._cursor.take(end)

    def _end_in(self, data: bytes) -> int | None:
        found = [data.find(self._foot)]
        # The end of a line before a foot belongs to the foot.
        found[0] -= found[0] > 0 and data[found[0] - 1 : found[0]] == b"\n"
        for beginning, head in _HEADS.items():
            at = data.find(beginning)
            while at >= 0 and not head.match(data, at):
                at = data.find(beginning, at + 1)
            found.append(at)
        return min((at for at in found if at >= 0), default=None)
