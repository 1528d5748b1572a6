"""Describes the course of a job: what it does when, and what it leaves in the log."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from tracker_service.sandbox.recordings import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionError:
    """The code and the message that Oozie notes at a failed action."""

    code: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One YARN application of an action."""

    recording: Recording
    #: From the start of the action until the application has its id; never, where infinite.
    after_s: float
    #: Why it fails, in YARN's words, with {number} for its own; it succeeds where there are none.
    failure: str = ""
    #: Started by the action's launcher, not the launcher itself.
    is_child: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedAction:
    """The course of one node of a workflow; times are seconds from the start of the workflow."""

    name: str = "work"
    type: str = "shell"
    starts_s: float = 0.0
    ends_s: float = math.inf
    #: The applications of each try: one try, unless Oozie repeats the action.
    tries: tuple[tuple[Run, ...], ...] = ((),)
    error: ActionError | None = None
    #: What a sub-workflow action starts.
    child: Scenario | None = None
    executable: str = "work.sh"
    arguments: tuple[str, ...] = ()
    ok_to: str = "end"
    error_to: str = "failed"

    def scaled(self, factor: float) -> Self:
        """Return the same course, faster or slower."""
        return replace(
            self,
            starts_s=self.starts_s * factor,
            ends_s=_scaled(self.ends_s, factor),
            tries=tuple(
                tuple(replace(run, after_s=_scaled(run.after_s, factor)) for run in runs)
                for runs in self.tries
            ),
            child=self.child and self.child.scaled(factor),
        )

    def failing(self, error: ActionError) -> Self:
        """Return the same course with a bad end."""
        message = error.message or ""
        tries = tuple(tuple(replace(run, failure=message) for run in runs) for runs in self.tries)
        return replace(self, error=error, tries=tries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The course of a workflow; times are seconds."""

    name: str
    description: str
    actions: tuple[ScriptedAction, ...]
    #: From the start until its user kills it.
    killed_after_s: float = math.inf
    #: How the workflow ends when an action fails: KILLED by its kill node, or FAILED.
    status_of_failure: str = "KILLED"
    #: From the end of an application until its log is complete in HDFS.
    aggregates_s: float = 0.5

    @property
    def runs_s(self) -> float:
        """From the start to the end, if nobody kills it: the first failure ends all."""
        failures = [action.ends_s for action in self.actions if action.error]
        return min(failures, default=max(action.ends_s for action in self.actions))

    def lasting(self, seconds: float) -> Self:
        """Return the same course in another time."""
        if math.isfinite(self.killed_after_s):
            return replace(self, killed_after_s=seconds)
        if math.isfinite(self.runs_s):
            return self.scaled(seconds / self.runs_s)
        endless = (replace(action, ends_s=seconds) for action in self.actions)
        return replace(self, actions=tuple(endless))

    def scaled(self, factor: float) -> Self:
        """Return the same course, faster or slower."""
        return replace(self, actions=tuple(action.scaled(factor) for action in self.actions))

    def failing(self, error: ActionError) -> Self:
        """Return the same course with a bad end of all actions."""
        return replace(self, actions=tuple(action.failing(error) for action in self.actions))


def _scaled(seconds: float, factor: float) -> float:
    return seconds * factor if math.isfinite(seconds) else seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorCourse:
    """The course of a coordinator: workflows that begin together, one for each day."""

    name: str
    description: str
    first_day: str
    workflows: tuple[Scenario, ...]

    def lasting(self, seconds: float) -> Self:
        """Return the same course with a longest workflow of another length."""
        factor = seconds / max(course.runs_s for course in self.workflows)
        workflows = tuple(course.scaled(factor) for course in self.workflows)
        return replace(self, workflows=workflows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """The course of a bundle: coordinators that begin together."""

    name: str
    description: str
    coordinators: tuple[CoordinatorCourse, ...]

    def lasting(self, seconds: float) -> Self:
        """Return the same course with a longest workflow of another length."""
        coordinators = tuple(course.lasting(seconds) for course in self.coordinators)
        return replace(self, coordinators=coordinators)
