"""What part a complaint has in the end of a job: it is the end, it was survived, or it follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracker_service.domain.log_levels import LogLevel
from tracker_service.regex import Pattern


class Role(StrEnum):
    """The part of a line in the end of its job; `docs/causes.md` has a picture of it."""

    END = "end"  #: it says what ended a program, an attempt, a statement or the job
    OPEN = "open"  #: a complaint, and nothing tells whether the work went on
    WARNING = "warning"  #: its own program took it for no more than a warning
    SURVIVED = "survived"  #: the work went on after it
    AFTER = "after"  #: it follows from the end: shutdown, lost peers, a second fault


#: Points by which a role outweighs what a rule knows; an end outweighs each rule.
POINTS = {Role.END: 80, Role.OPEN: 0, Role.WARNING: -72, Role.SURVIVED: -110, Role.AFTER: -110}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Tells the role of a line by the words of its record; None matches nothing."""

    ends: Pattern | None = None
    closes: Pattern | None = None  #: ends behind which nothing in the same file counts
    survived: Pattern | None = None
    after: Pattern | None = None
    vague: Pattern | None = None  #: messages that say no more than that something failed

    def of(self, head: bytes, line: bytes, level: LogLevel | None) -> Role:
        """Return the role of a line.

        Args:
            head: the first line of its record, where that is another one.
            level: of the record.
        """
        if self.is_end(head, line):
            return Role.END
        if _is_in(self.after, head, line):
            return Role.AFTER
        if _is_in(self.survived, head, line) or (level and level < LogLevel.WARN):
            return Role.SURVIVED
        return Role.WARNING if level is LogLevel.WARN else Role.OPEN

    def is_end(self, *lines: bytes) -> bool:
        """Tell whether one of the lines says what ended something."""
        return _is_in(self.ends, *lines) or self.is_close(*lines)

    def is_close(self, *lines: bytes) -> bool:
        """Tell whether nothing that stands behind a line in its file can be the cause."""
        return _is_in(self.closes, *lines)


def _is_in(pattern: Pattern | None, *lines: bytes) -> bool:
    return pattern is not None and any(pattern.search(line) for line in lines)
