from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete

from tests.store.rows import NOW, hold, job, live_tasks, seen, task_rows, track
from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.copies import Copy, CopyReason, CopyStatus, Strategy
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import WAITS_FOR_CREDENTIAL, TaskReason, TaskState
from tracker_service.store import (
    copies,
    credentials,
    jobs,
    tables,
    tasks,
    track_tasks,
    tracked_jobs,
)

APPS = [ApplicationId(f"application_1_{n:04d}") for n in range(1, 5)]
LATER = NOW + timedelta(minutes=1)
LOST = Reason(TaskReason.JOB_GONE, "lost")
REFUSED = Reason(TaskReason.CREDENTIAL_REFUSED, "refused")


def test_a_job_is_tracked_once_for_a_user(connection):
    track(connection, 1)
    track(connection, 1, 2)

    assert len(task_rows(connection)) == 2
    assert {row.state for row in task_rows(connection)} == {TaskState.WATCHING}


def test_two_users_have_two_tasks_for_one_job(connection):
    [first] = track(connection, 1)
    [second] = track(connection, 1, owner="sam")

    assert first.key == second.key
    assert len(task_rows(connection)) == len(task_rows(connection, "sam")) == 1


def test_many_jobs_are_tracked_with_one_call(connection):
    track(connection, *range(1201))

    assert len(task_rows(connection)) == 1201


def test_a_task_that_ended_while_its_job_did_not_lives_again(connection):
    track(connection, 1)
    [task] = live_tasks(connection)
    tasks.end(connection, task, NOW, LOST)

    track(connection, 1)

    [row] = task_rows(connection)
    assert (row.id, row.state, row.ended_at, row.reason) == (task.id, "watching", None, None)
    assert [each.id for each in live_tasks(connection)] == [task.id]


def test_a_task_whose_job_has_ended_does_not_live_again(connection):
    track(connection, 1)
    [task] = live_tasks(connection)
    tasks.end(connection, task, NOW)
    kept = jobs.record(connection, [seen(1, "SUCCEEDED")])

    track_tasks.track(connection, "guest", "guest", list(kept.values()), NOW)

    assert [row.state for row in task_rows(connection)] == ["ended"]


def test_ending_twice_gives_room_back_once(connection):
    track(connection, 1, 2)
    task, _ = live_tasks(connection)

    tasks.end(connection, task, NOW)
    tasks.end(connection, task, LATER)

    [row] = [row for row in task_rows(connection) if row.id == task.id]
    assert row.ended_at == NOW
    assert connection.exec_driver_sql("SELECT size FROM jobsets").scalar() == 1


def test_a_worker_gets_all_that_it_needs_to_know_of_a_task(connection):
    track(connection, 1)

    [task] = live_tasks(connection)

    assert (task.owner, task.job_id, task.run, task.status, task.began_at) == (
        *("guest", job(1), 0, "RUNNING", NOW),
    )


def test_a_job_of_unknown_age_began_when_it_was_posted(connection):
    kept = jobs.record(connection, [seen(1, "UNKNOWN", created_at=None)])
    track_tasks.track(connection, "guest", "guest", list(kept.values()), LATER)

    [task] = live_tasks(connection)

    assert task.began_at == LATER


def test_a_task_follows_its_job_into_the_next_run(connection):
    track(connection, 1)
    [task] = live_tasks(connection)
    [again] = jobs.record(connection, [seen(1, run=1)]).values()

    track_tasks.follow_run(connection, task, again, NOW)

    [followed] = live_tasks(connection)
    assert (followed.id, followed.run) == (task.id, 1)


def test_a_task_whose_next_run_is_tracked_already_ends(connection):
    track(connection, 1)
    [task] = live_tasks(connection)
    [again] = jobs.record(connection, [seen(1, run=1)]).values()
    track_tasks.track(connection, "guest", "guest", [again], NOW)

    track_tasks.follow_run(connection, task, again, NOW)

    [left] = live_tasks(connection)
    assert left.run == 1
    newest, earlier = tracked_jobs.of_job(connection, "guest", job(1))
    assert (newest.id, earlier.id) == (left.id, task.id)
    assert earlier.state == "ended"


