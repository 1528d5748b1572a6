"""Compute pauses that grow with each failure in a row."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_MOST_DOUBLINGS = 20  #: an outage of days must not overflow


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between tries: each twice as long as the one before, up to the longest."""

    first_s: float  #: after the first failure
    longest_s: float
    jitter: float = 0.0  #: a pause is shorter by up to this part, so that not all try at once
    rng: random.Random = field(default_factory=random.Random)

    def after(self, failures: int) -> float:
        """Return how many seconds to wait after this many failures in a row, 1 or more."""
        pause_s = min(self.first_s * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.longest_s)
        return pause_s * self.rng.uniform(1.0 - self.jitter, 1.0)
