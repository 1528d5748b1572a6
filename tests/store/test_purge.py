"""Jobs that ended long ago are removed with all that is stored about them, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from tests.store.old_worker import OldApi
from tests.store.rows import NOW, hold, job, live_tasks, seen, task_rows, track
from tests.unit.fakes import a_cause
from tracker_service.domain.applications import Application, ApplicationId
from tracker_service.domain.copies import CopyPolicy, CopyStatus
from tracker_service.domain.jobs import JobDetails, JobId, Observation
from tracker_service.domain.tasks import TaskState
from tracker_service.store import (
    causes,
    copies,
    failure_groups,
    hints,
    jobs,
    purge,
    tasks,
    track_tasks,
    tracked_jobs,
)
from tracker_service.store.database import Connection, Store
from tracker_service.store.tables import copies as copy_table
from tracker_service.store.tables import metadata

YEAR_S = 365 * 24 * 3600.0
LONG_AGO = datetime.now(UTC) - timedelta(days=400)
LATELY = datetime.now(UTC) - timedelta(days=300)
OF_JOBS = (
    *("jobs", "job_state_changes", "applications", "tasks", "track_tasks", "copies", "causes"),
    "hints",
)


def counts(connection: Connection) -> dict[str, int]:
    """Return the number of rows in each table that has rows about jobs, if there are any."""
    rows = {
        name: connection.scalar(select(func.count()).select_from(metadata.tables[name])) or 0
        for name in OF_JOBS
    }
    return {name: number for name, number in rows.items() if number}


def purged(store: Store, limit: int = 100) -> int:
    """Purge step by step to the end; return how many tasks were removed."""
    last, removed = None, 0
    while True:
        with store.read() as connection:
            old = purge.old_tasks(connection, YEAR_S, last, limit)
        if not old:
            return removed
        with store.begin() as connection:
            removed += purge.remove(connection, YEAR_S, old)
        last = old[-1]


def fail(connection: Connection, *numbers: int, ended_at: datetime, owner: str = "guest") -> None:
    """Track jobs that fail: with actions, an application, a saved log, a cause and a hint."""
    track(connection, *numbers, owner=owner)
    for task in live_tasks(connection):
        if task.job_id not in map(job, numbers) or task.owner != owner:
            continue
        number = int(task.job_id[:7])
        killed = seen(number, "KILLED", task.run, ended_at=ended_at)
        jobs.record(connection, [killed])
        application = Application(
            id=ApplicationId(f"application_1_{number:04d}"),
            action="work",
            workflow_id=task.job_id,
            role="launcher",
        )
        details = JobDetails(observation=killed)
        jobs.record_details(connection, task.job_key, task.run, details, [application])
        copies.decide(connection, task, [application.id], NOW)
        saved = {"status": CopyStatus.SUCCEEDED, "saved_at": ended_at, "ended_at": ended_at}
        of_task = copy_table.c.task_id == task.id
        connection.execute(update(copy_table).where(of_task).values(bytes=5, **saved))
        causes.keep(connection, task.id, task.job_key, a_cause(), ended_at)
        hints.add(connection, [task.id], NOW)
        tasks.end(connection, task, ended_at)


def tracked(connection: Connection, owner: str = "guest") -> list[JobId]:
    return [JobId(row.subject) for row in task_rows(connection, owner)]


def test_nothing_is_left_of_a_job_that_ended_more_than_a_year_ago(store):
    with store.begin() as connection:
        fail(connection, 1, 2, ended_at=LONG_AGO)
        assert set(counts(connection)) == set(OF_JOBS)

    assert purged(store) == 2

    with store.read() as connection:
        assert counts(connection) == {}


def test_a_job_that_ended_within_the_year_stays_whole(store):
    with store.begin() as connection:
        fail(connection, 1, ended_at=LATELY)
        before = counts(connection)

    assert purged(store) == 0

    with store.read() as connection:
        assert counts(connection) == before


def test_a_live_task_stays_however_old_it_is(store):
    with store.begin() as connection:
        track(connection, 1)

    assert purged(store) == 0


def test_a_job_that_somebody_else_still_tracks_stays(store):
    with store.begin() as connection:
        fail(connection, 1, ended_at=LONG_AGO)
        track(connection, 1, owner="sam")

    assert purged(store) == 1

    with store.read() as connection:
        assert (tracked(connection), tracked(connection, "sam")) == ([], [job(1)])
        [kept] = jobs.latest(connection, [job(1)]).values()
        assert jobs.history(connection, kept.key)
        assert jobs.applications_of(connection, [kept.key])[kept.key]


def test_earlier_runs_go_with_the_last_task_of_their_job(store):
    with store.begin() as connection:
        fail(connection, 1, ended_at=LONG_AGO)
        [again] = jobs.record(connection, [seen(1, run=1)]).values()
        track_tasks.track(connection, "sam", "sam", [again], NOW)

    assert purged(store) == 1
    with store.begin() as connection:
        assert set(jobs.runs_of(connection, job(1))) == {0, 1}
        [task] = live_tasks(connection)
        tasks.end(connection, task, LONG_AGO)
    assert purged(store) == 1

    with store.read() as connection:
        assert counts(connection) == {}


def child(number: int, parent: int, status: str = "SUCCEEDED") -> Observation:
    return seen(number, status, parent_id=f"{job(parent)}@{number}")


def add_ended(connection: Connection, children: Sequence[Observation]) -> None:
    kept = list(jobs.record(connection, children).values())
    track_tasks.add_ended(connection, "guest", kept, LONG_AGO)


def test_what_a_live_job_has_started_stays_or_it_would_be_tracked_again(store):
    with store.begin() as connection:
        track(connection, 1)
        add_ended(connection, [child(2, parent=1), child(3, parent=9)])

    assert purged(store) == 1

    with store.begin() as connection:
        assert sorted(tracked(connection)) == [job(1), job(2)]
        [task] = live_tasks(connection)
        tasks.end(connection, task, LONG_AGO)
    assert purged(store) == 2

    with store.read() as connection:
        assert counts(connection) == {}


def test_what_another_users_live_job_has_started_goes(store):
    with store.begin() as connection:
        track(connection, 1, owner="sam")
        add_ended(connection, [child(2, parent=1)])

    assert purged(store) == 1


def test_a_log_that_is_still_to_be_saved_keeps_its_task(store):
    with store.begin() as connection:
        fail(connection, 1, ended_at=LONG_AGO)
        connection.execute(update(copy_table).values(status=CopyStatus.WAITING))

    assert purged(store) == 0


def test_a_job_that_is_posted_again_before_its_step_stays(store):
    with store.begin() as connection:
        fail(connection, 1, 2, ended_at=LONG_AGO)
    with store.read() as connection:
        old = purge.old_tasks(connection, YEAR_S, None, 10)
    with store.begin() as connection:
        kept = list(jobs.latest(connection, [job(1)]).values())
        track_tasks.track(connection, "guest", "guest", kept, NOW, CopyPolicy.ALL)

    with store.begin() as connection:
        assert purge.remove(connection, YEAR_S, old) == 1

    with store.read() as connection:
        assert [row.state for row in task_rows(connection)] == [TaskState.WATCHING]


def test_a_purged_job_can_be_tracked_again(store):
    with store.begin() as connection:
        fail(connection, 1, ended_at=LONG_AGO)
    purged(store)

    with store.begin() as connection:
        track(connection, 1)

        assert [task.job_id for task in live_tasks(connection)] == [job(1)]


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_small_steps_reach_every_old_task_once(store, limit):
    with store.begin() as connection:
        track(connection, 20)
        add_ended(connection, [child(number, parent=20) for number in range(1, 6)])
        add_ended(connection, [child(number, parent=99) for number in range(6, 12)])

    assert purged(store, limit) == 6

    with store.read() as connection:
        assert len(tracked(connection)) == 6


def test_what_another_worker_has_purged_meanwhile_is_no_error(store):
    with store.begin() as connection:
        fail(connection, 1, ended_at=LONG_AGO)
    with store.read() as connection:
        old = purge.old_tasks(connection, YEAR_S, None, 10)
    purged(store)

    with store.begin() as connection:
        assert purge.remove(connection, YEAR_S, old) == 0


def test_a_failure_that_is_purged_counts_in_no_group(store):
    wanted = failure_groups.GroupFilter(owner="guest", since=LONG_AGO - timedelta(days=1), limit=10)
    with store.begin() as connection:
        fail(connection, 1, ended_at=LONG_AGO)
        fail(connection, 2, ended_at=LATELY)
        assert [group.count for group in failure_groups.listed(connection, wanted)] == [2]

    purged(store)

    with store.read() as connection:
        [group] = failure_groups.listed(connection, wanted)
        assert (group.count, list(group.jobs)) == (1, [job(2)])


def test_a_job_that_only_a_process_of_the_previous_release_tracks_stays(store):
    with store.begin() as connection:
        fail(connection, 1, ended_at=LONG_AGO)
        [kept] = jobs.latest(connection, [job(1)]).values()
        OldApi("sam").track(connection, kept.key)

    assert purged(store) == 1

    with store.read() as connection:
        assert [row.job_id for row in task_rows(connection, "sam")] == [kept.key]


def test_the_list_and_the_leases_are_as_before(store):
    with store.begin() as connection:
        fail(connection, 1, ended_at=LONG_AGO)
        track(connection, 2)
        listing = tracked_jobs.Listing(owner="guest", since=NOW)
        leases, tag = hold(connection), tracked_jobs.outline(connection, listing).tag

    purged(store)

    with store.begin() as connection:
        assert hold(connection) == leases
        assert tracked_jobs.outline(connection, listing).tag == tag
