"""What a user wants of a tracked job beside its state: every log, or nothing any more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.store.rows import NOW, hold, job, live_tasks, seen, task_rows, track
from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.copies import CopyPolicy, CopyReason, CopyStatus
from tracker_service.errors import LeaseLost
from tracker_service.store import copies, jobs, jobsets, tasks, track_tasks, tracked_jobs

APPS = [ApplicationId(f"application_1_{n:04d}") for n in range(1, 6)]
LATER = NOW + timedelta(minutes=1)


def want_copies(
    connection, *numbers: int, status: str = "RUNNING", policy: CopyPolicy = CopyPolicy.ALL
) -> None:
    kept = list(jobs.record(connection, [seen(n, status) for n in numbers]).values())
    track_tasks.track(connection, "guest", "guest", kept, LATER, policy)


def only_copy(connection):
    [task] = tracked_jobs.of_job(connection, "guest", job(1))
    [copy] = copies.of_tasks(connection, [task.id])[task.id]
    return copy


def size(connection) -> int:
    return connection.exec_driver_sql("SELECT SUM(size) FROM jobsets").scalar()


def test_who_wants_copies_gets_a_task_that_makes_them(connection):
    want_copies(connection, 1)

    [task] = live_tasks(connection)
    assert task.copies_always


def test_who_only_tracks_gets_copies_of_failed_jobs_alone(connection):
    track(connection, 1)

    [task] = live_tasks(connection)
    assert not task.copies_always


def test_a_tracked_job_whose_copies_are_wanted_keeps_its_task(connection):
    track(connection, 1)
    want_copies(connection, 1)

    [row] = task_rows(connection)
    assert row.copies_always
    assert size(connection) == 1


def test_tracking_again_takes_no_wish_back(connection):
    want_copies(connection, 1)
    track(connection, 1)

    [row] = task_rows(connection)
    assert row.copies_always


def test_a_task_that_ended_lives_again_if_copies_are_wanted(connection):
    track(connection, 1)
    [task] = live_tasks(connection)
    tasks.end(connection, task, NOW)

    want_copies(connection, 1, status="SUCCEEDED")

    [again] = live_tasks(connection)
    assert (again.id, again.copies_always) == (task.id, True)
    assert size(connection) == 1


@pytest.mark.parametrize(
    ("status", "policy", "lives"),
    [
        (CopyStatus.SUCCEEDED, CopyPolicy.ALL, False),
        (CopyStatus.SUCCEEDED, CopyPolicy.ALL_AGAIN, True),
        (CopyStatus.FAILED, CopyPolicy.ALL, True),
        (CopyStatus.FAILED, CopyPolicy.OF_FAILURES, False),
    ],
)
def test_a_task_that_has_made_its_copies_lives_again_only_to_make_others(
    connection, status, policy, lives
):
    want_copies(connection, 1, status="SUCCEEDED")
    [task] = live_tasks(connection)
    copies.decide(connection, task, APPS[:1], NOW)
    copies.change(connection, only_copy(connection), status=status, saved_at=NOW)
    tasks.end(connection, task, NOW)

    want_copies(connection, 1, status="SUCCEEDED", policy=policy)

    assert bool(live_tasks(connection)) is lives


@pytest.mark.parametrize("status", [CopyStatus.FAILED, CopyStatus.KILLED, CopyStatus.UNKNOWN])
@pytest.mark.parametrize("refresh", [False, True])
def test_copies_without_success_are_started_again(connection, status, refresh):
    track(connection, 1)
    [task] = live_tasks(connection)
    copies.decide(connection, task, APPS[:1], NOW)
    copies.change(
        connection, only_copy(connection), status=status, job="x", failures=4, ended_at=NOW
    )

    copies.restart(connection, [task.id], LATER, refresh=refresh)

    copy = only_copy(connection)
    assert (copy.status, copy.job, copy.failures, copy.created_at) == ("WAITING", None, 0, LATER)


@pytest.mark.parametrize(
    ("refresh", "status"), [(False, CopyStatus.SUCCEEDED), (True, CopyStatus.WAITING)]
)
def test_a_saved_log_is_copied_again_only_with_refresh(connection, refresh, status):
    track(connection, 1)
    [task] = live_tasks(connection)
    copies.decide(connection, task, APPS[:1], NOW)
    copies.change(connection, only_copy(connection), status=CopyStatus.SUCCEEDED, saved_at=NOW)

    copies.restart(connection, [task.id], LATER, refresh=refresh)

    copy = only_copy(connection)
    assert copy.status == status
    assert copy.saved_at == NOW


def test_a_copy_that_runs_is_not_disturbed(connection):
    track(connection, 1)
    [task] = live_tasks(connection)
    copies.decide(connection, task, APPS[:1], NOW)
    copies.change(connection, only_copy(connection), status=CopyStatus.RUNNING, job="x")

    copies.restart(connection, [task.id], LATER, refresh=True)

    assert (only_copy(connection).status, only_copy(connection).job) == ("RUNNING", "x")


def test_a_stopped_task_without_copies_ends(connection):
    track(connection, 1)

    assert track_tasks.stop(connection, "guest", job(1), LATER)

    [row] = task_rows(connection)
    assert (row.state, row.reason, row.jobset_id) == ("ended", track_tasks.STOPPED.text, None)
    assert size(connection) == 0
    assert tracked_jobs.listed(connection, tracked_jobs.Listing(owner="guest", since=NOW)) == []
    assert not tasks.has_live(connection, "guest")


def test_stopping_touches_nobody_elses_task(connection):
    track(connection, 1)
    track(connection, 1, owner="sam")

    track_tasks.stop(connection, "guest", job(1), LATER)

    [row] = task_rows(connection, "sam")
    assert row.state == "watching"


def test_what_is_not_tracked_cannot_be_stopped(connection):
    track(connection, 1, owner="sam")

    assert not track_tasks.stop(connection, "guest", job(1), LATER)
    assert not track_tasks.stop(connection, "guest", job(2), LATER)


def test_stopping_twice_is_told(connection):
    track(connection, 1)
    track_tasks.stop(connection, "guest", job(1), LATER)

    assert not track_tasks.stop(connection, "guest", job(1), LATER)


def test_a_copy_that_runs_is_finished_and_one_that_waits_is_given_up(connection):
    track(connection, 1)
    [task] = live_tasks(connection)
    copies.decide(connection, task, APPS[:2], NOW)
    first, second = copies.of_tasks(connection, [task.id])[task.id]
    copies.change(connection, first, status=CopyStatus.RUNNING, job="x")

    track_tasks.stop(connection, "guest", job(1), LATER)

    first, second = copies.of_tasks(connection, [task.id])[task.id]
    assert (first.status, second.status) == ("RUNNING", "KILLED")
    assert (second.reason_code, second.reason) == (
        CopyReason.NOT_TRACKED,
        track_tasks.STOPPED.text,
    )
    [left] = live_tasks(connection)
    assert left.is_stopped
    assert left.state == "copying"


def test_a_stopped_job_may_be_tracked_again(connection):
    track(connection, 1)
    track_tasks.stop(connection, "guest", job(1), LATER)

    track(connection, 1)

    [task] = live_tasks(connection)
    assert not task.is_stopped
    assert [
        each.job.id
        for each in tracked_jobs.listed(connection, tracked_jobs.Listing(owner="guest", since=NOW))
    ] == [job(1)]


def test_a_job_that_succeeded_and_was_stopped_is_listed_when_it_is_tracked_again(connection):
    kept = list(jobs.record(connection, [seen(1, "SUCCEEDED")]).values())
    track_tasks.track(connection, "guest", "guest", kept, NOW)
    track_tasks.stop(connection, "guest", job(1), LATER)

    track_tasks.track(connection, "guest", "guest", kept, LATER)

    assert [
        each.job.id
        for each in tracked_jobs.listed(connection, tracked_jobs.Listing(owner="guest", since=NOW))
    ] == [job(1)]


def test_a_worker_learns_what_was_changed_since_it_loaded_a_task(connection):
    track(connection, 1)
    [loaded] = live_tasks(connection)
    want_copies(connection, 1)
    assert track_tasks.current(connection, loaded).copies_always

    track_tasks.stop(connection, "guest", job(1), LATER)
    now = track_tasks.current(connection, loaded)
    assert now.is_stopped
    assert now.state == "ended"


def test_a_stopped_task_does_not_follow_the_next_run(connection):
    track(connection, 1)
    [loaded] = live_tasks(connection)
    copies.decide(connection, loaded, APPS[:1], NOW)
    copies.change(connection, only_copy(connection), status=CopyStatus.RUNNING)
    track_tasks.stop(connection, "guest", job(1), LATER)
    [again] = jobs.record(connection, [seen(1, run=1)]).values()

    followed = track_tasks.follow_run(connection, loaded, again, LATER)

    assert followed.is_stopped
    [row] = task_rows(connection)
    assert row.job_id != again.key


def test_the_holder_is_told_of_a_changed_wish(connection):
    track(connection, 1)
    [lease] = hold(connection)
    [before] = jobsets.held(connection, "worker")

    want_copies(connection, 1)

    [after] = jobsets.held(connection, "worker")
    assert after != before
    jobsets.guard(connection, lease)  # the lease itself is kept
    with pytest.raises(LeaseLost):
        jobsets.guard(connection, lease.__class__(jobset_id=lease.jobset_id, epoch=99))
