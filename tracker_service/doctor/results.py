"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "WARN"  #: the service works, but less well
    FAIL = "FAIL"  #: the service cannot do its work


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One sentence about one thing that was looked at."""

    level: Severity
    check: str
    message: str  #: what is so; where it is wrong also how to mend it


def ok(check: str, message: str) -> CheckResult:
    """Return that something is as it should be."""
    return CheckResult(Severity.OK, check, message)


def warn(check: str, message: str) -> CheckResult:
    """Return that something could be better."""
    return CheckResult(Severity.WARN, check, message)


def fail(check: str, message: str) -> CheckResult:
    """Return that something is wrong."""
    return CheckResult(Severity.FAIL, check, message)
