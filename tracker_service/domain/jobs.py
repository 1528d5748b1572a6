"""Oozie jobs: their ids, their states, and observations of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType, TypeVar

OOZIE = "oozie"  #: the kind of these jobs in the store

#: As Oozie writes it: `0000042-261122041514971-oozie-prod-W`; `…-C@12` is an action of a
#: coordinator, which is followed like a job until it has started its workflow.
JobId = NewType("JobId", str)

# UUIDService of Oozie 3.3 to 5.2 makes ids of at most 40 characters: either a sequence and the boot
# time, or as much of a random UUID as fits; then the system id and the type.
_SYSTEM = "[A-Za-z0-9_.-]"
_COUNTED = (
    rf"(?:[0-9]{{7,8}}-[0-9]{{15}}-{_SYSTEM}{{1,13}}|[0-9]{{9,10}}-[0-9]{{15}}-{_SYSTEM}{{1,11}})"
)
_RANDOM_ENDS = "|".join(rf"[0-9a-f]{{{13 - n}}}-{_SYSTEM}{{{n}}}" for n in range(1, 11))
_RANDOM = rf"[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-(?:{_RANDOM_ENDS})"
_ANY = rf"(?:{_COUNTED}|{_RANDOM})"

JOB_ID_PATTERN = rf"{_ANY}-[WCB]"
#: A job, an action of a workflow, or an action of a coordinator.
REFERENCE_PATTERN = rf"{_ANY}-(?:[WCB]|W@:?[A-Za-z_][A-Za-z0-9_-]{{0,127}}:?|C@[1-9][0-9]{{0,8}})"
_JOB_ID = re.compile(JOB_ID_PATTERN)


class JobType(StrEnum):
    """The kinds of Oozie job, spelled as in the `jobtype` parameter of `GET /jobs`."""

    WORKFLOW = "wf"  #: id ends with -W
    COORDINATOR = "coord"  #: id ends with -C
    BUNDLE = "bundle"  #: id ends with -B
    COORDINATOR_ACTION = "coord-action"  #: id ends with -C@12; Oozie lists them nowhere


class JobStatus(StrEnum):
    """The states of Oozie's jobs as Oozie spells them, and two of the tracker."""

    PREP = "PREP"  #: accepted, not started
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"  #: stays so until somebody resumes or kills it
    SUCCEEDED = "SUCCEEDED"
    KILLED = "KILLED"  #: stopped by an operator, or an action failed and led to a kill node
    FAILED = "FAILED"  #: Oozie itself could not go on
    PREMATER = "PREMATER"
    PAUSED = "PAUSED"
    PREPPAUSED = "PREPPAUSED"
    PREPSUSPENDED = "PREPSUSPENDED"
    RUNNINGWITHERROR = "RUNNINGWITHERROR"
    SUSPENDEDWITHERROR = "SUSPENDEDWITHERROR"
    PAUSEDWITHERROR = "PAUSEDWITHERROR"
    DONEWITHERROR = "DONEWITHERROR"  #: coordinator or bundle: ended, and part of it failed
    IGNORED = "IGNORED"
    WAITING = "WAITING"  #: action of a coordinator: its time or its input has not come
    READY = "READY"  #: action of a coordinator: waits until fewer run at once
    SUBMITTED = "SUBMITTED"  #: action of a coordinator: its workflow is being started
    TIMEDOUT = "TIMEDOUT"  #: action of a coordinator: ended, because its input never came
    SKIPPED = "SKIPPED"  #: action of a coordinator: ended, because a later one has taken its place
    UNKNOWN = "UNKNOWN"  #: the tracker's: not asked yet, or Oozie's word is not in this list
    NOT_FOUND = "NOT_FOUND"  #: the tracker's: Oozie says that there is no such job

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended; only a rerun (a higher `run`) leaves such a state."""
        return self in _TERMINAL

    @classmethod
    def from_oozie(cls, word: object) -> JobStatus:
        """Return the state for Oozie's word, UNKNOWN for a word that this list lacks."""
        try:
            return cls(str(word))
        except ValueError:
            return cls.UNKNOWN


_TERMINAL = frozenset(
    {
        JobStatus.SUCCEEDED,
        JobStatus.KILLED,
        JobStatus.FAILED,
        JobStatus.DONEWITHERROR,
        JobStatus.IGNORED,
        JobStatus.TIMEDOUT,
        JobStatus.SKIPPED,
        JobStatus.NOT_FOUND,
    }
)


def is_job_id(text: str) -> bool:
    """Tell whether this is shaped like an id of an Oozie workflow, coordinator or bundle."""
    return _JOB_ID.fullmatch(text) is not None


def type_of(job_id: JobId) -> JobType:
    """Return what kind of job an id names, by its last letter."""
    if "@" in job_id:
        return JobType.COORDINATOR_ACTION
    return {"W": JobType.WORKFLOW, "C": JobType.COORDINATOR, "B": JobType.BUNDLE}[job_id[-1]]


def coordinator_of(action: JobId) -> JobId:
    """Return the coordinator of one of its actions."""
    return JobId(action.partition("@")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One answer of Oozie about one job."""

    id: JobId
    status: JobStatus
    run: int = 0  #: how often the job was rerun; a job is identified by (id, run)
    name: str | None = None
    user: str | None = None  #: owner of the job in the cluster
    parent_id: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    observed_at: datetime  #: when the answer came, by this machine's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action of a workflow, from `GET /job/ID?show=info`."""

    id: str  #: `<workflow id>@<name>`
    name: str
    type: str  #: `shell`, `map-reduce`, `sub-workflow`, `:START:` …
    status: str
    external_id: str | None = None  #: application, job or sub-workflow; `-` where there is none
    child_ids: str | None = None  #: comma list of what the launcher started
    external_status: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    retry_count: int = 0  #: how often Oozie has repeated it; the ids are those of the last try

    @property
    def sub_workflow(self) -> JobId | None:
        """Return the id of the workflow that this action runs, if it runs one."""
        external = self.external_id or ""
        is_one = self.type == "sub-workflow" and external.endswith("-W") and is_job_id(external)
        return JobId(external) if is_one else None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails:
    """A job with its actions; of a coordinator or bundle, those that never became a job."""

    observation: Observation
    actions: tuple[Action, ...] = ()
    are_actions_told: bool = True  #: False if the answer leaves them out


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """A coordinator with a page of its actions or one of them, or a bundle with coordinators."""

    observation: Observation
    started: tuple[JobId | None, ...] = ()  #: by each action; None where nothing was started yet
    never_started: tuple[Action, ...] = ()  #: actions that ended before they had started anything
    is_last: bool = True  #: there is no further page


def supersedes(new: Observation, run: int, status: JobStatus) -> bool:
    """Tell whether an observation is news for a job known to be in this run and state.

    Answers of two observers may arrive in the wrong order: a job that has ended stays so unless
    its `run` is higher, and an earlier run is never news. UNKNOWN, which nobody observed, is news
    only of a job that Oozie had lost sight of.
    """
    if new.status == JobStatus.UNKNOWN:
        return status == JobStatus.NOT_FOUND
    if new.run != run:
        return new.run > run
    is_open = not status.is_terminal or status == JobStatus.NOT_FOUND
    return is_open and new.status != status


Id = TypeVar("Id", bound=str)


def unique(ids: Iterable[Id]) -> list[Id]:
    """Return each id once, in the order of its first appearance."""
    return list(dict.fromkeys(ids))
