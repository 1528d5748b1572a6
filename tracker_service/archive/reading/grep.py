"""Search in a log while it streams by; a line that is found comes with its whole stack trace.

Whole pieces are searched, and only the surroundings of a hit are looked at line by line. The memory
that this takes does not grow with the log.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tracker_service.archive.reading.grep_window import GrepWindow, Hit
from tracker_service.archive.reading.lines import LogLine, Pieces
from tracker_service.archive.reading.stack_traces import Span, trace_around
from tracker_service.domain.log_levels import SPELLINGS, LevelName, LogLevel, spellings_from
from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import BadInput, TooMuchWork, WorkerStops
from tracker_service.regex import BadPattern, Pattern, within_lines

_MOST_LINES = 500  #: given at once
_CUT = (TooMuchWork, WorkerStops)

#: Parts of a pattern that are no plain characters, as far as `_NOT_TAKEN` has to know them.
_TOKENS = re.compile(
    r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[a-zA-Z]*-[a-zA-Z]*", re.DOTALL
)
#: These have another meaning where many lines are searched at once.
_NOT_TAKEN = re.compile(r"\\[AzC]|\(\?.*-.*m.*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for."""

    pattern: Pattern
    level: LogLevel | None = None  #: of the line, or of the line with which its trace was logged
    context: int = 0  #: lines before and after
    limit: int = 1000  #: lines found


@dataclass(frozen=True, slots=True)
class GrepLine:
    """A line of the answer."""

    line: LogLine
    is_hit: bool  #: else it is near one
    block: int  #: lines of one block follow one another


def search_for(pattern: str | None, level: LevelName | None, context: int, limit: int) -> Search:
    """Return what is to be searched for.

    Args:
        pattern: of RE2; without one all lines of the level are found.
        level: the least; without one, lines of any level and of none.

    Raises:
        BadInput: it is no pattern of RE2, or none that is taken here.
    """
    least = None if level is None else SPELLINGS[level]
    if pattern is not None:
        compiled = _compiled(pattern)
    else:
        compiled = within_lines(rf"\b(?:{spellings_from(least or LogLevel.TRACE)})\b")
    return Search(pattern=compiled, level=least, context=context, limit=limit)


def _compiled(pattern: str) -> Pattern:
    for found in filter(_NOT_TAKEN.fullmatch, _TOKENS.findall(pattern)):
        raise BadInput(f"grep: {found} is not taken: ^ and $ are the ends of each line.")
    try:
        return within_lines(pattern)
    except BadPattern as error:
        raise BadInput(
            f"grep: {pattern[:100]!r} is no pattern of RE2: {error.reason[:200]}; for the syntax "
            "see https://github.com/google/re2/wiki/Syntax"
        ) from error


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a search has ended before the end of the log, and why."""

    offset: int  #: in the saved log
    reason: str


class Grep:
    """One search; knows afterwards how many lines it has found."""

    def __init__(self, search: Search, budget: WorkBudget) -> None:
        self.hits = 0
        self.has_more = False  #: lines beyond the limit, or beyond where it stopped
        self.stopped: Stopped | None = None
        self._search, self._budget = search, budget
        self._blocks = 0

    def of(self, pieces: Pieces) -> Iterator[list[GrepLine]]:
        """Yield what is found as soon as it is, with what is around it."""
        window: GrepWindow | None = None
        try:
            for stretch, piece in pieces:
                if window is None or stretch != window.stretch:
                    if window:
                        yield from self._found_in(window, is_last=True)
                    window = GrepWindow(stretch)
                if window.add(piece):
                    yield from self._found_in(window, is_last=False)
                if self.has_more:
                    return
        except _CUT as error:
            self._stop(window.position if window else 0, error)
        if window:
            yield from self._found_in(window, is_last=True)

    def _stop(self, position: int, error: Exception) -> None:
        self.stopped, self.has_more = Stopped(position, str(error)), True

    def _found_in(self, window: GrepWindow, *, is_last: bool) -> Iterator[list[GrepLine]]:
        """Yield what is found in the lines of a window whose surroundings are known."""
        found: list[GrepLine] = []
        border = window.border(is_last=is_last)
        while hit := self._next_hit(window, border):
            block = self._block(window, hit)
            if block is None:
                continue
            if self.hits == self._search.limit:
                self.has_more = True
                break
            self.hits += 1
            if not window.joins(hit, block):
                found += self._taken(window)
                window.begin(hit, block)
            if len(found) > _MOST_LINES:
                yield found
                found = []
        if is_last or self.has_more or window.is_settled(border):
            found += self._taken(window)
        if found:
            yield found
        window.forget(border)

    def _next_hit(self, window: GrepWindow, border: int) -> Hit | None:
        try:
            return window.next_hit(self._search.pattern, border, self._budget)
        except _CUT as error:
            self._stop(window.position, error)
            return None

    def _block(self, window: GrepWindow, hit: Hit) -> Span | None:
        """Return a line with its trace and context; None if it was logged at a lower level."""
        lines = window.near(hit.line)
        trace = trace_around(lines, hit.line)
        if self._search.level is not None:
            level, top = lines.level(hit.line), lines.at(trace.start)
            if level is None and top:
                level = lines.level(top)
            if level is None or level < self._search.level:
                return None
        around = window.near(trace)
        first = deque((line.start for line in around.up(trace.start, self._search.context)), 1)
        last = deque((line.end for line in around.down(trace.end, self._search.context)), 1)
        return Span(*first or (trace.start,), *last or (trace.end,))

    def _taken(self, window: GrepWindow) -> list[GrepLine]:
        block = window.taken()
        if block is None:
            return []
        self._blocks += not block.follows
        return [GrepLine(line, is_hit, self._blocks) for line, is_hit in block.lines]
