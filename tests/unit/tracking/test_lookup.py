from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.fakes import (
    APP_1,
    APP_2,
    NOW,
    Clock,
    FakeCluster,
    FragileStore,
    action,
    details,
    job,
)
from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import TaskReason
from tracker_service.domain.written_ids import WrittenId
from tracker_service.errors import GatewayUnavailable, JobNotFound
from tracker_service.identities import Caller, Identities
from tracker_service.sources.credentials import BasicCredential
from tracker_service.store import copies, credentials, jobsets, tasks, track_tasks, tracked_jobs
from tracker_service.tracking import outcome
from tracker_service.tracking.intake import Intake
from tracker_service.tracking.lookup import Lookup

RUNNING = details(job(1), "RUNNING", action(job(1), "work", APP_1))
AGAIN = details(job(1), "RUNNING", action(job(1), "work", APP_2), run=1)


@pytest.fixture
def lookup(store: FragileStore, identities: Identities, now: Clock) -> Lookup:
    return Lookup(store, identities, timedelta(hours=24), timedelta(days=7), now)


@pytest.fixture
def guest(identities: Identities) -> Caller:
    return identities.verify(BasicCredential("guest", "guest-password"))


@pytest.fixture
def oozie(fake_cluster: FakeCluster):
    return fake_cluster.oozie


@pytest.fixture
def post(store, identities, now, guest, oozie):
    """Posts one job as Oozie has it."""

    def posted(known) -> None:
        oozie.has(known)
        job_id = known.observation.id
        Intake(store, identities, now).track(guest, [WrittenId(job_id, job_id)])

    return posted


@pytest.fixture
def fail(store, oozie):
    """Lets the job fail, and its logs be saved; the task ends if it is told to."""

    def failed(known, *, ends: bool) -> None:
        oozie.has(known)
        with store.begin() as connection:
            jobsets.claim(connection, "worker", ["track"], 3600, 10)
            [held] = jobsets.held(connection, "worker")
            [task] = track_tasks.live(connection, held.lease)
            task = outcome.next_step(
                connection,
                outcome.record_observation(connection, task, known.observation, NOW),
                NOW,
            )
            for copy in copies.of_tasks(connection, [task.id])[task.id]:
                copies.change(connection, copy, status=CopyStatus.SUCCEEDED)
            if ends:
                outcome.end_task(connection, task, NOW)

    return failed


def test_a_fresh_look_at_a_job_that_was_run_again_shows_the_new_run(lookup, guest, post, oozie):
    post(RUNNING)
    oozie.has(AGAIN)

    view = lookup.job(guest, job(1), refresh=True)

    assert (view.run, view.status, view.applications) == (1, "RUNNING", [APP_2])
    assert lookup.status(guest, job(1)) == "RUNNING"


def test_a_fresh_look_at_a_job_that_was_run_again_tracks_the_new_run(
    lookup, guest, post, oozie, store, fail
):
    post(RUNNING)
    fail(details(job(1), "KILLED"), ends=True)
    oozie.has(AGAIN)

    lookup.status(guest, job(1), refresh=True)

    with store.read() as connection:
        newest, earlier = tracked_jobs.of_job(connection, "guest", job(1))
        assert (newest.job.run, newest.state, earlier.state) == (1, "watching", "ended")
        assert "guest" in credentials.find(connection, ["guest"])


def test_copies_of_earlier_runs_stay_readable(lookup, guest, post, oozie, fail):
    post(RUNNING)
    fail(details(job(1), "KILLED"), ends=True)
    oozie.has(AGAIN)
    lookup.status(guest, job(1), refresh=True)

    found = lookup.copies(guest, job(1))

    assert [copy.application for copy in found.copies] == [APP_1]
    assert found.status == "RUNNING"
    assert not found.is_finished
    assert [c.application for c in lookup.job(guest, job(1)).copies] == [APP_1]


def test_a_fresh_look_at_an_ended_job_tracks_nothing_anew(lookup, guest, post, fail, store):
    post(RUNNING)
    fail(details(job(1), "KILLED", action(job(1), "work", APP_1)), ends=True)

    assert lookup.status(guest, job(1), refresh=True) == "KILLED"

    with store.read() as connection:
        assert not tasks.has_live(connection, "guest")
        assert credentials.find(connection, ["guest"]) == {}


@pytest.mark.parametrize("refresh", [False, True])
def test_a_tracked_job_that_oozie_has_purged_is_told_as_it_is_known(
    lookup, guest, post, oozie, fail, refresh
):
    post(RUNNING)
    fail(details(job(1), "KILLED"), ends=True)
    oozie.known.clear()

    view = lookup.job(guest, job(1), refresh=refresh)

    assert (view.status, view.applications) == ("KILLED", [APP_1])
    assert lookup.status(guest, job(1), refresh=refresh) == "KILLED"
    assert lookup.copies(guest, job(1)).is_finished


def test_a_job_that_is_neither_tracked_nor_known_to_oozie_is_not_found(lookup, guest):
    for ask in (lookup.status, lookup.job, lookup.copies):
        with pytest.raises(JobNotFound):
            ask(guest, job(9))


def test_while_oozie_is_away_only_a_fresh_look_is_refused(lookup, guest, post, oozie, now):
    post(RUNNING)
    oozie.is_down = True
    now.advance(minutes=5)

    assert lookup.job(guest, job(1)).status == "RUNNING"
    with pytest.raises(GatewayUnavailable):
        lookup.job(guest, job(1), refresh=True)


def test_actions_of_a_running_job_are_asked_for_again_after_a_while(
    lookup, guest, post, oozie, now
):
    post(RUNNING)
    oozie.asked.clear()

    lookup.job(guest, job(1))
    now.advance(seconds=30)
    lookup.job(guest, job(1))
    assert oozie.asked == []

    now.advance(seconds=1)
    lookup.job(guest, job(1))
    assert oozie.asked == [job(1)]


def test_copying_is_finished_when_the_task_has_ended(lookup, guest, post, fail):
    post(RUNNING)
    assert not lookup.copies(guest, job(1)).is_finished

    fail(details(job(1), "KILLED"), ends=False)
    assert not lookup.copies(guest, job(1)).is_finished

    fail(details(job(1), "KILLED"), ends=True)
    assert lookup.copies(guest, job(1)).is_finished


def test_of_a_job_that_has_started_nothing_yet_there_is_nothing_to_copy(lookup, guest, post):
    post(details(job(1), "PREP"))

    found = lookup.copies(guest, job(1))

    assert found.is_finished
    assert "the job is PREP" in found.why_none


def test_posting_again_revives_a_task_that_ended_with_a_reason(
    lookup, guest, post, store, oozie, fail
):
    post(RUNNING)
    with store.begin() as connection:
        jobsets.claim(connection, "worker", ["track"], 3600, 10)
        [held] = jobsets.held(connection, "worker")
        [task] = track_tasks.live(connection, held.lease)
        outcome.end_task(connection, task, NOW, Reason(TaskReason.JOB_GONE, "gone"))

    post(RUNNING)

    with store.read() as connection:
        [revived] = tracked_jobs.of_job(connection, "guest", job(1))
        assert (revived.state, revived.reason) == ("watching", None)
        assert "guest" in credentials.find(connection, ["guest"])
