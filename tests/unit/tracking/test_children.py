"""Coordinators and bundles: all that they start is followed by tasks of its own."""

from __future__ import annotations

import pytest

from tests.unit.fakes import NOW, AtOnce, Engine, FakeOozie, details, job
from tests.unit.held import Following
from tracker_service.archive.manifest import write_manifest
from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.tasks import TaskState
from tracker_service.errors import AccessDenied, GatewayUnavailable, JobNotFound
from tracker_service.store import children, track_tasks, tracked_jobs
from tracker_service.tracking.completion import Completion

DAILY = job(1, "C")
ALL = job(2, "B")


@pytest.fixture
def oozie(fake_cluster) -> FakeOozie:
    fake_cluster.oozie.has(details(DAILY, "RUNNING"), details(ALL, "RUNNING"))
    return fake_cluster.oozie


def has_started(
    oozie: FakeOozie, *numbers: int, status: str = "RUNNING", of: JobId = DAILY, **more
) -> None:
    """Make a coordinator materialise an action for each of these workflows."""
    for number in numbers:
        place = len(oozie.started.setdefault(of, [])) + 1
        oozie.started[of].append(job(number))
        oozie.has(details(job(number), status, parent_id=f"{of}@{place}", **more))


def followed(
    following: Following, of: JobId = DAILY, owner: str = "guest"
) -> dict[JobId, JobStatus]:
    with following.store.read() as connection:
        return dict(children.statuses(connection, owner, of))


def task_of(following: Following, job_id: JobId, owner: str = "guest") -> tracked_jobs.TrackedJob:
    with following.store.read() as connection:
        return tracked_jobs.of_job(connection, owner, job_id)[0]


def stop(following: Following, job_id: JobId) -> None:
    with following.store.begin() as connection:
        track_tasks.stop(connection, "guest", job_id, NOW)


def test_each_workflow_of_a_coordinator_is_followed_for_the_user_who_tracks_it(following, oozie):
    has_started(oozie, 11, 12)
    following.track_jobs(DAILY)

    following.look()

    assert followed(following) == {job(11): "RUNNING", job(12): "RUNNING"}
    assert following.task(11).job.parent_id == f"{DAILY}@1"
    assert following.task(11).state == following.task(12).state == TaskState.WATCHING
    assert followed(following, owner="sam") == {}


def test_an_action_that_waits_has_started_nothing_yet(following, oozie):
    oozie.started[DAILY] = [None]
    following.track_jobs(DAILY)
    following.look()

    has_started(oozie, 12)
    following.go_on(70)

    assert followed(following) == {job(12): "RUNNING"}


def test_a_running_coordinator_is_asked_once_a_minute(following, oozie):
    following.track_jobs(DAILY)

    following.go_on(600)

    assert 9 <= len(oozie.asked_children) <= 11
    assert DAILY not in oozie.asked  # one request tells all


def test_many_coordinators_are_asked_over_several_looks(following, oozie):
    coordinators = [job(number, "C") for number in range(100, 180)]
    oozie.has(*(details(each, "RUNNING") for each in coordinators))
    following.track_jobs(*coordinators)
    following.go_on(10)  # their states are new
    oozie.asked_children.clear()
    following.ticks.now += 60

    following.go_on(1)
    at_once = len(oozie.asked_children)
    following.go_on(20)

    assert at_once == 50
    assert sorted(each for each, _ in oozie.asked_children) == coordinators


def test_coordinators_that_cannot_be_asked_keep_nobody_waiting(following, oozie):
    coordinators = [job(number, "C") for number in range(100, 110)]
    oozie.has(*(details(each, "RUNNING") for each in coordinators))
    following.track_jobs(*coordinators)
    following.go_on(60)
    oozie.asked_children.clear()
    oozie.troubles = dict.fromkeys(coordinators, GatewayUnavailable())
    following.ticks.now += 60

    following.go_on(1)

    assert len(oozie.asked_children) == 1


@pytest.mark.parametrize("status", ["RUNNINGWITHERROR", "DONEWITHERROR", "SUCCEEDED", "KILLED"])
def test_a_coordinator_whose_state_changes_is_asked_at_once(following, oozie, status):
    following.track_jobs(DAILY)
    following.look()
    has_started(oozie, 11)
    oozie.has(details(DAILY, status))

    following.look()

    assert followed(following) == {job(11): "RUNNING"}


def test_a_coordinator_that_succeeded_ends_and_its_workflows_go_on(following, oozie):
    has_started(oozie, 11)
    oozie.has(details(DAILY, "SUCCEEDED"))
    following.track_jobs(DAILY)

    following.look()

    assert task_of(following, DAILY).state == TaskState.ENDED
    assert following.is_live(11)
    assert following.kept()  # the credential is still needed


def test_many_actions_are_read_page_by_page_and_those_that_are_settled_once(following, oozie):
    oozie.actions_per_page = 2
    has_started(oozie, *range(11, 16))
    following.track_jobs(DAILY)

    following.look()

    assert len(followed(following)) == 5
    assert oozie.asked_children == [(DAILY, 0), (DAILY, 1), (DAILY, 2)]
    oozie.asked_children.clear()
    has_started(oozie, 16)
    following.go_on(70)
    assert oozie.asked_children == [(DAILY, 2), (DAILY, 3)]
    assert len(followed(following)) == 6


