"""Scan a log while it streams by, and keep the lines that may prove why its application failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tracker_service.causes.findings import Finding, Findings
from tracker_service.causes.rules import Rules
from tracker_service.causes.scan.line_numbers import LineNumbers
from tracker_service.causes.scan.line_search import LineFinder, Marks
from tracker_service.causes.scan.traces import FileTraces, ScannedLine, rank
from tracker_service.yarn_log.stream import SectionPart, SectionStream

_EDGE_BYTES = 32 * 1024  #: at both ends of a file, where rules look at everything
_MIDDLE_BYTES = 2 * 1024**2  #: of the middles of an application's files: so they do there, too
_LAST_LINES = 16  #: of a part that are looked at however much was found in it
_LAST_BYTES = 4096  #: of a file, in which its last lines are looked for
_MOST_FOUND = 200  #: lines in a part
_FIRST_FOUND = 8  #: lines of a file that are looked at however many its application has had
_SHARE = 1000  #: lines of an application that may be looked at, however short its log is
_BYTES_FOR_ONE = 32 * 1024  #: of the log, for which it gets one line more
_MOST_KEPT = 200  #: different lines of an application
_LONGEST_NAME = 300  #: characters of a container or a file
_GLANCE_BYTES = 16 * 1024  #: of a part: in a flood of errors, more is seldom needed


class _Allowance:
    """Says how many lines of an application may be looked at, as its log goes on.

    Logs with few errors never come to the end of it; where there is nothing but errors, to look at
    all of them would cost more than the copy of the log.
    """

    def __init__(self) -> None:
        self._lines: float = _SHARE
        self.middle = _MIDDLE_BYTES

    def of(self, part: SectionPart) -> int:
        """Return how many lines of the next part may be looked at."""
        more = (part.end - part.start) / _BYTES_FOR_ONE
        self._lines = min(self._lines + more, _SHARE)
        return max(min(int(self._lines), _MOST_FOUND), 0)

    def take(self, lines: int) -> None:
        """Take lines; the first and the last ones of a file are taken even if none are left."""
        self._lines = max(self._lines - lines, -_MOST_FOUND)


class Scanner:
    """Looks at one application's log, as `yarn logs` prints it."""

    def __init__(self, rules: Rules, hide: Callable[[str], str] = str) -> None:
        """Prepare to look.

        Args:
            rules: find the lines.
            hide: takes a text of the log, and returns it without secrets.
        """
        self._rules, self._hide = rules, hide
        self._stream = SectionStream()
        self._kept: dict[tuple[str, str], Finding] = {}
        self._file: _File | None = None
        self._allowance = _Allowance()

    def of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces as they come, and look at them."""
        try:
            for piece in pieces:
                self._look(self._stream.feed(piece))
                yield piece
        finally:
            self._look(self._stream.finish())

    @property
    def findings(self) -> Findings:
        """Return what was kept of all that has passed."""
        ranked = sorted(self._kept.values(), key=self._rank, reverse=True)
        nth: Counter[str] = Counter()
        order = []
        for finding in ranked:  # the best of each rule, then the second ones …
            nth[finding.rule] += 1
            order.append(nth[finding.rule])
        by_turns = [finding for _, finding in sorted(zip(order, ranked, strict=True), key=_turn)]
        return Findings.of(self._stream.length, by_turns).hidden(self._hide)

    def _rank(self, finding: Finding) -> float:
        rule = self._rules.by_id.get(finding.rule)
        return rank(rule, finding.kind, finding.role, finding.depth) + 4 * finding.is_last

    def _look(self, parts: Iterable[SectionPart]) -> None:
        for part in parts:
            if self._file is None:
                if self._rules.is_noisy_file(part.section.file):
                    continue
                self._file = _File(self._rules)
            allowed = self._allowance.of(part)
            self._allowance.take(self._file.look(part, allowed, self._allowance.middle))
            self._allowance.middle -= min(part.end - part.start, self._allowance.middle)
            if part.is_last:
                section = part.section
                names = section.container[:_LONGEST_NAME], section.file[:_LONGEST_NAME]
                self._keep(self._file.traces.findings(*names))
                self._file = None

    def _keep(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            key = (finding.rule, finding.text.translate(_NO_DIGITS))
            known = self._kept.get(key)
            times = known.times if known else 0
            self._kept[key] = replace(finding, times=finding.times + times)
        while len(self._kept) > _MOST_KEPT:
            worst = min(self._kept, key=lambda key: self._rank(self._kept[key]))
            del self._kept[worst]


_NO_DIGITS = dict.fromkeys(map(ord, "0123456789"))


def _turn(numbered: tuple[int, Finding]) -> int:
    return numbered[0]


class _File:
    """One file of a container, while it passes."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._telling = LineFinder(rules.telling.search)
        self._numbers = LineNumbers()
        self.traces = FileTraces(rules)

    def look(self, part: SectionPart, allowed: int, middle: int) -> int:
        """Look at the next part, but at not many more lines than are allowed.

        Args:
            allowed: lines.
            middle: bytes of the middle of the file in which the rules look at everything.

        Returns:
            at how many it has looked.
        """
        before = self.traces.taken
        self._numbers.enter(part.block, part.start)
        at = self._begin(part)
        most = max(before + allowed, _FIRST_FOUND)
        is_flooded = allowed < _MOST_FOUND
        for words, end in self._parts(part, middle, is_flooded=is_flooded):
            at = self._search(words, part, at, end, most)
            if self.traces.taken >= most:
                break
        if self.traces.taken >= most and (_is_near_the_end(part) or not is_flooded):
            last = max(at, _last_lines(part))
            self._search(self._telling, part, last, part.end, most + _LAST_LINES + 1)
        if part.is_last and part.section.file.startswith("stderr"):
            self.traces.take_end(self._line(part, part.end), part.start)
        self.traces.pass_by(part.block, part.offset, part.start, part.end)
        self._numbers.leave(part.end)
        return self.traces.taken - before

    def _begin(self, part: SectionPart) -> int:
        """Go on with a traceback that the part before left open; return up to where."""
        if not self.traces.is_open:
            return part.start
        return self.traces.go_on(self._line(part, part.start))

    def _search(self, words: LineFinder, part: SectionPart, at: int, end: int, most: int) -> int:
        """Take lines until so many are taken; return up to where they have been looked for."""
        block, take = part.block, self.traces.take
        while at < end and (found := words.find(block, at, end)) >= 0:
            if self.traces.taken >= most:
                return at
            start = (block.rfind(b"\n", at, found) + 1) or at
            at = take(self._line(part, start), part.start)
        return max(at, end)

    def _parts(
        self, part: SectionPart, middle: int, *, is_flooded: bool
    ) -> Iterator[tuple[LineFinder, int]]:
        """Yield how to look at a part, and up to where."""
        section = part.section
        if section.announced_end is not None:
            first = _line_from(part, section.offset - part.offset + _EDGE_BYTES)
            last = _line_from(part, section.announced_end - part.offset - _EDGE_BYTES)
            if not is_flooded:
                first = max(first, min(_line_from(part, part.start + middle), last))
            yield self._telling, min(first, part.end)
            if first < last and is_flooded:  # a few marks are found without a look at all of it
                glance = _line_from(part, max(first, part.start) + _GLANCE_BYTES)
                yield LineFinder(Marks(self._rules.marked).search), min(glance, last, part.end)
            if first < last:
                yield LineFinder(Marks(self._rules.marked).search), min(last, part.end)
        yield self._telling, part.end

    def _line(self, part: SectionPart, start: int) -> ScannedLine:
        """Return the line that begins at a place."""
        stop = part.block.find(b"\n", start, part.end)
        stop = part.end if stop < 0 else stop
        number, offset = self._numbers.of(start), part.offset + start
        return ScannedLine(part.block, start, stop, part.end, number, offset)


def _line_from(part: SectionPart, at: int) -> int:
    """Return where the first line begins behind a place, which may lie outside of a part."""
    if not part.start < at < part.end:
        return at
    return (part.block.find(b"\n", at, part.end) + 1) or part.end


def _last_lines(part: SectionPart) -> int:
    """Return where the last few lines of a part begin."""
    at = part.end
    for _ in range(_LAST_LINES + 1):
        at = part.block.rfind(b"\n", part.start, at)
        if at < 0:
            return part.start
    return at + 1


def _is_near_the_end(part: SectionPart) -> bool:
    """Tell whether a file ends in a part, or so soon behind it that its last lines are here."""
    end = part.section.announced_end
    if part.is_last or end is None:
        return part.is_last
    return end < part.offset + part.end + _LAST_BYTES
