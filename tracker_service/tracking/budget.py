"""Limit how often running jobs are asked for their details."""

from __future__ import annotations

from dataclasses import dataclass

_BACKGROUND_SHARE = 0.1  #: details of running jobs, as a part of the bulk requests
_MAX_BUDGET = 10.0


@dataclass(slots=True)
class Budget:
    """How many background requests have been earned by bulk requests."""

    earned: float = 1.0

    def earn(self, requests: int) -> None:
        """Note bulk requests."""
        self.earned = min(self.earned + requests * _BACKGROUND_SHARE, _MAX_BUDGET)

    def spend(self, wanted: int) -> int:
        """Return how many of the wanted background requests may be made."""
        granted = min(int(self.earned), wanted)
        self.earned -= granted
        return granted
