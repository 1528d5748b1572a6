"""The part of a log that a search holds in memory, and the lines found in it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from tracker_service.archive.reading.lines import LONGEST_LINE, LogLine, Stretch
from tracker_service.archive.reading.stack_traces import REACH_BYTES, Lines, Span
from tracker_service.domain.work_budget import WorkBudget
from tracker_service.regex import Pattern

_AROUND_BYTES = 2 * REACH_BYTES  #: before and behind a line that is found: its trace, and context
_LEAST_BYTES = 256 * 1024  #: searched at once, but for the last
_LONGEST_SEARCHED = 128 * 1024  #: a line that is longer is searched in parts
#: Bytes to search at once, to the end of a line, before the budget is looked at again; their number
#: follows the pattern, so that others wait for no more than a few milliseconds.
_SEARCHED_AT_ONCE = range(1024, 64 * 1024)
_SEARCH_S = 0.002
_LONGEST_BLOCK = 256 * 1024  #: a longer one is given in parts


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where something is found, and its line; both in the bytes of a window."""

    at: int
    line: Span


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow one another, and for each line whether something was found in it."""

    follows: bool  #: the block that was taken before
    lines: list[tuple[LogLine, bool]]


class GrepWindow:
    """The bytes of a stretch that are searched now, with some before and behind them.

    All positions are positions in these bytes.
    """

    def __init__(self, stretch: Stretch) -> None:
        self.stretch = stretch
        self._data = b""
        self._fresh: list[bytes] = []  #: not yet a part of the data
        self._fresh_bytes = 0
        self._offset = stretch.offset  #: of the first byte that is held
        self._number, self._counted = stretch.line, 0  #: of the line at a position
        self._searched, self._at_once = 0, 4096
        self._block: Span | None = None
        self._hits: list[int] = []
        self._taken = -1  #: the end of the last block that was taken

    def add(self, piece: bytes) -> bool:
        """Take in what comes next; tell whether there is enough for a search."""
        self._fresh.append(piece)
        self._fresh_bytes += len(piece)
        return self._fresh_bytes >= _LEAST_BYTES

    def border(self, *, is_last: bool) -> int:
        """Return how far can be searched now: to the end of a line with enough behind it."""
        self._data = b"".join((self._data, *self._fresh))
        self._fresh, self._fresh_bytes = [], 0
        if is_last:
            return len(self._data)
        border = len(self._data) - _AROUND_BYTES
        end = self._data.rfind(b"\n", self._searched, max(border, self._searched)) + 1
        if not end and border - self._searched > _LONGEST_SEARCHED:
            return border
        return max(end, self._searched)

    @property
    def position(self) -> int:
        """Where in the saved log the search is."""
        return self._offset + self._searched

    def next_hit(self, pattern: Pattern, border: int, budget: WorkBudget) -> Hit | None:
        """Return the next line in which something is found: one hit a line.

        Raises:
            TooMuchWork: the search has spent its budget.
        """
        while self._searched < border:
            budget.go_on()
            most = min(border, self._searched + _LONGEST_SEARCHED)
            end = self._data.find(b"\n", self._searched + self._at_once, most) + 1
            began = time.monotonic()
            hit = self._hit_before(end or most, pattern)
            self._take_more_or_less(time.monotonic() - began)
            if hit:
                return hit
        return None

    def _take_more_or_less(self, spent_s: float) -> None:
        if spent_s > _SEARCH_S:
            self._at_once = max(_SEARCHED_AT_ONCE.start, self._at_once // 2)
        elif spent_s < _SEARCH_S / 4:
            self._at_once = min(_SEARCHED_AT_ONCE.stop, self._at_once * 2)

    def _hit_before(self, border: int, pattern: Pattern) -> Hit | None:
        data = self._data
        found = pattern.search(data, self._searched, border)
        at = found.start() if found else border
        if at == border and (not found or data.endswith(b"\n", 0, border)):
            self._searched = border
            return None
        at = min(at, border - 1)  # the empty end of a line that has none
        low = max(0, at - LONGEST_LINE // 2)
        start = max(low, data.rfind(b"\n", low, at) + 1)
        end = data.find(b"\n", at, border) + 1 or border
        self._searched = end
        return Hit(at, Span(start, min(end, start + LONGEST_LINE)))

    def near(self, span: Span) -> Lines:
        """Return the lines around some lines, as far as a trace may reach."""
        low, high = max(0, span.start - REACH_BYTES), span.end + REACH_BYTES
        return Lines(self._data, low, min(len(self._data), high))

    def begin(self, hit: Hit, block: Span) -> None:
        """Begin a block; the one before has been taken."""
        self._block = Span(max(block.start, self._taken), max(block.end, self._taken))
        self._hits = [hit.at]

    def joins(self, hit: Hit, block: Span) -> bool:
        """Put a block together with the one that was begun, if they touch or overlap."""
        begun = self._block
        if begun is None or block.start > begun.end:
            return False
        if begun.end - begun.start > _LONGEST_BLOCK:
            self._block = Span(begun.start, min(begun.end, hit.line.start))
            return False
        self._block = Span(begun.start, max(begun.end, block.end))
        self._hits.append(hit.at)
        return True

    def is_settled(self, border: int) -> bool:
        """Tell whether nothing that is found from now on can join the block."""
        return self._block is not None and self._block.end < border

    def taken(self) -> Block | None:
        """Return the block that was begun and forget it."""
        block, self._block = self._block, None
        if block is None:
            return None
        follows, self._taken = block.start == self._taken, block.end
        return Block(follows, self._lines(block))

    def _lines(self, block: Span) -> list[tuple[LogLine, bool]]:
        number = self._number_at(block.start)
        found, hits, at = [], deque(self._hits), block.start
        while at < block.end:
            most = min(block.end, at + LONGEST_LINE)
            end = self._data.find(b"\n", at, most)
            text = self._data[at : end if end >= 0 else most]
            line = LogLine(self.stretch, number, self._offset + at, text)
            at += len(text) + (end >= 0)
            is_hit = False
            while hits and hits[0] < at:
                is_hit = True
                hits.popleft()
            found.append((line, is_hit))
            if number is not None:
                number += end >= 0
        return found

    def _number_at(self, position: int) -> int | None:
        """Return the number of the line that a position is in; positions only go up."""
        if self._number is not None:
            self._number += self._data.count(b"\n", self._counted, position)
        self._counted = position
        return self._number

    def forget(self, border: int) -> None:
        """Forget the bytes that are too far before the border to be returned."""
        cut = border - _AROUND_BYTES
        if self._block is not None:
            cut = min(cut, self._block.start)
        if cut <= 0:
            return
        self._number_at(max(cut, self._counted))
        if self._block is not None:
            self._block = Span(self._block.start - cut, self._block.end - cut)
        self._hits = [at - cut for at in self._hits]
        self._data = self._data[cut:]
        self._offset += cut
        self._searched -= cut
        self._taken -= cut
        self._counted -= cut
