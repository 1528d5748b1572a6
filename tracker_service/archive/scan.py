"""Look at a log as it streams by, and keep the lines that may prove why its application failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tracker_service.archive.cause_rules import Rules
from tracker_service.archive.findings import Finding, Findings
from tracker_service.archive.log_sections import Sections, Stretch
from tracker_service.archive.patterns import Match, Pattern, Searching
from tracker_service.archive.traces import FileTraces, Line, rank

_EDGE_BYTES = 32 * 1024  #: at both ends of a file, where rules look at everything
_LAST_LINES = 16  #: of a stretch that are looked at however much was found in it
_MOST_FOUND = 200  #: lines in a stretch
_FEW_FOUND = 8  #: of an application that has had its share
_SHARE = 4000  #: lines of an application
_MOST_KEPT = 200  #: different lines of an application


class _Marks:
    """Finds the next of some words in a block, as long as it is asked for later and later ones."""

    def __init__(self, marks: Sequence[Pattern]) -> None:
        self._marks = marks
        self._next: list[Match | None] = [None] * len(marks)
        self._at = [-1] * len(marks)  #: where each begins

    def search(self, text: bytes, pos: int, endpos: int) -> Match | None:
        for number, at in enumerate(self._at):
            if at < pos:
                found = self._marks[number].search(text, pos, endpos)
                self._next[number] = found
                self._at[number] = found.start() if found else endpos
        first = min(range(len(self._at)), key=self._at.__getitem__, default=-1)
        return self._next[first] if first >= 0 else None


class Scanner:
    """Looks at one application's log, as `yarn logs` prints it."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._sections = Sections()
        self._kept: dict[tuple[str, str], Finding] = {}
        self._file: _File | None = None
        self._found = 0

    def of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces as they come, and look at them."""
        try:
            for piece in pieces:
                self._look(self._sections.of(piece))
                yield piece
        finally:
            self._look(self._sections.rest())

    @property
    def findings(self) -> Findings:
        """Return what was kept of all that has passed."""
        ranked = sorted(self._kept.values(), key=self._rank, reverse=True)
        nth: Counter[str] = Counter()
        order = []
        for finding in ranked:  # the best of each rule, then the second ones …
            nth[finding.rule] += 1
            order.append(nth[finding.rule])
        by_turns = [each for _, each in sorted(zip(order, ranked, strict=True), key=_turn)]
        return Findings.of(self._sections.offset, by_turns)

    def _rank(self, finding: Finding) -> float:
        rule = self._rules.by_id.get(finding.rule)
        return rank(rule, finding.kind, finding.level, finding.depth) + 4 * finding.is_last

    def _look(self, stretches: Iterable[Stretch]) -> None:
        for stretch in stretches:
            if self._rules.is_noisy_file(stretch.section.file):
                continue
            if self._file is None:
                self._file = _File(self._rules)
            few = self._found > _SHARE
            self._found += self._file.look(stretch, _FEW_FOUND if few else _MOST_FOUND)
            if stretch.is_last:
                section = stretch.section
                self._keep(self._file.traces.findings(section.container, section.file))
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


def _turn(each: tuple[int, Finding]) -> int:
    return each[0]


class _File:
    """One file of a container, while it passes."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._lines = 0  #: that have passed
        self._counted = 0  #: up to where in the block
        self.traces = FileTraces(rules)

    def look(self, stretch: Stretch, most: int) -> int:
        """Look at the next stretch, but at no more lines than so many.

        Returns:
            at how many it has looked.
        """
        before = self.traces.taken
        self._counted = stretch.start
        at = self.traces.go_on(self._line(stretch, stretch.start, stretch.start))
        most += before
        for search, end in self._parts(stretch):
            at = self._search(search, stretch, at, end, most)
        if self.traces.taken >= most:
            last = max(at, _last_lines(stretch))
            self._search(self._rules.telling, stretch, last, stretch.end, most + _LAST_LINES + 1)
        self._count(stretch, stretch.end)
        if stretch.is_last and stretch.section.file.startswith("stderr"):
            behind = self._line(stretch, stretch.end, stretch.end)
            self.traces.take_end(behind, stretch.start)
        return self.traces.taken - before

    def _search(self, search: Searching, stretch: Stretch, at: int, end: int, most: int) -> int:
        """Take lines until so many are taken; return up to where they have been looked for."""
        while at < end and (found := search.search(stretch.block, at, end)):
            if self.traces.taken >= most:
                return at
            start = max(stretch.block.rfind(b"\n", at, found.start()) + 1, at)
            self._count(stretch, start)
            at = self.traces.take(self._line(stretch, start, found.end()), stretch.start)
        return max(at, end)

    def _count(self, stretch: Stretch, to: int) -> None:
        self._lines += stretch.block.count(b"\n", self._counted, to)
        self._counted = to

    def _parts(self, stretch: Stretch) -> Iterator[tuple[Searching, int]]:
        """Yield how to look at a stretch, and up to where."""
        section = stretch.section
        if section.length is not None:
            begin = section.offset - stretch.offset
            first = _line_from(stretch, begin + _EDGE_BYTES)
            last = _line_from(stretch, begin + section.length - _EDGE_BYTES)
            yield self._rules.telling, min(first, stretch.end)
            if first < last:
                yield _Marks(self._rules.marked), min(last, stretch.end)
        yield self._rules.telling, stretch.end

    def _line(self, stretch: Stretch, start: int, at: int) -> Line:
        """Return the line that begins at one place and goes on behind another."""
        stop = stretch.block.find(b"\n", at, stretch.end)
        stop = stretch.end if stop < 0 else stop
        offset = stretch.offset + start
        return Line(stretch.block, start, stop, stretch.end, self._lines + 1, offset)


def _line_from(stretch: Stretch, at: int) -> int:
    """Return where the first line begins behind a place, which may lie outside of a stretch."""
    if not stretch.start < at < stretch.end:
        return at
    return (stretch.block.find(b"\n", at, stretch.end) + 1) or stretch.end


def _last_lines(stretch: Stretch) -> int:
    """Return where the last few lines of a stretch begin."""
    at = stretch.end
    for _ in range(_LAST_LINES + 1):
        at = stretch.block.rfind(b"\n", stretch.start, at)
        if at < 0:
            return stretch.start
    return at + 1
