"""The parameters that select which part of a log to read."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Which files of an application's log, and which lines of these; without any choice: all."""

    container: str | None = None
    file: str | None = None  #: `stderr`, `syslog` …
    tail: int | None = None  #: the last lines
    first: int | None = None  #: number of the first line, from 1
    lines: int | None = None  #: how many
    grep: str | None = None  #: lines in which this is found, in the syntax of RE2
    level: str | None = None  #: lines logged at this level and above
    context: int | None = None  #: lines around each line that is found
    is_live: bool = False  #: of an application that runs, as far as it is written
    #: with `is_live`: bytes of files that the reader has, as `container/file:bytes`
    seen: tuple[str, ...] = ()

    def params(self) -> dict[str, str | int | Sequence[str]]:
        """Return the parameters of the call."""
        given = {
            "container": self.container,
            "file": self.file,
            "tail": self.tail,
            "from": self.first,
            "lines": self.lines,
            "grep": self.grep,
            "level": self.level,
            "context": self.context,
            "live": "true" if self.is_live else None,
            "seen": self.seen or None,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class LiveLog:
    """What the containers of a running application have written."""

    pieces: Generator[bytes, None, None]
    is_without_seen: bool  #: the bytes that the reading names with `seen` are left out
