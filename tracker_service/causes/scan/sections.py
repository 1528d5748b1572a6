"""Tell to which container's file each part of a saved log belongs, as the log streams by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracker_service.regex import Match, compiled, literal, text_of

_BLOCK_BYTES = 256 * 1024
_UNCUT_BYTES = 4096  #: at the end of a block: headers that begin there wait for the next one
_LONGEST_NAME = 300


# As `yarn logs` of Hadoop 2.4 to 3.4 prints them; 2.x has spaces in other places.
_HEADER = compiled(
    rb"(?:^Container: (\S+) on [^\n]*\n"
    rb"(?:LogAggregationType:[^\n]*\n)?=+\n)?"
    rb"^Log ?Type: ?([^\n]*)\n"
    rb"(?:Log ?(?:Last ?Modified|Upload) ?Time: ?[^\n]*\n)?"
    rb"^Log ?Length: ?([^\n]*)\n"
    rb"^Log ?Contents: ?\n"
)
_AFTER = compiled(rb"\s*(?:End of Log ?Type ?:|Log ?Type ?:|Container: )")
_FOOTER = b"\nEnd of LogType:"
_FOOTERS = literal(_FOOTER[1:])  #: that RE2 finds far faster than Python does
_REST_OF_FOOTER = compiled(rb"\*+\n\n*")
_APPLICATION = compiled(rb"^container_(?:e[0-9]+_)?([0-9]+_[0-9]+)_")
#: with what a line begins that may not be parted from those after it
_UNCUT = (b"\nContainer: ", b"\nLogType:", b"\nLog Type:", _FOOTER)


@dataclass(slots=True)
class Section:
    """A file of a container, from when its header has been read."""

    container: str
    file: str
    length: int | None  #: as the header says; wrong where secrets were taken out
    offset: int  #: of its first byte in the log


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a section that lies in one block; the sections' bytes come in order."""

    section: Section
    block: bytes
    start: int  #: in the block
    end: int
    offset: int  #: of the block's first byte in the log
    is_last: bool  #: of its section


class Blocks:
    """Cuts bytes into blocks of whole lines: the same ones however the bytes came.

    A line that is longer than a block is cut.
    """

    def __init__(self) -> None:
        self._held: list[memoryview] = []
        self._size = 0

    def of(self, piece: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield the blocks that are full with one more piece, and where in its bytes each ends.

        What is behind comes again in the next one: to cut it off would copy all that is before.
        """
        view, at = memoryview(piece), 0
        while len(piece) - at >= _BLOCK_BYTES - self._size:
            taken = view[at : at + _BLOCK_BYTES - self._size]
            at += len(taken)
            block = b"".join((*self._held, taken))
            end = _cut(block)
            self._held, self._size = [memoryview(block)[end:]], len(block) - end
            yield block, end
        if at < len(piece):
            self._held.append(view[at:])
            self._size += len(piece) - at

    def rest(self) -> bytes:
        """Return what is left at the end."""
        return b"".join(self._held)


def _cut(block: bytes) -> int:
    """Return where a block is to end: behind a line, and before a header that is not whole."""
    end = block.rfind(b"\n") + 1
    if not end:
        return len(block)
    begin = max(end - _UNCUT_BYTES, 0)
    marks = [at for mark in _UNCUT if (at := block.find(mark, begin, end)) > 0]
    return min(marks, default=end)


class Sections:
    """Follows the headers through the blocks of one log."""

    def __init__(self) -> None:
        self._section: Section | None = None
        self._blocks = Blocks()
        self._container = ""
        self.offset = 0  #: of the block that comes next: in the end the log's length

    def of(self, piece: bytes) -> Iterator[Stretch]:
        """Yield the contents of files, as far as they are known with one more piece."""
        for block, end in self._blocks.of(piece):
            yield from self._stretches(block, end, is_last=False)
            self.offset += end

    def rest(self) -> Iterator[Stretch]:
        """Yield what is left at the end."""
        block = self._blocks.rest()
        yield from self._stretches(block, len(block), is_last=True)
        self.offset += len(block)

    def _stretches(self, block: bytes, stop: int, *, is_last: bool) -> Iterator[Stretch]:
        at = 0
        while True:
            if self._section is None:
                header = _HEADER.search(block, at, stop)
                if header is None:
                    return
                at = header.end()
                self._section = self._opened(header)
            end, is_over = self._end(self._section, block, at, stop, is_last=is_last)
            yield Stretch(self._section, block, at, end, self.offset, is_over)
            if not is_over:
                return
            self._section, at = None, end

    def _opened(self, header: Match) -> Section:
        if header[1] is not None:
            self._container = text_of(header[1])[:_LONGEST_NAME]
        told = header[3].strip()
        return Section(
            container=self._container,
            file=text_of(header[2]).strip()[:_LONGEST_NAME],
            length=int(told) if told.isdigit() and len(told) < 19 else None,
            offset=self.offset + header.end(),
        )

    def _end(
        self, section: Section, block: bytes, at: int, stop: int, *, is_last: bool
    ) -> tuple[int, bool]:
        """Return where in the block a section ends, and whether it does.

        Its length decides, if it is right; a log may well hold headers of other logs.
        """
        announced = at
        if section.length is not None:
            announced = section.offset + section.length - self.offset
            if announced >= stop and not is_last:
                return self._early_end(section, block, at, stop) or (stop, False)
            if at <= announced <= stop and (
                announced == stop or _AFTER.match(block, announced, stop)
            ):
                return announced, True
        if early := self._early_end(section, block, at, stop):
            return early
        return self._late_end(section, block, max(at, announced), stop) or (stop, is_last)

    def _early_end(
        self, section: Section, block: bytes, at: int, stop: int
    ) -> tuple[int, bool] | None:
        """Return where it ends before its length does: where the same application goes on."""
        if not _FOOTERS.search(block, at, stop):
            return None
        footer = _FOOTER + section.file.encode() + b"\n"
        found = block.find(footer, max(at - 1, 0), stop)
        while found >= 0:
            stars = _REST_OF_FOOTER.match(block, found + len(footer), stop)
            header = _HEADER.match(block, stars.end(), stop) if stars else None
            if header and header[1] and self._is_ours(header[1]):
                return max(found, at), True
            found = block.find(footer, found + 1, stop)
        return None

    def _late_end(
        self, section: Section, block: bytes, at: int, stop: int
    ) -> tuple[int, bool] | None:
        """Return where it ends if its length is too small or not known."""
        at = max(at - 1, 0)
        found = block.find(_FOOTER + section.file.encode() + b"\n", at, stop)
        if found < 0:
            header = _HEADER.search(block, at, stop) if section.length is not None else None
            found = header.start() if header else -1
        return (found, True) if found >= 0 else None

    def _is_ours(self, container: bytes) -> bool:
        ours, theirs = (_APPLICATION.search(name) for name in (self._container.encode(), container))
        return bool(ours and theirs and ours[1] == theirs[1])
