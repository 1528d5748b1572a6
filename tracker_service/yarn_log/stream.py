"""Split a log into its sections as it arrives, with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tracker_service.yarn_log.grammar import AHEAD_BYTES, Section, Window

_BLOCK_BYTES = 256 * 1024 + AHEAD_BYTES + 1  #: so that a part has up to 256 KiB


class SectionPart(NamedTuple):
    """A part of the content of a section, within one block."""

    section: Section
    block: bytes
    start: int  #: in the block
    end: int
    offset: int  #: of the block's first byte in the log
    is_last: bool  #: of its section


class SectionStream:
    """Splits one log into sections, whatever the sizes of the pieces in which it arrives.

    A long section comes in parts. A part ends with a line, unless the line is longer than a block.
    """

    def __init__(self, block_bytes: int = _BLOCK_BYTES) -> None:
        """Prepare to read a log.

        Args:
            block_bytes: the size of a block; more than three times `AHEAD_BYTES`.
        """
        self._block_bytes = block_bytes
        self._section: Section | None = None
        self._container = ""
        self._held: list[bytes | memoryview] = [b"\n"]  # as if a line had ended before the first
        self._held_bytes = 1
        self._offset = -1  #: of the first byte that is held

    @property
    def length(self) -> int:
        """Return how many bytes of the log have arrived."""
        return self._offset + self._held_bytes

    def feed(self, piece: bytes) -> Iterator[SectionPart]:
        """Take the next piece of the log, and yield the parts that are complete with it."""
        view, at = memoryview(piece), 0
        while len(piece) - at >= (missing := self._block_bytes - self._held_bytes):
            block = b"".join((*self._held, view[at : at + missing]))
            at += missing
            yield from self._parts(Window(block, self._offset, is_last=False))
        if at < len(piece):
            self._held.append(view[at:])
            self._held_bytes += len(piece) - at

    def finish(self) -> Iterator[SectionPart]:
        """End the log, and yield the remaining parts."""
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
        """Keep the bytes from a position on for the next block, and the one byte before it."""
        self._held = [memoryview(window.text)[at - 1 :]]
        self._held_bytes = len(window.text) - at + 1
        self._offset = window.offset + at - 1


def _end(section: Section, window: Window, at: int, stop: int) -> tuple[int, bool]:
    """Return the end of a section's content within a window, and whether the content ends there."""
    if section.announced_end is not None:
        announced = section.announced_end - window.offset
        is_known = announced < stop or (window.is_last and announced == stop)
        if at <= announced and is_known and window.is_end(section, announced):
            return announced, True
    end = window.find_end(section, at, stop)
    return (stop, window.is_last) if end is None else (end, True)
