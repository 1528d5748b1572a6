"""Follow the sections of a log while it streams by, in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tracker_service.yarn_log.grammar import AHEAD_BYTES, Section, Window

_BLOCK_BYTES = 256 * 1024 + AHEAD_BYTES + 1  #: up to 256 KiB of a block are given


class SectionPart(NamedTuple):
    """A part of a section that lies in one block; the sections' bytes come in order."""

    section: Section
    block: bytes
    start: int  #: in the block
    end: int
    offset: int  #: of the block's first byte in the log
    is_last: bool  #: of its section


class SectionStream:
    """Follows the sections of one log; finds the same ones however the bytes come.

    A section is cut into parts behind a line, or within one that is longer than a block.
    """

    def __init__(self, block_bytes: int = _BLOCK_BYTES) -> None:
        """Prepare to read a log.

        Args:
            block_bytes: more than three times `AHEAD_BYTES`.
        """
        self._block_bytes = block_bytes
        self._section: Section | None = None
        self._container = ""
        self._held: list[bytes | memoryview] = [b"\n"]  # as if a line had ended before the first
        self._held_bytes = 1
        self._offset = -1  #: of the first byte that is held

    @property
    def length(self) -> int:
        """Return how many bytes of the log have come."""
        return self._offset + self._held_bytes

    def of(self, piece: bytes) -> Iterator[SectionPart]:
        """Yield the contents of files, as far as they are known with one more piece."""
        view, at = memoryview(piece), 0
        while len(piece) - at >= (missing := self._block_bytes - self._held_bytes):
            block = b"".join((*self._held, view[at : at + missing]))
            at += missing
            yield from self._parts(Window(block, self._offset, is_last=False))
        if at < len(piece):
            self._held.append(view[at:])
            self._held_bytes += len(piece) - at

    def rest(self) -> Iterator[SectionPart]:
        """Yield what is left at the end."""
        yield from self._parts(Window(b"".join(self._held), self._offset, is_last=True))

    def _parts(self, window: Window) -> Iterator[SectionPart]:
        at, stop = 1, window.cut(1)
        while at < stop or window.is_last:
            if self._section is None:
                self._section = window.next_section(at, stop, self._container)
                if self._section is None:
                    break
                self._container = self._section.container
                at = self._section.offset - window.offset
                continue
            end, is_over = _end(self._section, window, at, stop)
            yield SectionPart(self._section, window.text, at, end, window.offset, is_over)
            at = end
            if not is_over:
                break
            self._section = None
        self._hold(window, max(at, stop))

    def _hold(self, window: Window, at: int) -> None:
        """Keep what the next block begins with: the byte before a place, and all from there on."""
        self._held = [memoryview(window.text)[at - 1 :]]
        self._held_bytes = len(window.text) - at + 1
        self._offset = window.offset + at - 1


def _end(section: Section, window: Window, at: int, stop: int) -> tuple[int, bool]:
    """Return up to where a window has the content of a section, and whether it ends there."""
    if section.announced_end is not None:
        announced = section.announced_end - window.offset
        is_known = announced < stop or (window.is_last and announced == stop)
        if at <= announced and is_known and window.is_end(section, announced):
            return announced, True
    end = window.find_end(section, at, stop)
    return (stop, window.is_last) if end is None else (end, True)
