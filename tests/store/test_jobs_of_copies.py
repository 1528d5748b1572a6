"""What a copy knows of its job."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.store.rows import NOW, live_tasks, seen, track
from tests.unit.fakes import APP_1
from tracker_service.domain.copies import Copy
from tracker_service.store import copies, jobs
from tracker_service.store.database import Connection

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "ended_at", "told"),
    [
        ("RUNNING", None, None),
        ("SUSPENDED", NOW, None),  # Oozie leaves the end of an earlier run in the answer
        ("KILLED", NOW - HOUR, NOW - HOUR),
        ("KILLED", None, NOW),
    ],
)
def test_a_copy_knows_since_when_its_job_has_ended(connection, status, ended_at, told):
    assert copy_of_job(connection, status, ended_at).job_ended_at == told


def copy_of_job(connection: Connection, status: str, ended_at: datetime | None) -> Copy:
    track(connection, 1)
    jobs.record(connection, [seen(1, status, ended_at=ended_at)])
    [task] = live_tasks(connection)
    copies.decide(connection, task, [APP_1], NOW)
    return copies.of_tasks(connection, [task.id])[task.id][0]
