"""The result of a check."""

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
    """One sentence about one check."""

    level: Severity
    check: str
    message: str  #: what was found; where it is wrong, also what to do


def ok(check: str, message: str) -> CheckResult:
    """Return a good result."""
    return CheckResult(Severity.OK, check, message)


def warn(check: str, message: str) -> CheckResult:
    """Return a warning."""
    return CheckResult(Severity.WARN, check, message)


def fail(check: str, message: str) -> CheckResult:
    """Return a failure."""
    return CheckResult(Severity.FAIL, check, message)
