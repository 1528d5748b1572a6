"""Which tracked jobs another job has started, on each database."""

from __future__ import annotations

from tests.store.rows import NOW, job, seen
from tracker_service.domain.jobs import JobId
from tracker_service.store import children, jobs, track_tasks

COORDINATOR = JobId(job(1)[:-1] + "C")


def test_the_workflow_of_one_action_is_not_that_of_another_with_a_longer_number(connection):
    """However a database sorts `@`, digits and letters."""
    numbers = (3, 30, 35)
    started = [seen(number, parent_id=f"{COORDINATOR}@{number}") for number in numbers]
    kept = jobs.record(connection, started)
    track_tasks.track(connection, "guest", "guest", list(kept.values()), NOW)

    assert list(children.statuses(connection, "guest", JobId(f"{COORDINATOR}@3"))) == [job(3)]
    assert set(children.statuses(connection, "guest", COORDINATOR)) == set(map(job, numbers))
