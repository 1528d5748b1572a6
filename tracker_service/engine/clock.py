"""Read the clock, and notice when somebody sets it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]  # returns the present instant, in UTC

_LEAST_JUMP_S = 1.0


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


class ClockWatch:
    """Notices when somebody sets the clock of this machine."""

    def __init__(self) -> None:
        self._ahead_s = self._ahead_of_monotonic_s()

    def jump_s(self) -> float:
        """Return by how many seconds the clock was set since the last call; 0 for mere drift."""
        before, self._ahead_s = self._ahead_s, self._ahead_of_monotonic_s()
        jump_s = self._ahead_s - before
        return jump_s if abs(jump_s) >= _LEAST_JUMP_S else 0.0

    @staticmethod
    def _ahead_of_monotonic_s() -> float:
        return time.time() - time.monotonic()