def test_only_live_tasks_of_the_user_are_explained(connection):
    track(connection, 1, 2)
    track(connection, 1, owner="sam")
    ended = next(task for task in live_tasks(connection) if task.owner == "guest")
    tasks.end(connection, ended, NOW, LOST)

    tasks.explain(connection, "guest", REFUSED)

    assert sorted(row.reason for row in task_rows(connection)) == ["lost", "refused"]
    assert [row.reason for row in task_rows(connection, "sam")] == [None]


def test_what_says_so_already_is_not_said_again_in_other_words(connection):
    track(connection, 1)
    tasks.explain(connection, "guest", REFUSED)

    tasks.explain(connection, "guest", Reason(REFUSED.code, "turned down"))
    assert [row.reason for row in task_rows(connection)] == ["refused"]

    tasks.explain(connection, "guest", Reason(TaskReason.CREDENTIAL_EXPIRED, "expired"))
    assert [row.reason for row in task_rows(connection)] == ["expired"]


def test_tasks_that_wait_for_a_credential_go_on_once_there_is_one(connection):
    track(connection, 1)
    track(connection, 1, owner="sam")
    tasks.explain(connection, "guest", REFUSED)

    [waiting] = tasks.waiting(connection, "guest", WAITS_FOR_CREDENTIAL)
    assert tasks.waiting(connection, "sam", WAITS_FOR_CREDENTIAL) == []

    tasks.clear_reason(connection, "guest")

    [row] = task_rows(connection)
    assert (row.id, row.reason_code, row.reason) == (waiting, None, None)
    assert tasks.waiting(connection, "guest", WAITS_FOR_CREDENTIAL) == []


def test_ended_jobs_are_listed_for_a_while(connection):
    track(connection, 1, 2)
    track(connection, 3, owner="sam")
    ended = next(task for task in live_tasks(connection) if task.job_id == job(1))
    tasks.end(connection, ended, NOW)

    just_now = tracked_jobs.listed(connection, tracked_jobs.Listing(owner="guest", since=NOW))
    much_later = tracked_jobs.listed(connection, tracked_jobs.Listing(owner="guest", since=LATER))

    assert [each.job.id for each in just_now] == [job(1), job(2)]
    assert [each.job.id for each in much_later] == [job(2)]


def test_nobody_gets_the_task_of_another_user(connection):
    track(connection, 1)

    assert tracked_jobs.of_job(connection, "sam", job(1)) == []
    assert tracked_jobs.listed(connection, tracked_jobs.Listing(owner="sam", since=NOW)) == []


@pytest.fixture
def task(connection):
    """A task in the store whose logs are being copied."""
    track(connection, 1)
    credentials.keep(connection, "guest", b"sealed", NOW)
    [made] = live_tasks(connection)
    track_tasks.start_copying(connection, made)
    return made


def copies_of(connection, task) -> list[Copy]:
    return copies.of_tasks(connection, [task.id])[task.id]


def test_the_log_of_each_application_is_copied_once(connection, task):
    assert copies.decide(connection, task, [APPS[0], APPS[0]], NOW) == 1
    assert copies.decide(connection, task, APPS[:2], NOW) == 1
    assert copies.decide(connection, task, APPS[:2], NOW) == 0

    first, second = copies_of(connection, task)
    assert (first.application, second.application) == tuple(APPS[:2])
    assert first.path == f"/user/guest/WORK/logs/{job(1)}/{APPS[0]}.log"
    assert first.status == CopyStatus.WAITING
    assert first.id != second.id


def test_each_user_has_copies_of_their_own(connection, task):
    track(connection, 1, owner="sam")
    [sams] = [each for each in live_tasks(connection) if each.owner == "sam"]

    copies.decide(connection, task, APPS[:1], NOW)
    copies.decide(connection, sams, APPS[:1], NOW)

    assert copies_of(connection, sams)[0].path.startswith("/user/sam/")
    assert copies_of(connection, task)[0].path.startswith("/user/guest/")


