"""Keep the lines of one file that may prove a cause: errors, deepest causes, tracebacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from tracker_service.causes.findings import Finding, Kind, excerpt
from tracker_service.causes.roles import POINTS, Role
from tracker_service.causes.rules import SPECIFIC, TRACEBACK, WRAPPER, Found, Place, Rule, Rules
from tracker_service.causes.scan.records import cut, is_more, level_of, words_of
from tracker_service.domain.log_levels import LogLevel
from tracker_service.regex import compiled, text_of

_SHELL_ENDED = b"Exit code of the Shell command "
SHELL_OUTPUT = "Stdoutput "  #: what Oozie puts before each line of a script's output
_DIGITS = b"0123456789"
_MOST_KEPT = 64  #: different lines of a file
_MOST_DULL = 512  #: different lines of a file that are known to say nothing
_LONGEST_TRACEBACK = 200  #: lines
_LONGEST_RECORD = 120  #: lines of a record above one of its causes
_FRAMES = 30  #: of a stack trace that are looked at for one of the program's own
_LINES_AFTER = 3  #: behind a stack trace: of the one that ended a program, they tell no work
_WENT_ON = (Role.WARNING, Role.SURVIVED)
_TAIL_LINES = 3
_MOST_TAIL = 50  #: lines in which they are looked for
_TAIL_BYTES = 4096  #: in which any line may be one of them
_ROWS_BYTES = 64 * 1024  #: more, in which they are looked for among rows that begin with a time
_NO_ROW = compiled(rb"^[A-Za-z/.][^\n]*")
_CAUSED = b"Caused by: "
_WITHIN = (b" ", b"\t", b"|", b"")  #: with what lines begin that go on with what is above them
_FOREIGN = (b"java.", b"javax.", b"jdk.", b"sun.", b"com.sun.", b"scala.", b"org.apache.")
#: What a framework says when it is through with work of which parts had failed before.
_RECOVERED = (b" finished: ", b"completed successfully")
_NAMED = compiled(rb"^(?:\w+\.)+[\w$]*(?:Exception|Error|Throwable)\b")
_RECOVERABLE = compiled(rb"[Ll]ost (?:executor|task)|in stage \d|attempt_\d|Container killed")


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
        return cut(self.block[self.start : self.stop])

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
    role: Role = Role.OPEN
    is_close: bool = False
    is_loss: bool = False  #: of a task or an executor, which a job may survive
    depth: int = 0
    frame: bytes = b""
    times: int = 1
    prefix: bytes = b""  #: what stands before the words that the rule knows
    below: bytes = b""  #: the next line, which may have the message

    @property
    def rank(self) -> float:
        return rank(self.rule, self.kind, self.role, self.depth)

    @property
    def words(self) -> bytes:
        """Return what the rules look at; of a traceback also the frame that raised it."""
        words = words_of(self.text.removeprefix(self.prefix), (self.below,))
        return words + b"\n" + self.frame if self.kind is Kind.TRACEBACK else words

    @property
    def is_bad(self) -> bool:
        """Tell whether it may be the last error of its file."""
        is_error = self.level is LogLevel.ERROR or self.kind in (Kind.CAUSE, Kind.TRACEBACK)
        return is_error and self.role in (Role.END, Role.OPEN)


def rank(rule: Rule | None, kind: Kind, role: Role, depth: int) -> float:
    """Return how much a line proves by itself: its role, the weight of its rule, what it is."""
    weight = rule.weight if rule else 2
    if weight < WRAPPER:
        return weight
    deeper = 4 + 3 * min(depth, 3)
    by_kind = {Kind.WRAPPER: -12, Kind.CAUSE: deeper, Kind.TRACEBACK: 14 + depth, Kind.TAIL: 0}
    return weight + by_kind.get(kind, 0) + POINTS[role]


@dataclass(slots=True)
class _Open:
    """A Python traceback whose last line is still to come."""

    prefix: bytes
    head: bytes  #: the first line of its record
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
        self._depth = 0  #: causes in that stack trace
        self._open: _Open | None = None
        self._chained: list[_Kept] = []  #: tracebacks after which another one follows
        self._has_lost = False  #: whether a task or an executor was lost, and the job may go on
        self._recovered_at = -1  #: where the log last says that a job was through all the same
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
            self._take_again(known, text, line, begin)
        elif key not in self._dull:
            self._take_new(key, text, line, begin)
        return line.stop + 1

    def _take_again(self, known: _Kept, text: bytes, line: ScannedLine, begin: int) -> None:
        known.times += 1
        known.line, known.offset, known.text = line.number, line.offset, text
        if known.kind in (Kind.CAUSE, Kind.WRAPPER):
            self._member, self._depth = known, known.depth
        words = known.words
        if level_of(words) is None:  # the record around it may be another one than before
            known.level = None
            self._put_in_record(known, words, line, begin)

    def pass_by(self, block: bytes, offset: int, start: int, end: int) -> None:
        """Look whether a job went on after it had lost tasks.

        Args:
            block: a part of the log.
            offset: of the block in the log.
            start: where in the block its part of the file begins.
            end: where that ends.
        """
        if self._has_lost:
            last = max(block.rfind(word, start, end) for word in _RECOVERED)
            self._recovered_at = max(self._recovered_at, offset + last if last >= 0 else -1)

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
        below = [following.text for following in line.lines_after(1)]
        words = words_of(text, below)
        found = self._rules.find(Place.LOG, words)
        if found is None:
            if len(self._dull) < _MOST_DULL:
                self._dull.add(key)
            return
        kept = _Kept(line.number, line.offset, text, found.rule, Kind.LINE, level_of(words))
        kept.below = below[0] if below else b""
        self._put_in_record(kept, words, line, begin)
        self._put_in_trace(kept, found, line)
        self._keep(key, kept)
        if text.startswith(_SHELL_ENDED):
            self._take_output(line, begin)

    def _put_in_record(self, kept: _Kept, words: bytes, line: ScannedLine, begin: int) -> None:
        """Give a line the level and the role of the record that it belongs to."""
        head = words if kept.level else self._head_of(line, begin)
        kept.level = kept.level or level_of(head)
        kept.role = self._rules.roles.of(head, words, kept.level)
        if head is not words and kept.role in _WENT_ON and self._is_at_the_end(line):
            kept.role = Role.OPEN  # nothing tells whether the program or its logger printed it
        kept.is_close = self._rules.roles.is_close(head, words)
        if kept.role is Role.AFTER and head is not words:
            self._follow_suit(head)
        if kept.role is not Role.END and _RECOVERABLE.search(head):
            kept.is_loss = self._has_lost = True

    def _is_at_the_end(self, line: ScannedLine) -> bool:
        """Tell whether nothing follows a stack trace but what follows any end."""
        others = (
            each.text
            for each in line.lines_after(_FRAMES)
            if each.text[:1] not in _WITHIN and not each.text.startswith(_CAUSED)
        )
        return all(self._is_after(text) for text in islice(others, _LINES_AFTER))

    def _is_after(self, text: bytes) -> bool:
        return _ends(text) or self._rules.roles.of(text, text, None) is Role.AFTER

    def _follow_suit(self, head: bytes) -> None:
        """Judge the first line of a record like the fault that it reports."""
        reported = self._kept.get(head.translate(None, _DIGITS))
        if reported is not None and reported.role is Role.OPEN:
            reported.role = Role.AFTER

    def _head_of(self, line: ScannedLine, begin: int) -> bytes:
        """Return the first line of the record that a line belongs to."""
        head = line.text
        for before in line.lines_before(begin, _LONGEST_RECORD):
            if not is_more(head):
                break
            above = words_of(before.text)
            if not is_more(above) and self._rules.is_noise(above):
                break
            level = level_of(above)
            if level is None and not is_more(above):
                return above if self._rules.roles.is_end(above) else head
            if level is LogLevel.INFO and self._rules.roles.of(above, b"", None) is Role.OPEN:
                return head  # what a program prints by itself may follow any record
            head = above
        return head

    def _put_in_trace(self, kept: _Kept, found: Found, line: ScannedLine) -> None:
        """Tell whether a line wraps a deeper cause, or is the deepest one of a stack trace."""
        above = self._member
        if above is not None and kept.text.lstrip().startswith(_CAUSED):
            self._depth += 1
            kept.depth = self._depth
            if _says_more(above, kept, found):
                kept.kind = Kind.WRAPPER
                return
            above.kind, kept.kind = Kind.WRAPPER, Kind.CAUSE
            kept.level, kept.role = above.level, above.role
        elif _has_frames(line):
            kept.kind, self._depth = Kind.CAUSE, 0
        else:  # causes below it are its own, not those of the stack trace before
            self._member, self._depth = kept if _NAMED.search(kept.text) else None, 0
        if kept.kind is Kind.CAUSE:
            kept.frame = _frame(line)
            self._member = kept

    def _keep(self, key: bytes, kept: _Kept) -> None:
        self._kept[key] = kept
        if len(self._kept) > _MOST_KEPT:
            worst = min(self._kept, key=lambda key: self._kept[key].rank)
            del self._kept[worst]

    def _take_output(self, line: ScannedLine, begin: int) -> None:
        """Keep the last lines that a script wrote before it ended."""
        said = (
            before
            for before in line.lines_before(begin, _MOST_TAIL)
            if before.text.strip() and before.text.strip() != SHELL_OUTPUT.strip().encode()
        )
        for before in islice(said, _TAIL_LINES):
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
        text = line.text
        prefix = text[: text.find(TRACEBACK)]
        head = prefix if level_of(prefix) else self._head_of(line, begin)
        following = next(line.lines_after(1), None)
        is_prefixed = following is not None and following.text.startswith(prefix)
        self._open = _Open(prefix if is_prefixed else b"", head, level_of(head))
        return self._follow(self._open, following) if following else line.stop + 1

    def _follow(self, traceback: _Open, line: ScannedLine) -> int:
        """Go to the last line of the open traceback, as far as the block has it."""
        for following in (line, *line.lines_after(_LONGEST_TRACEBACK - traceback.lines)):
            whole = following.text
            text = whole.removeprefix(traceback.prefix)
            if TRACEBACK in text:  # of a group of exceptions, each has its own
                self._open = None
                return following.start
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
        following = [each.text for each in line.lines_after(_LINES_AFTER)]
        kept = _Kept(
            *(line.number, line.offset, line.text, None, Kind.TRACEBACK, traceback.level),
            frame=traceback.frame,
            prefix=traceback.prefix,
            below=next(iter(following), b""),
        )
        found = self._rules.find(Place.TRACEBACK, kept.words)
        if found is None:
            return
        kept.rule = found.rule
        role = self._rules.roles.of(traceback.head, text, traceback.level)
        role = Role.END if self._is_at_the_end(line) else role
        kept.role = Role.AFTER if self._chained and self._is_after(text) else role
        self._keep(line.text.translate(None, _DIGITS), kept)
        for earlier in self._chained:
            earlier.role, earlier.level = role, kept.level
        self._chained.clear()
        after = b"".join(following)
        if b"direct cause of the following exception" in after:
            kept.depth = 1  # what was raised from it comes after it
        if b"the following exception" in after or b"During handling of" in after:
            self._chained.append(kept)

    # The end of the file

    def take_end(self, end: ScannedLine, begin: int) -> None:
        """Keep the last lines of a file, if its program was none that names its levels.

        Args:
            end: the empty line behind the file's last one.
            begin: where in the block the file begins.
        """
        near = max(begin, end.start - _TAIL_BYTES)
        said = self._last_words(end.lines_before(near, _MOST_TAIL))
        for line in said or self._last_words(_among_rows(end, max(begin, near - _ROWS_BYTES))):
            self._take_tail(line)

    def _last_words(self, lines: Iterable[ScannedLine]) -> list[ScannedLine]:
        """Return the first few of the lines that stand alone and name no level."""
        return list(islice((line for line in lines if self._are_words(line.text)), _TAIL_LINES))

    def _are_words(self, text: bytes) -> bool:
        if text[:1] in _WITHIN or TRACEBACK in text or _ends(text) or level_of(text):
            return False
        return not self._rules.is_noise(text) and not is_more(text)

    def findings(self, container: str, file: str) -> Iterator[Finding]:
        """Yield what was kept."""
        kept_lines = self._kept.values()
        self._settle_roles()
        last = max((kept.offset for kept in kept_lines if kept.is_bad), default=-1)
        for kept in kept_lines:
            found = self._found(kept)
            yield Finding(
                container=container,
                file=file,
                line=kept.line,
                offset=kept.offset,
                text=excerpt(text_of(kept.text), text_of(found.text) if found else ""),
                rule=kept.rule.id if kept.rule else "",
                groups=tuple(found.groups.items()) if found else (),
                kind=kept.kind,
                level=kept.level,
                role=kept.role,
                depth=kept.depth,
                is_last=kept.offset == last,
                frame=text_of(kept.frame)[:200],
                times=kept.times,
            )

    def _settle_roles(self) -> None:
        """Take into account what came later in the file."""
        closed = min((kept.offset for kept in self._kept.values() if kept.is_close), default=None)
        for kept in self._kept.values():
            if kept.role is Role.END:
                continue
            if kept.is_loss and kept.offset < self._recovered_at:
                kept.role = Role.SURVIVED
            if closed is not None and kept.offset > closed and kept.kind is not Kind.TAIL:
                kept.role = Role.AFTER

    def _found(self, kept: _Kept) -> Found | None:
        place = Place.TRACEBACK if kept.kind is Kind.TRACEBACK else Place.LOG
        return self._rules.find(place, kept.words) if kept.rule else None


def _among_rows(end: ScannedLine, begin: int) -> Iterator[ScannedLine]:
    """Yield the lines before a line that are no rows of a log, the nearest first."""
    block, at, starts = end.block, end.block.find(b"\n", begin, end.start), []
    while at >= 0 and (found := _NO_ROW.search(block, at, end.start)):
        starts.append(found.span())
        at = found.end()
    for start, stop in starts[: -_MOST_TAIL - 1 : -1]:
        number = end.number - block.count(b"\n", start, end.start)
        yield ScannedLine(block, start, stop, end.end, number, end.offset - (end.start - start))


def _ends(text: bytes) -> bool:
    """Tell whether a line is blank, or the launcher's own behind the output of a program."""
    return not text.strip() or text.startswith((_SHELL_ENDED, b"Failing Oozie Launcher", b"<<< "))


def _says_more(above: _Kept, kept: _Kept, found: Found) -> bool:
    """Tell whether a line of a stack trace tells more than the deeper cause below it."""
    upper, rule = above.rule, found.rule
    if upper is None or upper.weight < WRAPPER or above.kind is not Kind.CAUSE:
        return False
    if rule.weight < WRAPPER:
        return True
    if not found.says_something:
        return rule.weight < SPECIFIC
    _, _, message = found.text.removeprefix(_CAUSED).partition(b": ")
    is_within = bool(message.strip()) and message.strip() in above.words
    return is_within and upper is not rule and upper.weight >= max(rule.weight, SPECIFIC)


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
