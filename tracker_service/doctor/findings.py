"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "WARN"  #: the service works, but less well
    FAIL = "FAIL"  #: the service cannot do its work


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing that was looked at."""

    level: Level
    check: str
    told: str  #: what is so; where it is wrong also how to mend it


def ok(check: str, told: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.OK, check, told)


def warn(check: str, told: str) -> Finding:
    """Return that something could be better."""
    return Finding(Level.WARN, check, told)


def fail(check: str, told: str) -> Finding:
    """Return that something is wrong."""
    return Finding(Level.FAIL, check, told)