def test_a_copy_is_changed_only_as_it_was_seen(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    [seen_copy] = copies_of(connection, task)

    assert copies.change(connection, seen_copy, status=CopyStatus.RUNNING)
    assert not copies.change(connection, seen_copy, status=CopyStatus.FAILED)

    assert copies_of(connection, task)[0].status == CopyStatus.RUNNING


def test_a_copy_in_another_try_is_not_changed(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    [seen_copy] = copies_of(connection, task)
    copies.change(connection, seen_copy, attempt=1)

    assert not copies.change(connection, seen_copy, status=CopyStatus.FAILED)


def due(connection, now=LATER, limit: int = 10, leases=None, busy=(), full=()) -> list[str]:
    held = {lease.jobset_id: lease for lease in hold(connection)} if leases is None else leases
    resting = copies.DueFilter(owners=busy, without_workflow=full)
    return [copy.application for copy, _ in copies.due(connection, held, now, resting, limit)]


def test_the_copies_that_are_due_longest_come_first(connection, task):
    for seconds, application in ((3, APPS[0]), (1, APPS[1]), (2, APPS[2])):
        copies.decide(connection, task, [application], NOW + timedelta(seconds=seconds))

    assert due(connection) == [APPS[1], APPS[2], APPS[0]]
    assert due(connection, limit=2) == [APPS[1], APPS[2]]
    assert due(connection, now=NOW + timedelta(seconds=1)) == [APPS[1]]
    assert due(connection, now=NOW) == []


def test_copies_of_others_and_finished_ones_are_not_due(connection, task):
    copies.decide(connection, task, APPS, NOW)
    ends = (CopyStatus.SUCCEEDED, CopyStatus.FAILED, CopyStatus.KILLED)
    for copy, end in zip(copies_of(connection, task), ends, strict=False):
        copies.change(connection, copy, status=end)

    assert due(connection) == [APPS[3]]
    assert due(connection, leases={}) == []


def test_copies_are_due_of_a_user_of_whom_nothing_is_kept(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    connection.execute(delete(tables.credentials))

    assert due(connection) == APPS[:1]


def test_a_due_copy_comes_with_its_lease(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)

    [(_, lease)] = copies.due(
        connection, {task.lease.jobset_id: task.lease}, NOW, copies.DueFilter(), 1
    )

    assert lease == task.lease


def test_copies_of_an_ended_task_are_not_due(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    tasks.end(connection, task, NOW)

    assert due(connection, leases={task.lease.jobset_id: task.lease}) == []


def test_the_copies_that_run_are_counted_by_user(connection, task):
    credentials.keep(connection, "guest", b"sealed", NOW)
    copies.decide(connection, task, APPS, NOW)
    for copy in copies_of(connection, task)[:3]:
        copies.change(connection, copy, status=CopyStatus.RUNNING, strategy=Strategy.WORKFLOW)

    assert copies.running_workflows(connection) == {"guest": 3}


def test_copies_at_which_nobody_can_look_take_no_place(connection, task):
    credentials.keep(connection, "guest", b"sealed", NOW)
    copies.decide(connection, task, APPS[:1], NOW)
    [copy] = copies_of(connection, task)
    copies.change(connection, copy, status=CopyStatus.RUNNING, strategy=Strategy.WORKFLOW)
    kept = credentials.find(connection, ["guest"])["guest"]

    credentials.refuse(connection, kept, NOW)
    assert copies.running_workflows(connection) == {}

    credentials.accept(connection, kept)
    assert copies.running_workflows(connection) == {"guest": 1}


def test_copies_of_a_user_who_is_looked_at_are_left_out(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)

    assert due(connection, busy={"guest"}) == []
    assert due(connection, busy={"sam"}) == APPS[:1]


def test_of_a_user_without_a_place_only_running_copies_are_due(connection, task):
    copies.decide(connection, task, APPS[:2], NOW)
    for copy in copies_of(connection, task):
        copies.change(connection, copy, strategy=Strategy.WORKFLOW)
    copies.change(connection, copies_of(connection, task)[0], status=CopyStatus.RUNNING)

    assert due(connection, full={"guest"}) == APPS[:1]
    assert sorted(due(connection)) == APPS[:2]


def test_copies_of_a_user_whose_credential_rests_are_not_due(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    credentials.refuse(connection, credentials.find(connection, ["guest"])["guest"], LATER)

    assert due(connection, now=LATER) == []
    assert due(connection, now=LATER + timedelta(minutes=1)) == APPS[:1]


def test_what_waiting_copies_wait_for_is_written_once(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    [copy] = copies_of(connection, task)

    copies.explain(connection, [copy.id], Reason(CopyReason.NO_STREAM, "waits for a place"))

    assert copies_of(connection, task)[0].reason == "waits for a place"
    assert due(connection) == APPS[:1]


def test_a_task_that_follows_the_next_run_already_is_not_ended(connection):
    track(connection, 1)
    [stale] = live_tasks(connection)
    [again] = jobs.record(connection, [seen(1, run=1)]).values()
    track_tasks.follow_run(connection, stale, again, NOW)

    followed = track_tasks.follow_run(connection, stale, again, NOW)

    assert (followed.run, followed.state) == (1, TaskState.WATCHING)
    assert [task.run for task in live_tasks(connection)] == [1]


def test_copies_are_postponed_with_the_reason_and_ended_ones_are_left_alone(connection, task):
    copies.decide(connection, task, APPS[:2], NOW)
    first, second = copies_of(connection, task)
    copies.change(connection, second, status=CopyStatus.SUCCEEDED, reason=None)

    copies.postpone(connection, [first.id, second.id], LATER, "is being copied")

    assert [each.reason for each in copies_of(connection, task)] == ["is being copied", None]
    assert due(connection, now=LATER - timedelta(seconds=1)) == []
    assert due(connection, now=LATER) == APPS[:1]


def test_the_copies_of_a_jobset_can_be_made_due_at_once_and_no_others(connection, task):
    copies.decide(connection, task, APPS[:2], NOW)
    ids = [copy.id for copy in copies_of(connection, task)]
    copies.postpone(connection, ids, LATER, "is being copied")

    copies.hasten(connection, [task.lease.jobset_id + 1], NOW)
    assert due(connection, now=NOW) == []

    copies.hasten(connection, [task.lease.jobset_id], NOW)
    assert due(connection, now=NOW) == APPS[:2]


def test_a_task_is_done_when_all_its_copies_have_ended(connection, task):
    copies.decide(connection, task, APPS[:2], NOW)
    first, second = copies_of(connection, task)

    copies.change(connection, first, status=CopyStatus.SUCCEEDED)
    assert copies.finished_tasks(connection, [task.lease]) == set()

    copies.change(connection, second, status=CopyStatus.FAILED)
    assert copies.finished_tasks(connection, [task.lease]) == {task.id}


def test_a_task_without_copies_is_done(connection, task):
    assert copies.finished_tasks(connection, [task.lease]) == {task.id}
    assert copies.finished_tasks(connection, []) == set()


def test_a_task_that_still_watches_is_not_done(connection):
    track(connection, 1)
    [watching] = live_tasks(connection)

    assert copies.finished_tasks(connection, [watching.lease]) == set()


def test_our_own_workflows_are_known_by_their_id(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    copies.change(connection, copies_of(connection, task)[0], job=job(70))

    assert copies.copy_jobs(connection, [job(70), job(71)]) == {job(70)}
    assert copies.copy_jobs(connection, [job(n) for n in range(1200)]) == {job(70)}
    assert copies.copy_jobs(connection, []) == set()


def test_that_the_tracker_stopped_a_workflow_is_not_forgotten_over_other_trouble(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    [copy] = copies_of(connection, task)
    ours = "the tracker stopped the copy workflow: it was SUSPENDED"
    copies.change(connection, copy, reason=ours, reason_code=CopyReason.STOPPED_BY_TRACKER)

    copies.postpone(connection, [copy.id], LATER, "the cluster does not answer")

    assert copies_of(connection, task)[0].reason == ours


def test_a_new_try_is_not_told_of_as_one_that_the_tracker_stopped(connection, task):
    copies.decide(connection, task, APPS[:1], NOW)
    [copy] = copies_of(connection, task)
    ours = {"reason": "stopped", "reason_code": CopyReason.STOPPED_BY_TRACKER}
    copies.change(connection, copy, **ours)

    copies.change(connection, copy, attempt=1, reason="is being copied")

    [copy] = copies_of(connection, task)
    assert (copy.reason_code, copy.reason) == (None, "is being copied")
