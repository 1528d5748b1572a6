"""The findings of a scan of one application's log: lines that may prove why it failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from tracker_service.causes.roles import Role
from tracker_service.domain.log_levels import LogLevel

MOST_BYTES = 16 * 1024  #: of all findings of an application as JSON
LONGEST_TEXT = 1000  #: characters of a line
_LEAST_PROOF = 200  #: characters of a longer line that stay at its beginning and of its proof


def excerpt(line: str, proof: str) -> str:
    """Return a line as it is kept and quoted: of a very long one its beginning and what proves.

    Args:
        proof: the end of the line that a rule has matched.
    """
    line = line.rstrip()
    if len(line) <= LONGEST_TEXT:
        return line
    if not proof or line.find(proof) + _LEAST_PROOF <= LONGEST_TEXT:
        return line[:LONGEST_TEXT]
    return f"{line[:_LEAST_PROOF]} ... {proof[: LONGEST_TEXT - _LEAST_PROOF - 5]}"


class Kind(StrEnum):
    """What a line is in its surroundings."""

    LINE = "line"  #: it stands alone
    WRAPPER = "wrapper"  #: heads a stack trace that has a deeper cause
    CAUSE = "cause"  #: deepest cause of a stack trace
    TRACEBACK = "traceback"  #: last line of a Python traceback
    TAIL = "tail"  #: one of the last lines that a program wrote; no rule knows it


#: Levels as they stand in JSON.
_WORDS: Mapping[LogLevel | None, str] = {
    LogLevel.ERROR: "error",
    LogLevel.WARN: "warning",
    LogLevel.INFO: "info",
    None: "",
}
_LEVELS = {word: level for level, word in _WORDS.items()}


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
    level: LogLevel | None  #: at which it was logged: ERROR, WARN or INFO
    role: Role = Role.OPEN
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

    def hidden(self, hide: Callable[[str], str]) -> Findings:
        """Return it with other texts.

        Args:
            hide: takes a text of a log, and returns it without secrets.
        """
        return replace(self, lines=tuple(_hidden(line, hide) for line in self.lines))

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Findings:
        """Return the findings of which `as_json` made a value."""
        return cls(length=value["length"], lines=tuple(map(_line, value["lines"])))

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


def _hidden(finding: Finding, hide: Callable[[str], str]) -> Finding:
    groups = tuple((name, hide(value)) for name, value in finding.groups)
    return replace(finding, text=hide(finding.text), groups=groups)


_USUAL = {"groups": (), "role": Role.OPEN, "depth": 0, "is_last": False, "frame": "", "times": 1}


def _short(finding: Finding) -> dict[str, Any]:
    values = asdict(finding) | {"level": _WORDS[finding.level]}
    return {name: value for name, value in values.items() if _USUAL.get(name) != value}


def _line(values: Mapping[str, Any]) -> Finding:
    groups = tuple((str(name), str(value)) for name, value in values.get("groups", ()))
    typed = {
        "groups": groups,
        "kind": Kind(values["kind"]),
        "level": _LEVELS[values["level"]],
        "role": Role(values.get("role", Role.OPEN)),
    }
    return Finding(**{**values, **typed})