def test_at_its_end_all_pages_of_a_coordinator_are_read_again(following, oozie):
    oozie.actions_per_page = 2
    has_started(oozie, *range(11, 15))
    following.track_jobs(DAILY)
    following.look()
    oozie.started[DAILY][0] = job(21)  # the action was run again, by another workflow
    oozie.has(details(job(21), parent_id=f"{DAILY}@1"), details(DAILY, "SUCCEEDED"))

    following.go_on(10)

    assert job(21) in followed(following)


def test_a_page_with_an_action_that_waits_is_read_again(following, oozie):
    oozie.actions_per_page = 2
    oozie.started[DAILY] = [None]
    has_started(oozie, 12, 13)
    following.track_jobs(DAILY)
    following.look()

    oozie.started[DAILY][0] = job(11)
    oozie.has(details(job(11), parent_id=f"{DAILY}@1"))
    following.go_on(70)

    assert job(11) in followed(following)


def test_workflows_are_asked_about_100_at_a_time(following, oozie):
    has_started(oozie, *range(1000, 1250))
    following.track_jobs(DAILY)

    following.look()

    assert [len(ids) for ids in oozie.bulks] == [1, 100, 100, 50]
    assert len(followed(following)) == 250


def test_a_workflow_that_has_succeeded_before_is_known_and_asked_about_no_more(following, oozie):
    has_started(oozie, 11, status="SUCCEEDED")
    following.track_jobs(DAILY)

    following.go_on(120)

    assert followed(following) == {job(11): "SUCCEEDED"}
    assert following.task(11).state == TaskState.ENDED
    assert oozie.asked == []
    assert oozie.bulks.count([job(11)]) == 1


def test_the_wish_for_all_logs_is_that_of_the_workflows_too(following, oozie):
    has_started(oozie, 11)
    has_started(oozie, 12, status="SUCCEEDED")
    following.track_jobs(DAILY, policy=CopyPolicy.ALL)

    following.look()

    assert following.task(11).copies_always
    assert following.task(12).copies_always
    assert following.is_live(12)


def test_what_the_user_tracks_already_or_no_more_is_left_as_it_is(following, oozie):
    has_started(oozie, 11, 12)
    following.track(11, 12)
    stop(following, job(12))
    following.track_jobs(DAILY, policy=CopyPolicy.ALL)

    following.look()

    assert not following.task(11).copies_always
    assert not following.is_live(12)
    assert list(followed(following)) == [job(11)]


def test_nothing_that_a_stopped_coordinator_starts_is_followed(following, oozie, monkeypatch):
    has_started(oozie, 11)
    following.track_jobs(DAILY)
    ask = oozie.chunk

    def stopped_meanwhile(ids):
        if ids == [job(11)]:
            stop(following, DAILY)
        return ask(ids)

    monkeypatch.setattr(oozie, "chunk", stopped_meanwhile)
    following.look()
    following.go_on(120)

    assert followed(following) == {}


def test_our_own_copy_workflows_are_not_followed(following, oozie):
    has_started(oozie, 11, name="tracker-copy-0123456789abcdef-1")
    has_started(oozie, 12)
    following.track_jobs(DAILY)

    following.look()

    assert list(followed(following)) == [job(12)]


def test_a_workflow_that_oozie_no_longer_has_hides_no_other(following, oozie):
    has_started(oozie, 11, 12)
    del oozie.known[job(11)]
    following.track_jobs(DAILY)

    following.look()

    assert list(followed(following)) == [job(12)]


def test_what_nobody_asked_about_is_not_believed(following, oozie, monkeypatch):
    has_started(oozie, 11)
    oozie.has(details(job(5), parent_id=f"{DAILY}@5"))
    following.track_jobs(DAILY)
    ask = oozie.chunk
    more = {job(5): oozie.known[job(5)].observation}
    monkeypatch.setattr(oozie, "chunk", lambda ids: ask(ids) | more)

    following.look()

    assert list(followed(following)) == [job(11)]


def test_a_transaction_that_is_lost_loses_no_workflow(following, oozie, store):
    has_started(oozie, *range(1000, 1150))
    following.track_jobs(DAILY)
    store.is_broken = True
    following.look()
    assert followed(following) == {}
    store.is_broken = False

    following.go_on(120)

    assert len(followed(following)) == 150


def test_what_was_followed_before_a_crash_is_not_followed_twice(
    following, oozie, store, monkeypatch
):
    has_started(oozie, *range(1000, 1250))
    following.track_jobs(DAILY)
    ask = oozie.chunk

    def breaks_down(ids):
        store.is_broken = job(1100) in ids  # the second hundred
        return ask(ids)

    with monkeypatch.context() as patched:
        patched.setattr(oozie, "chunk", breaks_down)
        following.look()
    assert len(followed(following)) == 100
    store.is_broken = False

    following.go_on(120)

    assert len(followed(following)) == 250
    with store.read() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM tasks").scalar()
    assert count == 251


