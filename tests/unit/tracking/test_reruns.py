"""Jobs that have ended are asked about now and then: they may have been run again."""

from __future__ import annotations

import pytest

from tests.unit.fakes import APP_1, NOW, FakeOozie, action, details, job
from tests.unit.held import Following
from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.tasks import TaskState
from tracker_service.store import jobs, jobsets, track_tasks, tracked_jobs
from tracker_service.tracking.reruns import Reruns


@pytest.fixture
def oozie(fake_cluster) -> FakeOozie:
    return fake_cluster.oozie


@pytest.fixture
def look(following: Following, reruns: Reruns):
    """Looks once for reruns with all that the worker holds."""

    def once(worker: str = "worker") -> None:
        with following.store.read() as connection:
            leases = [held.lease for held in jobsets.held(connection, worker)]
        reruns.look(leases)

    return once


@pytest.fixture
def ends(following: Following, oozie: FakeOozie):
    """Tracks jobs until they have succeeded, beside one of the same user that goes on."""

    def ended(
        *numbers: int, owner: str = "guest", policy: CopyPolicy = CopyPolicy.OF_FAILURES
    ) -> None:
        oozie.has(*(details(job(n), "SUCCEEDED") for n in numbers), details(job(99), "RUNNING"))
        following.track_jobs(*map(job, numbers), owner=owner, password=f"{owner}-password")
        following.track_jobs(job(99), owner=owner, password=f"{owner}-password")
        following.look()
        if policy != CopyPolicy.OF_FAILURES:
            with following.store.begin() as connection:
                connection.exec_driver_sql("UPDATE track_tasks SET copies_always = 1")
        oozie.bulks.clear()

    return ended


def is_run_again(oozie: FakeOozie, *numbers: int, status: str = "RUNNING") -> None:
    again = action(job(1), "work", APP_1)
    oozie.has(*(details(job(number), status, again, run=1) for number in numbers))


def runs(following: Following, number: int, owner: str = "guest") -> dict[int, str]:
    with following.store.read() as connection:
        found = tracked_jobs.of_job(connection, owner, job(number))
    return {each.job.run: each.state for each in found}


def test_a_job_that_was_run_again_has_a_live_task_for_that_run(following, oozie, ends, look):
    ends(1)
    is_run_again(oozie, 1)

    look()

    assert runs(following, 1) == {1: TaskState.WATCHING, 0: TaskState.ENDED}
    is_run_again(oozie, 1, status="KILLED")
    following.look()
    assert following.task(1).state == TaskState.COPYING
    assert following.copied(1) == [APP_1]


def test_a_job_that_was_not_run_again_stays_as_it_is(following, oozie, ends, look):
    ends(1)

    look()

    assert runs(following, 1) == {0: TaskState.ENDED}
    assert oozie.bulks == [[job(1)]]


def test_a_rerun_that_is_known_is_not_followed_twice(following, oozie, ends, look):
    ends(1)
    is_run_again(oozie, 1)

    look()
    look()

    assert runs(following, 1) == {1: TaskState.WATCHING, 0: TaskState.ENDED}
    assert oozie.bulks == [[job(1)]]


def test_the_wish_for_all_logs_holds_for_the_next_run_too(following, oozie, ends, look):
    ends(1, policy=CopyPolicy.ALL)
    is_run_again(oozie, 1)

    look()

    assert following.task(1).job.run == 1
    assert following.task(1).copies_always


def test_many_jobs_are_asked_about_100_at_a_time(oozie, ends, look):
    ends(*range(100, 350))

    look()

    assert [len(ids) for ids in oozie.bulks] == [100, 100, 50]


def test_jobs_that_ended_long_ago_are_not_asked_about(oozie, ends, look, now):
    ends(1)
    now.advance(hours=24, seconds=1)

    look()

    assert oozie.bulks == []


def test_what_a_user_tracks_no_more_is_not_asked_about(following, oozie, ends, look):
    ends(1, 2)
    with following.store.begin() as connection:
        track_tasks.stop(connection, "guest", job(1), NOW)

    look()

    assert oozie.bulks == [[job(2)]]


def test_a_job_that_is_stopped_while_oozie_is_asked_is_not_followed(
    following, oozie, ends, look, monkeypatch
):
    ends(1, 2)
    is_run_again(oozie, 1, 2)
    ask = oozie.chunk

    def stopped_meanwhile(ids):
        with following.store.begin() as connection:
            track_tasks.stop(connection, "guest", job(1), NOW)
        return ask(ids)

    monkeypatch.setattr(oozie, "chunk", stopped_meanwhile)
    look()

    assert runs(following, 1) == {0: TaskState.ENDED}
    assert runs(following, 2) == {1: TaskState.WATCHING, 0: TaskState.ENDED}


def test_nobody_is_asked_for_whose_last_task_has_ended(following, oozie, ends, look):
    ends(1)
    oozie.has(details(job(99), "SUCCEEDED"))
    following.look()
    oozie.bulks.clear()

    look()

    assert oozie.bulks == []


def test_only_the_worker_that_holds_a_users_tasks_asks(following, oozie, ends, look):
    ends(1)

    look("another")
    assert oozie.bulks == []
    following.lose_lease()
    look("worker")
    assert oozie.bulks == []
    look("another")

    assert oozie.bulks == [[job(1)]]


def test_a_worker_that_has_lost_its_lease_follows_no_rerun(
    following, oozie, ends, look, monkeypatch
):
    ends(1)
    is_run_again(oozie, 1)
    ask = oozie.chunk

    def lost_meanwhile(ids):
        following.lose_lease()
        return ask(ids)

    monkeypatch.setattr(oozie, "chunk", lost_meanwhile)
    look()

    assert runs(following, 1) == {0: TaskState.ENDED}


def test_the_trouble_of_one_user_keeps_no_other_from_a_look(
    following, oozie, ends, look, fake_cluster
):
    ends(1, owner="sam")
    with following.store.begin() as connection:
        connection.exec_driver_sql("DELETE FROM credentials")
    ends(2)
    is_run_again(oozie, 1, 2)

    look()

    assert runs(following, 1, "sam") == {0: TaskState.ENDED}
    assert runs(following, 2) == {1: TaskState.WATCHING, 0: TaskState.ENDED}


def test_a_look_that_fails_is_made_up_for_by_the_next(following, oozie, ends, look):
    ends(1)
    is_run_again(oozie, 1)
    oozie.is_down = True
    look()
    oozie.is_down = False

    look()

    assert runs(following, 1) == {1: TaskState.WATCHING, 0: TaskState.ENDED}


def test_what_nobody_asked_about_is_not_believed(following, oozie, ends, look, monkeypatch):
    ends(1)
    is_run_again(oozie, 5)
    monkeypatch.setattr(oozie, "chunk", lambda _ids: {job(5): oozie.known[job(5)].observation})

    look()

    with following.store.read() as connection:
        assert jobs.latest(connection, [job(5)]) == {}
