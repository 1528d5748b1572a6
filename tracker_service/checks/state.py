"""The state of a check, and how runs change it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tracker_service.checks.check import Check


class CheckState(StrEnum):
    """The state of a check."""

    NEW = "new"  #: it has not run; -> UP | DOWN
    UP = "up"  #: -> DOWN, after some failures in a row
    DOWN = "down"  #: -> UP, after some successes in a row


@dataclass(frozen=True, slots=True)
class Standing:
    """A state, since when it lasts, and how many last runs speak for another one."""

    state: CheckState
    since: datetime
    in_a_row: int = 0

    def after(self, check: Check, *, is_ok: bool, at: datetime) -> Standing:
        """Return the standing after one more run."""
        spoken_for = CheckState.UP if is_ok else CheckState.DOWN
        if spoken_for == self.state:
            return Standing(self.state, self.since)
        wanted = check.successes_in_a_row if is_ok else check.failures_in_a_row
        if self.state == CheckState.NEW and is_ok:
            wanted = 1
        in_a_row = self.in_a_row + 1
        if in_a_row >= wanted:
            return Standing(spoken_for, at)
        return Standing(self.state, self.since, in_a_row)
