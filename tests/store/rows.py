"""Put jobs and tasks into a store, for its tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, select

from tracker_service.domain.jobs import JobId, JobStatus, Observation
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TrackTask
from tracker_service.store import jobs, jobsets, track_tasks
from tracker_service.store.database import Connection
from tracker_service.store.tables import tasks as task_table

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)


def job(number: int) -> JobId:
    return JobId(f"{number:07d}-261122045545966-oozie-test-W")


def seen(number: int, status: str = "RUNNING", run: int = 0, **more) -> Observation:
    values = {"name": "a job", "user": "guest", "created_at": NOW, "observed_at": NOW}
    return Observation(id=job(number), status=JobStatus(status), run=run, **{**values, **more})


def track(connection: Connection, *numbers: int, owner: str = "guest") -> list[jobs.KeptJob]:
    """Record these jobs as running and track them."""
    kept = list(jobs.record(connection, [seen(n) for n in numbers]).values())
    track_tasks.track(connection, owner, owner, kept, NOW)
    return kept


def hold(connection: Connection, worker: str = "worker") -> list[Lease]:
    """Claim all free jobsets, and return the leases of the worker."""
    jobsets.claim(connection, worker, ["track"], 3600, 100)
    return [held.lease for held in jobsets.held(connection, worker)]


def live_tasks(connection: Connection, worker: str = "worker") -> list[TrackTask]:
    """Claim all free jobsets, and return the live tasks in them."""
    return [
        task for lease in hold(connection, worker) for task in track_tasks.live(connection, lease)
    ]


def task_rows(connection: Connection, owner: str = "guest") -> list[Row[Any]]:
    return list(connection.execute(select(task_table).where(task_table.c.owner == owner)))
