"""RE2 for the bytes of logs: linear time whatever the pattern, and types for it.

No other module imports RE2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import re2

_DFA_BYTES = 8 * 1024**2  #: at most for a pattern: RE2 takes what it needs, usually far less
_SENT_DFA_BYTES = 1024**2  #: at most for a pattern that a caller has sent; RE2 keeps the last 128
#: Steps of a pattern that a caller has sent. Where its states do not fit into the memory, RE2 takes
#: up to 4 ms a MB for each step.
_MOST_SENT_STEPS = 1100


class BadPattern(ValueError):
    """RE2 does not take a pattern."""

    def __init__(self, pattern: bytes, reason: str) -> None:
        super().__init__(f"{text_of(pattern)}: RE2 does not take this pattern: {reason}")
        self.reason = reason  #: in RE2's words


class Match(Protocol):
    """What a pattern found. A group that took no part begins at -1."""

    def __getitem__(self, group: int | bytes) -> bytes: ...
    def start(self, group: int = 0, /) -> int:
        """Return where a group begins; without a group, where the match does."""

    def end(self, group: int = 0, /) -> int:
        """Return where a group ends; without a group, where the match does."""

    def span(self, group: int = 0, /) -> tuple[int, int]:
        """Return where a group begins and ends."""

    def groupdict(self) -> Mapping[bytes, bytes | None]:
        """Return what the named groups hold."""


class Pattern(Protocol):
    """A compiled pattern."""

    @property
    def pattern(self) -> bytes:
        """Return it as it was written."""

    @property
    def groups(self) -> int:
        """Return how many groups it has."""

    @property
    def groupindex(self) -> Mapping[bytes, int]:
        """Return the named groups."""

    def search(self, text: bytes, pos: int = 0, endpos: int | None = None, /) -> Match | None:
        """Return the first match between two places."""

    def match(self, text: bytes, pos: int = 0, endpos: int | None = None, /) -> Match | None:
        """Return a match that begins at a place."""


def compiled(pattern: bytes) -> Pattern:
    """Compile a pattern in which `^` and `$` stand for the ends of lines.

    Raises:
        BadPattern: RE2 does not take it.
    """
    return _compile(pattern, _options(), flags=b"(?m)")


def exact(pattern: bytes, *, is_utf8: bool = False) -> Pattern:
    """Compile a pattern as it is written.

    Args:
        is_utf8: `.` stands for a character of UTF-8, not for a byte.

    Raises:
        BadPattern: RE2 does not take it.
    """
    options = _options()
    if is_utf8:
        options.encoding = re2.Options.Encoding.UTF8
    return _compile(pattern, options)


def within_lines(pattern: str) -> Pattern:
    """Compile what a caller has sent, so that no match is longer than a line.

    `^` and `$` stand for the ends of lines. A match has no groups.

    Raises:
        BadPattern: RE2 does not take it, or it is so large that a search would take minutes.
    """
    options = re2.Options()
    options.never_nl = True
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _SENT_DFA_BYTES
    sent = _compile(pattern.encode(), options, flags=b"(?m)")
    steps: int = sent.programsize  # type: ignore[attr-defined]
    if steps > _MOST_SENT_STEPS:
        raise BadPattern(pattern.encode(), f"it has {steps} steps, at most {_MOST_SENT_STEPS}")
    return sent


def _compile(pattern: bytes, options: re2.Options, *, flags: bytes = b"") -> Pattern:
    try:
        return re2.compile(flags + pattern, options)  # type: ignore[no-any-return]
    except re2.error as error:
        [reason] = error.args or ("no reason given",)
        words = text_of(reason) if isinstance(reason, bytes) else str(reason)
        raise BadPattern(pattern, words) from error


def any_word(words: Iterable[str]) -> Pattern:
    """Return a pattern that finds the next of some words, in small letters or capitals."""
    escaped = b"|".join(re2.escape(word.encode()) for word in words)
    return re2.compile(b"(?i)" + (escaped or rb"[^\x00-\xff]"), _options())  # type: ignore[no-any-return]


class Several:
    """Patterns that are looked for all at once: RE2 tries a pattern only if its words are there.

    RE2 cannot do so with letters outside of ASCII: such patterns are looked for one by one.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._filter = re2.Filter()
        numbered = list(enumerate(patterns))
        self._foreign = [(n, pattern) for n, pattern in numbered if not pattern.pattern.isascii()]
        self._filtered = [n for n, pattern in numbered if pattern.pattern.isascii()]
        for number in self._filtered:
            self._filter.Add(patterns[number].pattern, _options())
        if self._filtered:
            self._filter.Compile()

    def in_text(self, text: bytes) -> list[int]:
        """Return which of the patterns match somewhere in a text."""
        found = self._filter.Match(text) or [] if self._filtered else []
        numbers = [self._filtered[number] for number in found]
        return numbers + [number for number, pattern in self._foreign if pattern.search(text)]


def literal(text: bytes) -> Pattern:
    """Return the pattern of a text itself; RE2 finds one of these ten times as fast as others."""
    return re2.compile(re2.escape(text), _options())  # type: ignore[no-any-return]


def text_of(value: bytes) -> str:
    """Return bytes of a log as text."""
    return value.decode("utf-8", "replace")


def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # logs may hold bytes that are no text
    options.log_errors = False
    options.max_mem = _DFA_BYTES
    return options
