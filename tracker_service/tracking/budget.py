"""Limit how often Oozie is asked for the details of running jobs."""

from __future__ import annotations

from dataclasses import dataclass

_BACKGROUND_SHARE = 0.1  #: background requests for each bulk request
_MAX_BUDGET = 10.0


@dataclass(slots=True)
class Budget:
    """The background requests that may be sent; each bulk request earns a part of one."""

    earned: float = 1.0

    def earn(self, requests: int) -> None:
        """Add what some bulk requests earn."""
        self.earned = min(self.earned + requests * _BACKGROUND_SHARE, _MAX_BUDGET)

    def spend(self, wanted: int) -> int:
        """Take up to `wanted` background requests; return how many may be sent."""
        granted = min(int(self.earned), wanted)
        self.earned -= granted
        return granted
