"""What a scan of one application's log kept: the lines that may prove why it failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

MOST_BYTES = 16 * 1024  #: of all findings of an application as JSON
LONGEST_TEXT = 1000  #: characters of a line


class Kind(StrEnum):
    """What a line is in its surroundings."""

    LINE = "line"  #: it stands alone
    WRAPPER = "wrapper"  #: heads a stack trace that has a deeper cause
    CAUSE = "cause"  #: deepest cause of a stack trace
    TRACEBACK = "traceback"  #: last line of a Python traceback
    TAIL = "tail"  #: one of the last lines that a program wrote; no rule knows it


class Level(StrEnum):
    """How bad the program called it."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line, where it stands, and what is known about it."""

    container: str
    file: str
    line: int  #: in the file, from 1
    offset: int  #: of its first byte in the saved log
    text: str
    rule: str  #: empty for a tail
    groups: tuple[tuple[str, str], ...] = ()  #: what the rule's pattern holds, by name
    kind: Kind
    level: Level
    depth: int = 0  #: causes above it in its stack trace
    is_last: bool = False  #: no other error follows in its file
    frame: str = ""  #: where in the program's own code, as the stack trace says
    times: int = 1  #: how often it came; this is the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The lines worth keeping of one application's log, in its order."""

    lines: tuple[Finding, ...] = ()
    length: int = 0  #: bytes of the log

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON is made of it; see `of_json`."""
        return {"length": self.length, "lines": [_short(line) for line in self.lines]}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Findings:
        """Return what `as_json` told."""
        return cls(length=told["length"], lines=tuple(_line(line) for line in told["lines"]))

    @classmethod
    def of(cls, length: int, ranked: Iterable[Finding]) -> Findings:
        """Return the best findings that have room.

        Args:
            length: bytes of the log.
            ranked: the best ones first.
        """
        kept, room = [], MOST_BYTES - 100
        for finding in ranked:
            size = len(json.dumps(_short(finding))) + 2
            if size <= room:
                room -= size
                kept.append(finding)
        return cls(length=length, lines=tuple(sorted(kept, key=lambda line: line.offset)))


_USUAL = {"groups": (), "depth": 0, "is_last": False, "frame": "", "times": 1}


def _short(finding: Finding) -> dict[str, Any]:
    told = asdict(finding)
    return {name: value for name, value in told.items() if _USUAL.get(name) != value}


def _line(told: Mapping[str, Any]) -> Finding:
    groups = tuple((str(name), str(value)) for name, value in told.get("groups", ()))
    more = {"groups": groups, "kind": Kind(told["kind"]), "level": Level(told["level"])}
    return Finding(**{**told, **more})