def test_a_worker_that_has_lost_its_lease_follows_nothing_more(following, oozie, monkeypatch):
    has_started(oozie, 11)
    following.track_jobs(DAILY)
    ask = oozie.chunk

    def lost_meanwhile(ids):
        if ids == [job(11)]:
            following.lose_lease()
        return ask(ids)

    monkeypatch.setattr(oozie, "chunk", lost_meanwhile)
    following.look()

    assert followed(following) == {}


@pytest.mark.parametrize("trouble", [GatewayUnavailable(), AccessDenied("not for you")])
def test_a_coordinator_does_not_end_before_its_workflows_are_known(following, oozie, trouble):
    has_started(oozie, 11)
    oozie.has(details(DAILY, "SUCCEEDED"))
    oozie.troubles[DAILY] = trouble
    following.track_jobs(DAILY)
    following.go_on(3600)
    assert task_of(following, DAILY).state == TaskState.WATCHING

    oozie.troubles.clear()
    following.go_on(700)

    assert task_of(following, DAILY).state == TaskState.ENDED
    assert following.is_live(11)


def test_a_coordinator_that_can_never_be_asked_is_let_go_in_the_end(following, oozie):
    oozie.has(details(DAILY, "SUCCEEDED"))
    oozie.troubles[DAILY] = AccessDenied("not for you")
    following.track_jobs(DAILY)

    following.go_on(8 * 3600)

    assert task_of(following, DAILY).state == TaskState.ENDED


def test_a_coordinator_that_oozie_no_longer_has_is_not_found(following, oozie):
    following.track_jobs(DAILY)
    following.look()
    oozie.left_out = {DAILY}
    oozie.troubles[DAILY] = JobNotFound("purged")

    following.go_on(700)

    assert task_of(following, DAILY).state == TaskState.ENDED
    assert task_of(following, DAILY).reason == "purged"


def test_the_coordinators_of_a_bundle_are_followed_and_so_are_their_workflows(following, oozie):
    oozie.started[ALL] = [DAILY]
    oozie.has(details(DAILY, "RUNNING", parent_id=ALL))
    has_started(oozie, 11)
    following.track_jobs(ALL, policy=CopyPolicy.ALL)

    following.look()
    following.look()

    assert followed(following, of=ALL) == {DAILY: "RUNNING"}
    assert followed(following) == {job(11): "RUNNING"}
    assert following.task(11).copies_always


def test_a_coordinator_that_ended_badly_is_asked_once_more_before_its_task_ends(
    following, oozie, store, identities, now, ticks
):
    oozie.has(details(DAILY, "KILLED"))
    following.track_jobs(DAILY)
    following.look()
    assert task_of(following, DAILY).state == TaskState.COPYING
    completion = Completion(store, identities, AtOnce(), write_manifest, Engine(), now)
    [task] = following.tasks()
    completion.load(task.lease, [task], ticks.now)
    completion.advance()
    has_started(oozie, 11)  # in the very moment of the kill

    ticks.now += 10
    completion.advance()

    assert followed(following) == {job(11): "RUNNING"}
    assert task_of(following, DAILY).state == TaskState.ENDED


def test_a_search_that_lost_its_lease_follows_nothing(following, oozie, store, identities, now):
    oozie.has(details(DAILY, "KILLED"))
    following.track_jobs(DAILY)
    following.look()
    completion = Completion(store, identities, AtOnce(), write_manifest, Engine(), now)
    [task] = following.tasks()
    completion.load(task.lease, [task], 0)
    has_started(oozie, 11)
    following.lose_lease()

    completion.advance()

    assert followed(following) == {}


def test_a_coordinator_tells_what_is_tracked_of_it_the_newest_first(following, oozie, client):
    has_started(oozie, 11, 12, 13)
    following.track_jobs(DAILY)
    following.look()
    stop(following, job(13))
    oozie.has(details(job(12), "KILLED", parent_id=f"{DAILY}@2", run=1))
    following.look()

    told = client.get(f"/api/job/{DAILY}", auth=("guest", "guest-password")).json

    assert told["children"] == [
        {"id": job(12), "status": "KILLED"},
        {"id": job(11), "status": "RUNNING"},
    ]
    untracked = client.get(f"/api/job/{DAILY}", auth=("sam", "sam-password")).json
    assert untracked["children"] == []


def test_a_bundle_tells_its_coordinators_and_a_workflow_nothing(following, oozie, client):
    oozie.started[ALL] = [DAILY]
    oozie.has(details(DAILY, "RUNNING", parent_id=ALL))
    has_started(oozie, 11)
    following.track_jobs(ALL)
    following.look()
    following.look()

    def told(job_id: JobId) -> list[dict[str, str]]:
        return client.get(f"/api/job/{job_id}", auth=("guest", "guest-password")).json["children"]

    assert told(ALL) == [{"id": DAILY, "status": "RUNNING"}]
    assert told(job(11)) == []
