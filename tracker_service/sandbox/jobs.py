"""Computes the state of one workflow job and of its application from the time that passed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from tracker_service.sandbox.scenarios import ActionError, Scenario

NAME_NODE = "hdfs://localhost:8020"
RESOURCE_MANAGER = "localhost:8032"


class Status(StrEnum):
    """The states of a workflow job."""

    PREP = "PREP"  #: submitted, not started
    RUNNING = "RUNNING"  #: an action runs
    SUSPENDED = "SUSPENDED"  #: never reached here, but a valid word in filters
    SUCCEEDED = "SUCCEEDED"  #: came to its end node
    KILLED = "KILLED"  #: came to its kill node, or killed by a user
    FAILED = "FAILED"  #: Oozie could not go on


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What the workflow's XML names."""

    name: str
    action: str = "work"
    executable: str = "work.sh"
    arguments: tuple[str, ...] = ()
    ok_to: str = "end"
    error_to: str = "failed"


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """A workflow job; times are seconds since 1970."""

    sequence: int
    job_id: str
    application_id: str
    user: str
    definition: Definition
    scenario: Scenario
    configuration: dict[str, str]
    created_at: float
    started_at: float | None = None
    killed_at: float | None = None
    #: Set when the outcome was found out only at the end; otherwise the scenario knows it.
    error: ActionError | None = None

    @property
    def ends_at(self) -> float:
        """The time at which the job ends or ended."""
        if self.killed_at is not None:
            return self.killed_at
        return math.inf if self.started_at is None else self.started_at + self.scenario.runs_s

    @property
    def launches_at(self) -> float:
        """The time at which its application is there."""
        if self.started_at is None or self.scenario.launches_after_s is None:
            return math.inf
        launched = self.started_at + self.scenario.launches_after_s
        finished = self.started_at + self.scenario.runs_s
        return min(launched, finished)

    @property
    def aggregated_at(self) -> float:
        """The time at which the application's log is complete in HDFS."""
        return self.ends_at + self.scenario.aggregates_s

    def has_ended(self, now: float) -> bool:
        """Tell whether nothing more will happen to the job."""
        return now >= self.ends_at

    def has_launched(self, now: float) -> bool:
        """Tell whether YARN knows the job's application."""
        return self.launches_at <= min(now, self.ends_at)

    def failure(self, now: float) -> ActionError | None:
        """Return what went wrong with the action, once it has."""
        return self.error if self.killed_at is None and self.has_ended(now) else None

    def status(self, now: float) -> Status:
        """Return the state of the job."""
        if self.killed_at is not None:
            return Status.KILLED
        if self.started_at is None:
            return Status.PREP
        if not self.has_ended(now):
            return Status.RUNNING
        return Status(self.scenario.status_of_failure) if self.error else Status.SUCCEEDED

    def log_aggregation_status(self, now: float) -> str:
        """Return YARN's word for how far the log has come."""
        if not self.has_ended(now):
            return "NOT_START"
        return "SUCCEEDED" if now >= self.aggregated_at else "RUNNING"

    @property
    def log_directory(self) -> str:
        """The directory of the application's aggregated log in HDFS."""
        return log_directory(self.user, self.application_id)


def log_directory(owner: str, application_id: str) -> str:
    """Return the directory of an application's aggregated log, as Hadoop 3.3 names it."""
    bucket = int(application_id.rpartition("_")[2]) % 10000
    return f"/app-logs/{owner}/bucket-logs-tfile/{bucket:04d}/{application_id}"
