"""Tasks of users: each tracks one job and saves its logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.leases import Lease

TRACK = "track"  #: the kind of the tasks that follow a job in Oozie
ENDED = "ended"  #: the last state of a task of any kind: nothing is left to do


class TaskState(StrEnum):
    """The state of a task that tracks a job."""

    WATCHING = "watching"  #: the job has not ended; -> COPYING | ENDED
    COPYING = "copying"  #: the job ended without success, its logs are being saved; -> ENDED
    ENDED = "ended"  #: nothing is left to do; as for tasks of any kind


class TaskReason(StrEnum):
    """Why a task waits, or ended otherwise than usual."""

    NO_CREDENTIAL = "no-credential"  #: it waits: its user has left none
    CREDENTIAL_REFUSED = "credential-refused"  #: it waits: the gateway refused what is stored
    CREDENTIAL_EXPIRED = "credential-expired"  #: it waits: the stored token is too old
    CREDENTIAL_UNREADABLE = "credential-unreadable"  #: it waits: the service cannot decrypt it
    STOPPED = "stopped"  #: its user no longer wanted it
    JOB_GONE = "job-gone"  #: Oozie no longer has the job
    RUN_TRACKED = "run-tracked"  #: the job was run again, and another task follows that run
    INCOMPLETE = "incomplete"  #: it was given up before everything was done


#: A task with one of these goes on once its user leaves a fresh credential.
WAITS_FOR_CREDENTIAL = frozenset(
    {
        TaskReason.NO_CREDENTIAL,
        TaskReason.CREDENTIAL_REFUSED,
        TaskReason.CREDENTIAL_EXPIRED,
        TaskReason.CREDENTIAL_UNREADABLE,
    }
)


class HeldTask(Protocol):
    """The part of a task that is needed to end it."""

    @property
    def id(self) -> int:
        """Return the task's row."""

    @property
    def lease(self) -> Lease:
        """Return the lease of its jobset."""


class TaskOfJob(Protocol):
    """The part of a task that its copies need."""

    @property
    def id(self) -> int:
        """Return the task's row."""

    @property
    def owner(self) -> str:
        """Return the user who asked."""

    @property
    def job_id(self) -> JobId:
        """Return the job that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackTask:
    """A task that tracks one job for one user, as a worker holds it in memory."""

    id: int
    owner: str  #: the user who asked
    lease: Lease
    state: TaskState
    job_key: int  #: row of the job and run
    job_id: JobId
    run: int
    status: JobStatus
    began_at: datetime  #: when the job was submitted, as far as known
    observed_at: datetime | None  #: when the answer came that told this status
    copies_always: bool = False  #: save the logs however the job ends
    failing_since: datetime | None = None  #: since when each search for its applications fails
    is_stopped: bool = False  #: its user has stopped it; copies that run are finished
