"""Computes the state of a coordinator from that of the workflows that it has started."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tracker_service.sandbox.courses import CoordinatorCourse
from tracker_service.sandbox.jobs import SandboxJob, Status

#: From the end of the last workflow until Oozie notices.
NOTICED_AFTER_S = 1.0


@dataclass(slots=True, kw_only=True, eq=False)
class Coordinator:
    """A coordinator job; times are seconds since 1970."""

    sequence: int
    job_id: str
    user: str
    schedule: CoordinatorCourse
    configuration: dict[str, str]
    created_at: float
    bundle_id: str | None = None
    started_at: float | None = None
    killed_at: float | None = None
    #: The workflows of its actions, in the order of their days.
    workflows: list[SandboxJob] = field(default_factory=list)

    @property
    def actions(self) -> int:
        """How many actions there are; while they wait they have no workflow."""
        return 0 if self.started_at is None else len(self.schedule.workflows)

    @property
    def ends_at(self) -> float:
        """The time at which nothing more happens."""
        if self.killed_at is not None:
            return self.killed_at
        return max((job.ends_at for job in self.workflows), default=math.inf) + NOTICED_AFTER_S

    def has_ended(self, now: float) -> bool:
        """Tell whether nothing more will happen."""
        return now >= self.ends_at

    def status(self, now: float) -> str:
        """Return the state of the coordinator."""
        if self.killed_at is not None:
            return "KILLED"
        if self.started_at is None:
            return "PREP"
        if not self.has_ended(now):
            return "RUNNING"
        ends = {job.status(now) for job in self.workflows}
        if ends == {Status.SUCCEEDED}:
            return "SUCCEEDED"
        return "DONEWITHERROR" if Status.SUCCEEDED in ends else "KILLED"

    def days(self) -> Iterator[datetime]:
        """Yield the nominal time of each action, and after them that of the end."""
        first = datetime.fromisoformat(self.schedule.first_day).replace(tzinfo=UTC)
        for number in range(len(self.schedule.workflows) + 1):
            yield first + timedelta(days=number)
