"""Keep the lines of one file that may prove a cause: errors, deepest causes, tracebacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracker_service.causes.findings import LONGEST_TEXT, Finding, Kind
from tracker_service.causes.rules import TRACEBACK, Place, Rule, Rules
from tracker_service.domain.log_levels import SPELLINGS, LogLevel, spellings_from
from tracker_service.regex import compiled, text_of

_SHELL_ENDED = b"Exit code of the Shell command "
SHELL_OUTPUT = "Stdoutput "  #: what Oozie puts before each line of a script's output
WRAPPER = 20  #: a rule of less weight only says that something else has failed
_DIGITS = b"0123456789"
_MOST_KEPT = 64  #: different lines of a file
_MOST_DULL = 512  #: different lines of a file that are known to say nothing
_LONGEST_TRACEBACK = 200  #: lines
_LONGEST_LINE = 4096  #: bytes that are looked at
_FRAMES = 30  #: of a stack trace that are looked at for one of the program's own
_TAIL_LINES = 3
_TAIL_BYTES = 4096
#: A scan knows errors, warnings, and the rest.
_LEVELS = {
    word.encode(): max(LogLevel.INFO, min(level, LogLevel.ERROR))
    for word, level in SPELLINGS.items()
}
_LEVEL = compiled(rf"\b({spellings_from(LogLevel.TRACE)})\b".encode())
_LEVEL_WITHIN = 160  #: bytes
_REPORT = b"iagnostics"  #: of a failed attempt: masters relay it as mere information
_REPORT_WITHIN = 300  #: bytes
_WITHIN = (b" ", b"\t", b"|", b"")  #: with what lines begin that go on with what is above them
_FOREIGN = (b"java.", b"javax.", b"jdk.", b"sun.", b"com.sun.", b"scala.", b"org.apache.")


@dataclass(slots=True)  # not frozen: that would make each one several times as dear
class ScannedLine:
    """A line in its block."""

    block: bytes
    start: int
    stop: int  #: its end, without the end of line
    end: int  #: of what belongs to its file
    number: int  #: in its file, from 1
    offset: int  #: of its first byte in the log

    @property
    def text(self) -> bytes:
        """Return what stands in it, as far as it is looked at."""
        return self.block[self.start : min(self.stop, self.start + _LONGEST_LINE)].rstrip(b"\r")

    def lines_after(self, most: int) -> Iterator[ScannedLine]:
        """Yield the lines that follow in the block."""
        at, number = self.stop + 1, self.number + 1
        for _ in range(most):
            if at >= self.end:
                return
            stop = self.block.find(b"\n", at, self.end)
            stop = self.end if stop < 0 else stop
            yield ScannedLine(self.block, at, stop, self.end, number, self.offset + at - self.start)
            at, number = stop + 1, number + 1

    def lines_before(self, begin: int, most: int) -> Iterator[ScannedLine]:
        """Yield the lines before it, the nearest first.

        Args:
            begin: where in the block its file, or what is known of it, begins.
            most: how many.
        """
        stop, number = self.start - 1, self.number - 1
        for _ in range(most):
            if stop < begin:
                return
            start = max(self.block.rfind(b"\n", begin, stop) + 1, begin)
            offset = self.offset - (self.start - start)
            yield ScannedLine(self.block, start, stop, self.end, number, offset)
            stop, number = start - 1, number - 1


@dataclass(slots=True)
class _Kept:
    """A line that is kept, while its file is read."""

    line: int
    offset: int
    text: bytes
    rule: Rule | None
    kind: Kind
    level: LogLevel | None
    depth: int = 0
    frame: bytes = b""
    times: int = 1
    prefix: bytes = b""  #: what stands before the words that the rule knows

    @property
    def rank(self) -> float:
        return rank(self.rule, self.kind, self.level, self.depth)


def rank(rule: Rule | None, kind: Kind, level: LogLevel | None, depth: int) -> float:
    """Return how much a line proves by itself: the weight of its rule, and what it is."""
    weight = rule.weight if rule else 2
    if weight < WRAPPER:
        return weight
    deeper = 4 + 3 * min(depth, 3)
    by_kind = {Kind.WRAPPER: -12, Kind.CAUSE: deeper, Kind.TRACEBACK: 14 + depth, Kind.TAIL: 0}
    by_level = {None: 0, LogLevel.ERROR: 2, LogLevel.WARN: -6, LogLevel.INFO: -30}
    return weight + by_kind.get(kind, 0) + by_level[level]


@dataclass(slots=True)
class _Open:
    """A Python traceback whose last line is still to come."""

    prefix: bytes
    level: LogLevel | None
    frame: bytes = b""
    lines: int = 0


class FileTraces:
    """Takes the lines of one file that may prove something, in their order."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._kept: dict[bytes, _Kept] = {}
        self._dull: set[bytes] = set()
        self._member: _Kept | None = None  #: the last one of the stack trace that is being read
        self._open: _Open | None = None
        self.taken = 0  #: lines that were looked at

    def take(self, line: ScannedLine, begin: int) -> int:
        """Look at a line.

        Args:
            begin: where in the block the file begins.

        Returns:
            from where in the block to go on.
        """
        text = line.text
        self.taken += 1
        if TRACEBACK in text:
            return self._opened(line, begin)
        key = text.translate(None, _DIGITS)
        known = self._kept.get(key)
        if known is not None:
            known.times += 1
            known.line, known.offset, known.text = line.number, line.offset, text
            self._member = known if known.kind in (Kind.CAUSE, Kind.WRAPPER) else self._member
        elif key not in self._dull:
            self._take_new(key, text, line, begin)
        return line.stop + 1

    @property
    def is_open(self) -> bool:
        """Tell whether a traceback goes on in the next block."""
        return self._open is not None

    def go_on(self, line: ScannedLine) -> int:
        """Take the line that begins a further block, if a traceback goes on there.

        Returns:
            from where in the block to go on.
        """
        return self._follow(self._open, line) if self._open else line.start

    def _take_new(self, key: bytes, text: bytes, line: ScannedLine, begin: int) -> None:
        if self._rules.is_fresh_start(text):
            self._kept.clear()
            self._member = None
        rule = self._rules.match(Place.LOG, text)
        if rule is None:
            if len(self._dull) < _MOST_DULL:
                self._dull.add(key)
            return
        kept = self._in_its_trace(text, rule, line, begin)
        self._keep(key, kept)
        if text.startswith(_SHELL_ENDED):
            self._take_output(line, begin)

    def _in_its_trace(self, text: bytes, rule: Rule, line: ScannedLine, begin: int) -> _Kept:
        kept = _Kept(line.number, line.offset, text, rule, Kind.LINE, _level(text))
        above = self._member
        if above is not None and text.lstrip().startswith(b"Caused by: "):
            above.kind, kept.kind, kept.depth = Kind.WRAPPER, Kind.CAUSE, above.depth + 1
            kept.level = above.level
        elif _has_frames(line):
            kept.kind = Kind.CAUSE
            kept.level = kept.level or next(
                (_level(before.text) for before in line.lines_before(begin, 1)), None
            )
        if kept.kind is Kind.CAUSE:
            kept.frame = _frame(line)
            self._member = kept
        return kept

    def _keep(self, key: bytes, kept: _Kept) -> None:
        self._kept[key] = kept
        if len(self._kept) > _MOST_KEPT:
            worst = min(self._kept, key=lambda key: self._kept[key].rank)
            del self._kept[worst]

    def _take_output(self, line: ScannedLine, begin: int) -> None:
        """Keep the last lines that a script wrote before it ended."""
        for before in line.lines_before(begin, _TAIL_LINES):
            if not before.text.startswith(SHELL_OUTPUT.encode()):
                return
            self._take_tail(before)

    def _take_tail(self, line: ScannedLine) -> None:
        text = line.text
        key = text.translate(None, _DIGITS)
        if key not in self._kept:
            kept = _Kept(line.number, line.offset, text, None, Kind.TAIL, None)
            self._keep(key, kept)

    # Python's tracebacks

    def _opened(self, line: ScannedLine, begin: int) -> int:
        prefix = line.text[: line.text.find(TRACEBACK)]
        level = _level(prefix)
        for before in line.lines_before(begin, 1):
            level = level or _level(before.text)
        following = next(line.lines_after(1), None)
        is_prefixed = following is not None and following.text.startswith(prefix)
        self._open = _Open(prefix if is_prefixed else b"", level)
        return self._follow(self._open, following) if following else line.stop + 1

    def _follow(self, traceback: _Open, line: ScannedLine) -> int:
        """Go to the last line of the open traceback, as far as the block has it."""
        for following in (line, *line.lines_after(_LONGEST_TRACEBACK - traceback.lines)):
            text = following.text.removeprefix(traceback.prefix)
            if text[:1] not in _WITHIN:
                self._open = None
                self._closed(traceback, text, following)
                return following.stop + 1
            if text.lstrip().startswith(b'File "'):
                traceback.frame = text.strip()
            traceback.lines += 1
        if traceback.lines >= _LONGEST_TRACEBACK:
            self._open = None
        return following.stop + 1

    def _closed(self, traceback: _Open, text: bytes, line: ScannedLine) -> None:
        rule = self._rules.match(Place.TRACEBACK, text)
        if rule is None:
            return
        kept = _Kept(
            *(line.number, line.offset, line.text, rule, Kind.TRACEBACK, traceback.level),
            frame=traceback.frame,
            prefix=traceback.prefix,
        )
        after = b"".join(following.text for following in line.lines_after(2))
        if b"direct cause of the following exception" in after:
            kept.depth = 1  # what was raised from it comes after it
        self._keep(line.text.translate(None, _DIGITS), kept)

    # The end of the file

    def take_end(self, end: ScannedLine, begin: int) -> None:
        """Keep the last lines of a file, if its program was none that names its levels.

        Args:
            end: the empty line behind the file's last one.
            begin: where in the block the file begins.
        """
        found = 0
        for line in end.lines_before(max(begin, end.start - _TAIL_BYTES), 50):
            text = line.text
            if text[:1] in _WITHIN or TRACEBACK in text or _level(text):
                continue
            if self._rules.is_noise(text):
                continue
            self._take_tail(line)
            found += 1
            if found == _TAIL_LINES:
                return

    def findings(self, container: str, file: str) -> Iterator[Finding]:
        """Yield what was kept."""
        last = max((kept.offset for kept in self._kept.values() if _is_bad(kept)), default=-1)
        for kept in self._kept.values():
            yield Finding(
                container=container,
                file=file,
                line=kept.line,
                offset=kept.offset,
                text=_decoded(kept.text),
                rule=kept.rule.id if kept.rule else "",
                groups=tuple(_groups(kept).items()),
                kind=kept.kind,
                level=kept.level,
                depth=kept.depth,
                is_last=kept.offset == last,
                frame=_decoded(kept.frame)[:200],
                times=kept.times,
            )


def _groups(kept: _Kept) -> dict[str, str]:
    return kept.rule.groups(kept.text.removeprefix(kept.prefix)) if kept.rule else {}


def _is_bad(kept: _Kept) -> bool:
    return kept.level is LogLevel.ERROR or kept.kind in (Kind.CAUSE, Kind.TRACEBACK)


def _level(text: bytes) -> LogLevel | None:
    head = text[:_LEVEL_WITHIN]
    found = None if _REPORT in text[:_REPORT_WITHIN] else _LEVEL.search(head)
    return _LEVELS[found[1]] if found else None


def _has_frames(line: ScannedLine) -> bool:
    following = line.block[line.stop + 1 : min(line.stop + 40, line.end)].lstrip()
    return following.startswith((b"at ", b"... "))


def _frame(line: ScannedLine) -> bytes:
    """Return the first frame of a stack trace that is no library's, else the first of all."""
    first = b""
    for following in line.lines_after(_FRAMES):
        text = following.text.strip()
        if not text.startswith(b"at "):
            break
        first = first or text
        if not text[3:].startswith(_FOREIGN):
            return text
    return first


def _decoded(text: bytes) -> str:
    return text_of(text).rstrip()[:LONGEST_TEXT]
