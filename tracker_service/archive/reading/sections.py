"""Find the sections of a saved log by jumping from head to head, over their contents."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.yarn_log.grammar import AHEAD_BYTES, Section, Window

_WINDOW_BYTES = 256 * 1024
_FIRST_WINDOW_BYTES = 4 * AHEAD_BYTES  #: in which the next head usually begins
_FIRST_REQUEST = 256 * 1024  #: bytes; each further request asks for four times as much
#: A jump of at most this many bytes reads and drops them; a new request would take longer.
_NEAR_BYTES = 4 * 1024 * 1024
_MOST_BYTES = 512 * 1024  #: of one piece


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One file of a container in a saved log."""

    container: str
    file: str
    offset: int  #: of the content in the saved log
    length: int  #: of the content there, in bytes
    lines: int | None  #: None if the content was skipped unread


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
    """Yield the sections of a log; the next one skips the rest of the one before.

    Raises:
        TooMuchWork, WorkerStops: the reader has spent its budget; this process ends.
    """
    cursor = _Cursor(log)
    container = ""
    try:
        while section := _next_section(cursor, container):
            log.budget.go_on()
            opened = OpenSection(cursor, section)
            yield opened
            opened.pass_over()
            container = section.container
    finally:
        cursor.close()


def _next_section(cursor: _Cursor, container: str) -> Section | None:
    """Go to the content after the next head; return None at the end of the log."""
    window = cursor.window(_FIRST_WINDOW_BYTES)
    while True:
        seen = len(window.text) - (0 if window.is_last else AHEAD_BYTES)
        if section := window.next_section(cursor.start, seen, container):
            cursor.jump(section.offset)
            return section
        if window.is_last:
            return None
        cursor.jump(window.offset + window.cut(cursor.start))
        window = cursor.window(_WINDOW_BYTES)


class OpenSection:
    """A section whose content is read or skipped."""

    def __init__(self, cursor: _Cursor, section: Section) -> None:
        self.section = section
        self._cursor = cursor
        end = section.announced_end
        #: None if the length is wrong; then the end is searched for
        self._end = end if end is not None and cursor.is_end(section, end) else None
        self._has_ended = False

    def pieces(self) -> Iterator[bytes]:
        """Yield the rest of the content."""
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
            the position of the end; and the number of lines, if they were read.
        """
        start = self._cursor.at
        if self._end is not None and self._end - start > _NEAR_BYTES:
            self._cursor.jump(self._end)
            return self._end, None
        lines, last = 0, b"\n"
        for piece in self.pieces():
            lines, last = lines + piece.count(b"\n"), piece[-1:]
        return self._cursor.at, lines + (last != b"\n")

    def _searched(self) -> Iterator[bytes]:
        """Yield the rest of the content, and search for its end."""
        while not self._has_ended:
            window, start = self._cursor.window(_WINDOW_BYTES), self._cursor.start
            cut = window.cut(start)
            end = window.find_end(self.section, start, cut)
            self._has_ended = end is not None or window.is_last
            length = (cut if end is None else end) - start
            while length > 0 and (piece := self._cursor.take(length)):
                length -= len(piece)
                yield piece


class _Cursor:
    """A position in a saved log; it holds little more than `_NEAR_BYTES` in memory."""

    def __init__(self, log: SavedLog) -> None:
        self._log = log
        self._held = b""
        self.start = 0  #: of the next byte in what is held
        self._end = 0  #: position of the first byte that is not held yet
        self._pieces: Generator[bytes, None, None] | None = None
        self._request = _FIRST_REQUEST

    @property
    def at(self) -> int:
        """Return the position of the next byte."""
        return self._end - len(self._held) + self.start

    def take(self, most: int) -> bytes:
        """Return the next bytes: at least one, except at the end, and at most `most`."""
        self._hold(1)
        piece = self._held[self.start : self.start + min(most, _MOST_BYTES)]
        self.start += len(piece)
        return piece

    def window(self, length: int) -> Window:
        """Return the held bytes: at least `length` more, or fewer at the end of the log."""
        self._hold(length)
        if not self.start:  # nothing before is held: a section has just ended or begun
            self._held, self.start = b"\n" + self._held, 1
        return Window(
            self._held, self._end - len(self._held), is_last=self._end >= self._log.length
        )

    def is_end(self, section: Section, position: int) -> bool:
        """Tell whether a content may end at a later position; the cursor does not move."""
        if position > self._log.length:
            return False
        if position - self._end > _NEAR_BYTES:
            behind = self._log.bytes_at(position, AHEAD_BYTES)
            is_last = position + len(behind) >= self._log.length
            return Window(behind, position, is_last=is_last).is_end(section, 0)
        window = self.window(position + AHEAD_BYTES - self.at)
        return window.is_end(section, position - window.offset)

    def jump(self, position: int) -> None:
        """Go on at a position further on."""
        if position - self._end > _NEAR_BYTES:
            self.close()
            self._held, self.start, self._end = b"", 0, position
            self._request = _FIRST_REQUEST
        while self.at < position:
            self.take(position - self.at)

    def close(self) -> None:
        """Close the log."""
        if self._pieces is not None:
            self._pieces.close()
            self._pieces = None

    def _hold(self, length: int) -> None:
        """Hold at least `length` more bytes, or all that are left, and the byte before them."""
        missing = length - (len(self._held) - self.start)
        if missing <= 0 or self._end >= self._log.length:
            return
        has_rest = self.start < len(self._held)
        kept = self._held[max(self.start - 1, 0) :] if has_rest else b""
        self.start = min(self.start, 1) if has_rest else 0
        parts = [kept] if kept else []  # one piece alone is not copied
        while missing > 0 and (piece := self._next_piece()):
            parts.append(piece)
            self._end += len(piece)
            missing -= len(piece)
        self._held = b"".join(parts)

    def _next_piece(self) -> bytes:
        """Return the next bytes that come from HDFS; none at the end of the log."""
        while self._end < self._log.length:
            if self._pieces is None:
                length = min(self._request, self._log.length - self._end)
                self._pieces = self._log.read(self._end, length)
                self._request *= 4
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
            elif piece:
                return piece
        return b""
