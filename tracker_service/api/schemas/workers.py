"""The answers about workers and jobsets, for admins and auditors."""

from __future__ import annotations

from typing import Self

from pydantic import Field, RootModel

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.store.jobsets import KnownJobset
from tracker_service.store.workers import KnownWorker


class WorkerAnswer(Schema):
    """A worker."""

    id: str = Field(description="machine, process and a random part")
    alive: bool = Field(description="it was heard of lately")
    release: str = Field(description="of the tracker")
    started: Instant
    last_seen: Instant
    jobsets: int = Field(description="that it holds")
    tasks: int = Field(description="in them")
    busy: float = Field(description="part of its time in which it asked the cluster, 0 to 1")
    late_tasks: int = Field(description="that it could not look at in time")

    @classmethod
    def of(cls, worker: KnownWorker) -> Self:
        """Return a worker as admins see it."""
        return cls(
            id=worker.id,
            alive=worker.is_alive,
            release=worker.release,
            started=worker.started_at,
            last_seen=worker.seen_at,
            jobsets=worker.jobsets,
            tasks=worker.tasks,
            busy=round(worker.busy, 3),
            late_tasks=worker.late,
        )


class WorkerAnswers(RootModel[list[WorkerAnswer]]):
    """All workers that have not stopped, the oldest first."""


class JobsetAnswer(Schema):
    """A jobset: up to 100 tasks that are asked about as one user."""

    id: int
    kind: str
    affinity: str = Field(description="as whom which gateway is asked")
    tasks: int
    worker: str | None = Field(description="that holds it")
    waiting: bool = Field(description="for a worker")
    epoch: int = Field(description="raised by each change of worker")
    version: int = Field(description="raised by each change")
    lease_until: Instant = Field(description="where nobody holds it: since when it waits")
    last_checked: Instant | None = Field(description="all its jobs were looked at since")

    @classmethod
    def of(cls, jobset: KnownJobset) -> Self:
        """Return a jobset as admins see it."""
        return cls(
            id=jobset.id,
            kind=jobset.kind,
            affinity=jobset.affinity,
            tasks=jobset.size,
            worker=jobset.owner,
            waiting=jobset.is_waiting,
            epoch=jobset.epoch,
            version=jobset.version,
            lease_until=jobset.lease_until,
            last_checked=jobset.polled_at,
        )


class JobsetAnswers(RootModel[list[JobsetAnswer]]):
    """All jobsets with tasks, the oldest first."""
