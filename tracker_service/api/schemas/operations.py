"""The answers about the service itself, for load balancers and operators."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from tracker_service.api.schemas.base import Schema
from tracker_service.store.figures import Capacity


class HealthAnswer(Schema):
    """How the service is, in one word."""

    status: str


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
