"""Computes the state of a bundle from that of the coordinators that it has started."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tracker_service.sandbox.coordinators import NOTICED_AFTER_S, Coordinator
from tracker_service.sandbox.courses import Collection

#: From the start of a bundle until its coordinators are there.
KICKED_OFF_AFTER_S = 0.5


@dataclass(slots=True, kw_only=True, eq=False)
class Bundle:
    """A bundle job; times are seconds since 1970."""

    sequence: int
    job_id: str
    user: str
    collection: Collection
    configuration: dict[str, str]
    created_at: float
    started_at: float | None = None
    killed_at: float | None = None
    coordinators: list[Coordinator] = field(default_factory=list)

    @property
    def ends_at(self) -> float:
        """The time at which nothing more happens."""
        if self.killed_at is not None:
            return self.killed_at
        return max((job.ends_at for job in self.coordinators), default=math.inf) + NOTICED_AFTER_S

    def has_ended(self, now: float) -> bool:
        """Tell whether nothing more will happen."""
        return now >= self.ends_at

    def status(self, now: float) -> str:
        """Return the state of the bundle."""
        if self.killed_at is not None:
            return "KILLED"
        if self.started_at is None:
            return "PREP"
        if not self.has_ended(now):
            return "RUNNING"
        ends = {job.status(now) for job in self.coordinators}
        return ends.pop() if len(ends) == 1 else "DONEWITHERROR"
