"""Find the whole stack trace that a line of a log belongs to: of Java, Scala or Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tracker_service.domain.log_levels import SPELLINGS, LogLevel, spellings_from

REACH_BYTES = 64 * 1024  #: a trace is followed so far up and so far down
_MOST_LINES = 1000  #: in each direction
_MOST_OF_MESSAGE = 20  #: lines between an exception and its first frame

_LEVEL_WITHIN = 150  #: bytes of a line, in which its level stands
_LEVEL = re.compile(rf"(?<![\w.$/-])({spellings_from(LogLevel.TRACE)})(?![\w.$/=-])".encode())

_CAUSE = re.compile(rb"\s*Caused by: |[ \t]+(?:Suppressed: |\[CIRCULAR)")
_FRAME = re.compile(rb"[ \t]+at \S|\s*\.{3} \d+ (?:more|common)")
_EXCEPTION = re.compile(
    rb"(?:Exception in thread \"[^\"\n]{0,200}\" |: )?(?:[A-Za-z_$][\w$]*\.)+[A-Z][\w$]*\s*(?::|\Z)"
)
_TRACEBACK = re.compile(rb"\s*(?:\+ Exception Group )?Traceback \(most recent call last\):")
_INDENTED = re.compile(rb"[ \t]+\S")
_LINK = re.compile(rb"(?:During handling|The above exception was)")
_BLANK = re.compile(rb"\s*\Z")


@dataclass(frozen=True, slots=True)
class Span:
    """A line with its end, or several, in the bytes that are looked at."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a part of a log that is held in memory."""

    data: bytes
    low: int  #: nothing before this is looked at
    high: int  #: nor from this on

    def at(self, start: int) -> Span | None:
        """Return the line that begins here."""
        if start >= self.high:
            return None
        end = self.data.find(b"\n", start, self.high)
        return Span(start, end + 1 if end >= 0 else self.high)

    def before(self, start: int) -> Span | None:
        """Return the line that ends here."""
        if start <= self.low:
            return None
        return Span(max(self.low, self.data.rfind(b"\n", self.low, start - 1) + 1), start)

    def up(self, start: int, most: int = _MOST_LINES) -> Iterator[Span]:
        """Yield the lines before a position, the nearest first."""
        line = self.before(start)
        while line and most > 0:
            yield line
            line, most = self.before(line.start), most - 1

    def down(self, start: int, most: int = _MOST_LINES) -> Iterator[Span]:
        """Yield the lines from a position on."""
        line = self.at(start)
        while line and most > 0:
            yield line
            line, most = self.at(line.end), most - 1

    def has(self, pattern: re.Pattern[bytes], line: Span | None) -> bool:
        """Tell whether there is a line, and begins like this."""
        return line is not None and pattern.match(self.data, line.start, line.end) is not None

    def level(self, line: Span) -> LogLevel | None:
        """Return the level at which a line was logged; None if it names none."""
        end = min(line.end, line.start + _LEVEL_WITHIN)
        found = _LEVEL.search(self.data, line.start, end)
        return SPELLINGS[found[1].decode()] if found else None


def trace_around(lines: Lines, line: Span) -> Span:
    """Return the trace that a line is in, with the line that was logged before it."""
    start = _top(lines, line)
    end = _bottom(lines, Span(start, lines.data.find(b"\n", start, line.end) + 1 or line.end))
    if end < line.end:  # what looked like its trace is another one, above it
        start, end = line.start, _bottom(lines, line)
    return Span(start, max(end, line.end))


def _top(lines: Lines, line: Span) -> int:
    top = _head_of_java(lines, line) if _is_in_java(lines, line) else _traceback_below(lines, line)
    traceback = _head_of_python(lines, top)
    while traceback:
        top = traceback
        traceback = _linked_traceback(lines, top)
    above = lines.before(top.start)
    has_own = lines.level(top) is not None
    is_head = lines.has(_TRACEBACK, top) or lines.has(_EXCEPTION, top)
    if above and is_head and not has_own and lines.level(above) is not None:
        return above.start
    return top.start


