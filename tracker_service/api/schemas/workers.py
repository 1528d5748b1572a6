"""The shapes of what operators are told about workers and what they hold."""

from __future__ import annotations

from typing import Self

from pydantic import Field, RootModel

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.store.figures import Capacity
from tracker_service.store.jobsets import KnownJobset
from tracker_service.store.workers import KnownWorker


class ReadyAnswer(Schema):
    """How the workers cope."""

    status: str
    workers: int = Field(description="that live")
    workers_needed: int = Field(description="that the load needs")
    lag_seconds: float = Field(description="since the job was looked at that has waited longest")
    waiting_tasks: int = Field(description="that no worker holds")
    late_tasks: int = Field(description="that were not looked at in time")
    lease_losses: int = Field(description="writes refused because another worker had taken over")
    scaling_limit_hit: bool = Field(description="tasks wait that no worker has room for")

    @classmethod
    def of(cls, found: Capacity, lag_s: float, lease_losses: int) -> Self:
        """Return how the workers cope."""
        return cls(
            status="ready",
            workers=found.workers,
            workers_needed=found.workers_needed,
            lag_seconds=round(lag_s, 3),
            waiting_tasks=found.waiting_tasks,
            late_tasks=found.late_tasks,
            lease_losses=lease_losses,
            scaling_limit_hit=found.is_limit_hit,
        )


class WorkerAnswer(Schema):
    """A worker."""

    id: str = Field(description="machine, process and a random part")
    alive: bool = Field(description="it gave a sign of life lately")
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
