"""Computes the state of a workflow, its actions and its applications from the time that passed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from tracker_service.sandbox.courses import ActionError, Run, Scenario, ScriptedAction
from tracker_service.sandbox.recordings import renumbered, timed

NAME_NODE = "hdfs://localhost:8020"
RESOURCE_MANAGER = "localhost:8032"
#: When the resource manager was started, in milliseconds: a part of the applications' ids.
STARTED_MS = 1795323021266


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
class SandboxJob:
    """A workflow job; times are seconds since 1970."""

    sequence: int
    job_id: str
    user: str
    definition: Definition
    scenario: Scenario
    configuration: dict[str, str]
    created_at: float
    #: How often it was run again, each time as another of these with the same id.
    run: int = 0
    #: The workflow or the coordinator's action that started it.
    parent_id: str | None = None
    external_id: str | None = None
    started_at: float | None = None
    killed_at: float | None = None
    #: Those of all its actions, also before they are launched.
    applications: list[SandboxApplication] = field(default_factory=list)
    #: The workflows that its sub-workflow actions have started, by the action's name.
    children: dict[str, SandboxJob] = field(default_factory=dict)

    @property
    def ends_at(self) -> float:
        """The time at which the job ends or ended."""
        if self.killed_at is not None:
            return self.killed_at
        return math.inf if self.started_at is None else self.started_at + self.scenario.runs_s

    def has_ended(self, now: float) -> bool:
        """Tell whether nothing more will happen to the job."""
        return now >= self.ends_at

    def status(self, now: float) -> Status:
        """Return the state of the job."""
        if self.killed_at is not None:
            return Status.KILLED
        if self.started_at is None:
            return Status.PREP
        if not self.has_ended(now):
            return Status.RUNNING
        failed = self.failure(now) is not None
        return Status(self.scenario.status_of_failure) if failed else Status.SUCCEEDED

    def steps(self, now: float) -> Iterator[Step]:
        """Yield the actions that have begun."""
        for action in self.scenario.actions:
            step = Step(job=self, action=action)
            if step.starts_at <= min(now, self.ends_at):
                yield step

    def failure(self, now: float) -> Step | None:
        """Return the action that failed the job."""
        return next((step for step in self.steps(now) if step.error(now)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An action of a job that runs or ran."""

    job: SandboxJob
    action: ScriptedAction

    @property
    def starts_at(self) -> float:
        """The time at which the action begins."""
        started_at = self.job.started_at
        return math.inf if started_at is None else started_at + self.action.starts_s

    @property
    def own_end_at(self) -> float:
        """The time at which it ends if nobody kills it."""
        return self.starts_at - self.action.starts_s + self.action.ends_s

    @property
    def ends_at(self) -> float:
        """The time at which it ends: by itself, or with the job."""
        return min(self.own_end_at, self.job.ends_at)

    def has_ended(self, now: float) -> bool:
        """Tell whether the action runs no more."""
        return now >= self.ends_at

    def is_killed(self, now: float) -> bool:
        """Tell whether the action was ended by a kill or by the failure of another."""
        return self.has_ended(now) and self.own_end_at > self.job.ends_at

    def error(self, now: float) -> ActionError | None:
        """Return what went wrong, once it has."""
        ended = self.has_ended(now) and not self.is_killed(now)
        return self.action.error if ended else None

    def try_starts_at(self, number: int) -> float:
        """Return the time at which a try begins; all take the same time."""
        if number == 0:
            return self.starts_at
        length = (self.own_end_at - self.starts_at) / len(self.action.tries)
        return self.starts_at + number * length

    def retries(self, now: float) -> int:
        """Return how often Oozie has repeated the action."""
        seen_at, tries = min(now, self.job.ends_at), range(len(self.action.tries))
        return max(number for number in tries if self.try_starts_at(number) <= seen_at)

    def launched(self, number: int, now: float) -> list[SandboxApplication]:
        """Return the applications of a try that YARN knows, the launcher first."""
        return [
            application
            for application in self.job.applications
            if application.step.action.name == self.action.name
            and application.number_of_try == number
            and application.has_launched(now)
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SandboxApplication:
    """A YARN application of an action; times are seconds since 1970."""

    application_id: str
    job: SandboxJob
    #: Its place in the course of the job.
    number_of_action: int
    number_of_try: int
    number_of_run: int

    @property
    def step(self) -> Step:
        """The action that it belongs to."""
        return Step(job=self.job, action=self.job.scenario.actions[self.number_of_action])

    @property
    def run(self) -> Run:
        """What it does."""
        return self.step.action.tries[self.number_of_try][self.number_of_run]

    @property
    def launches_at(self) -> float:
        """The time at which YARN knows it; the end of its try, if that comes earlier."""
        launches_at = self.step.try_starts_at(self.number_of_try) + self.run.after_s
        return min(launches_at, self._own_end_at)

    @property
    def ends_at(self) -> float:
        """The time at which it ends: by itself, or with the job."""
        return min(self._own_end_at, self.job.ends_at)

    @property
    def aggregated_at(self) -> float:
        """The time at which its log is complete in HDFS."""
        return self.ends_at + self.job.scenario.aggregates_s

    @property
    def _own_end_at(self) -> float:
        following = self.number_of_try + 1
        if following == len(self.step.action.tries):
            return self.step.own_end_at
        return self.step.try_starts_at(following)

    def has_launched(self, now: float) -> bool:
        """Tell whether YARN knows the application."""
        return self.launches_at <= min(now, self.job.ends_at)

    def has_ended(self, now: float) -> bool:
        """Tell whether it runs no more."""
        return now >= self.ends_at

    def states(self, now: float) -> tuple[str, str]:
        """Return YARN's state and final status."""
        if not self.has_ended(now):
            return "RUNNING", "UNDEFINED"
        if self._own_end_at > self.job.ends_at:
            return "KILLED", "KILLED"
        return "FINISHED", "FAILED" if self.run.failure else "SUCCEEDED"

    def log_aggregation_status(self, now: float) -> str:
        """Return YARN's word for how far the log has come."""
        if not self.has_ended(now):
            return "NOT_START"
        return "SUCCEEDED" if now >= self.aggregated_at else "RUNNING"

    @property
    def tag(self) -> str:
        """The tag by which YARN finds what a launcher starts; a launcher itself has none."""
        if not self.run.is_child:
            return ""
        name = f"{self.job.job_id}@{self.step.action.name}"
        digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        return f"oozie-{digest.lstrip('0')}"

    @property
    def number(self) -> str:
        """The id without its first word, as the ids of containers and of jobs have it."""
        return self.application_id.removeprefix("application_")

    @property
    def text(self) -> bytes:
        """What ``yarn logs`` prints of it."""
        text = renumbered(self.run.recording.text, self._numbers)
        if self.run.recording.format == "ifile":  # it has the times of the logs inside
            return text
        return timed(text, self.aggregated_at)

    def log_of(self, node: str) -> bytes:
        """Return the file that a node has aggregated."""
        return renumbered(self.run.recording.nodes[node], self._numbers)

    @property
    def log_directory(self) -> str:
        """The directory of the aggregated log in HDFS."""
        return log_directory(self.job.user, self.application_id, self.run.recording.format)

    @property
    def _numbers(self) -> dict[str, str]:
        """The numbers in the recordings of all applications of the job, which name each other."""
        return {other.run.recording.number: other.number for other in self.job.applications} | {
            self.run.recording.number: self.number
        }


def applications_of(job: SandboxJob, numbers: Iterator[int]) -> Iterator[SandboxApplication]:
    """Yield the applications of all actions of a job, each with the next number."""
    for number_of_action, action in enumerate(job.scenario.actions):
        for number_of_try, runs in enumerate(action.tries):
            for number_of_run, _ in enumerate(runs):
                yield SandboxApplication(
                    application_id=_application_id(next(numbers)),
                    job=job,
                    number_of_action=number_of_action,
                    number_of_try=number_of_try,
                    number_of_run=number_of_run,
                )


def _application_id(number: int) -> str:
    """Number applications without ever making an id longer: a log's lengths depend on it."""
    return f"application_{STARTED_MS + number // 10000}_{number % 10000:04d}"


def log_directory(owner: str, application_id: str, file_format: str) -> str:
    """Return the directory of an application's aggregated log, as Hadoop 3.3 names it."""
    bucket = int(application_id.rpartition("_")[2]) % 10000
    return f"/app-logs/{owner}/bucket-logs-{file_format}/{bucket:04d}/{application_id}"
