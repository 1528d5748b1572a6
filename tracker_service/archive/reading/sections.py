"""Find the sections of a saved log by jumping from head to head over contents nobody wants."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from tracker_service.archive.reading.cursor import NEAR_BYTES, Cursor
from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.yarn_log.grammar import AHEAD_BYTES, Section, Window

_WINDOW_BYTES = 256 * 1024
_FIRST_WINDOW_BYTES = 4 * AHEAD_BYTES  #: in which the next head usually begins


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One file of a container in a saved log."""

    container: str
    file: str
    offset: int  #: of the content in the saved log
    length: int  #: of the content there, in bytes
    lines: int | None  #: None where the content was passed over unread


def files(log: SavedLog) -> Generator[FoundFile, None, None]:
    """Yield each file of each container, in the order of the log."""
    for opened in open_sections(log):
        section = opened.section
        end, lines = opened.pass_over()
        yield FoundFile(
            container=section.container,
            file=section.file,
            offset=section.offset,
            length=end - section.offset,
            lines=lines,
        )


def open_sections(log: SavedLog) -> Generator[OpenSection, None, None]:
    """Yield the sections of a log; read one before you ask for the next."""
    cursor = Cursor(log)
    container = ""
    try:
        while section := _next_section(cursor, container):
            opened = OpenSection(cursor, section)
            yield opened
            opened.pass_over()
            container = section.container
    finally:
        cursor.close()


def _next_section(cursor: Cursor, container: str) -> Section | None:
    """Read on behind the next head; return None at the end of the log."""
    before, size = b"\n", _FIRST_WINDOW_BYTES  # a content ends where a line begins, or with a foot
    while not cursor.is_at_end:
        window = _window(cursor, before, size)
        stop = window.stop
        if section := window.next_section(1, stop, container):
            cursor.jump(section.offset)
            return section
        before, size = window.text[stop - 1 : stop], _WINDOW_BYTES
        cursor.jump(window.offset + stop)
    return None


def _window(cursor: Cursor, before: bytes, size: int) -> Window:
    """Return the next bytes of a log, behind the byte before them."""
    text = before + cursor.ahead(size)
    offset = cursor.at - 1
    return Window(text, offset, is_last=offset + len(text) >= cursor.log.length)


class OpenSection:
    """A section whose content is being read or passed over."""

    def __init__(self, cursor: Cursor, section: Section) -> None:
        self.section = section
        self._cursor = cursor
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
        """Return where the content ends by its length, if that is right."""
        end, length = self.section.announced_end, self._cursor.log.length
        if end is None or end > length:
            return None
        text = b"\n" + self._cursor.peek(end, AHEAD_BYTES)
        window = Window(text, end - 1, is_last=end - 1 + len(text) == length)
        return end if window.is_end(self.section, 1) else None

    def _searched(self) -> Iterator[bytes]:
        """Yield what is left of the content, up to where its end is found."""
        before = b"\n"
        while not self._has_ended:
            window = _window(self._cursor, before, _WINDOW_BYTES)
            stop = window.stop
            end = window.find_end(self.section, 1, stop)
            self._has_ended = end is not None or window.is_last
            length = (stop if end is None else end) - 1
            before = window.text[length : length + 1]
            while length > 0 and (piece := self._cursor.take(length)):
                length -= len(piece)
                yield piece