def _is_in_java(lines: Lines, line: Span) -> bool:
    """Tell whether a line is below an exception: a frame, a cause, or more of a message."""
    if lines.has(_FRAME, line) or lines.has(_CAUSE, line):
        return True
    head = None if lines.has(_EXCEPTION, line) else _head_of_message(lines, line)
    return head is not None and lines.level(head) is None and _first_frame(lines, line) is not None


def _head_of_java(lines: Lines, line: Span) -> Span:
    """Return the first exception of the trace that a line is in, or what stands in its place."""
    while above := _nearest(lines, line):
        head = _head_of_message(lines, above) or above
        if not lines.has(_CAUSE, head):
            return head
        line = head
    return line


def _nearest(lines: Lines, line: Span) -> Span | None:
    """Return the nearest line above that is neither a frame nor a cause."""
    for above in lines.up(line.start):
        if not (lines.has(_FRAME, above) or lines.has(_CAUSE, above)):
            return above
    return None


def _head_of_message(lines: Lines, line: Span) -> Span | None:
    """Return the line with which a message begins: an exception, a cause or a line of a logger."""
    above = lines.up(line.start, _MOST_OF_MESSAGE)
    for head in (line, *above):
        if lines.has(_FRAME, head) or lines.has(_BLANK, head):
            return None
        if lines.has(_EXCEPTION, head) or lines.has(_CAUSE, head) or lines.level(head) is not None:
            return head
    return None


def _traceback_below(lines: Lines, line: Span) -> Span:
    """Return the traceback below the line that links it to the one above; else the line."""
    below = lines.down(line.end, 3) if lines.has(_LINK, line) else ()
    return next((found for found in below if lines.has(_TRACEBACK, found)), line)


def _head_of_python(lines: Lines, line: Span) -> Span | None:
    """Return the first line of the traceback that a line is in."""
    if lines.has(_TRACEBACK, line):
        return line
    if lines.has(_BLANK, line):
        return None
    for above in lines.up(line.start):
        if lines.has(_TRACEBACK, above):
            return above
        if not lines.has(_INDENTED, above):
            return None
    return None


def _linked_traceback(lines: Lines, traceback: Span) -> Span | None:
    """Return the traceback of the exception that was being handled, if there was one."""
    above = (line for line in lines.up(traceback.start, 4) if not lines.has(_BLANK, line))
    link, last = next(above, None), next(above, None)
    return _head_of_python(lines, last) if last and lines.has(_LINK, link) else None


def _bottom(lines: Lines, line: Span) -> int:
    """Return the end of the trace that begins with a line, or goes on below it."""
    end, count = line.end, 0
    if lines.has(_TRACEBACK, line):
        end = _end_of_traceback(lines, end)
    while (more := _more(lines, end)) and count < _MOST_LINES:
        end, count = more, count + 1
    return end


def _more(lines: Lines, end: int) -> int | None:
    """Return the end of what follows in the same trace: a frame, an exception or a traceback."""
    line = lines.at(end)
    if line is None:
        return None
    if lines.has(_FRAME, line):
        return line.end
    if lines.has(_CAUSE, line):
        return _first_frame(lines, line) or line.end
    if lines.has(_TRACEBACK, line):
        return _end_of_traceback(lines, line.end)
    if lines.has(_EXCEPTION, line):
        return _first_frame(lines, line)
    return _end_of_linked(lines, line) if lines.has(_BLANK, line) else None


def _end_of_linked(lines: Lines, blank: Span) -> int | None:
    """Return the end of the traceback that is linked to the one above, if there is one."""
    below = [line for line in lines.down(blank.end, 4) if not lines.has(_BLANK, line)]
    if len(below) > 1 and lines.has(_LINK, below[0]) and lines.has(_TRACEBACK, below[1]):
        return _end_of_traceback(lines, below[1].end)
    return None


def _first_frame(lines: Lines, exception: Span) -> int | None:
    """Return the end of the first frame below an exception, if it has any."""
    for line in lines.down(exception.end, _MOST_OF_MESSAGE):
        if lines.has(_FRAME, line):
            return line.end
        if lines.level(line) is not None or lines.has(_BLANK, line):
            break
    return None


def _end_of_traceback(lines: Lines, end: int) -> int:
    """Return the end of a traceback: behind its frames stands the exception."""
    for line in lines.down(end):
        end = line.end
        if not lines.has(_INDENTED, line):
            break
    return end
