"""Actions of coordinators that are tracked until they have started their workflows."""

from __future__ import annotations

import pytest

from tests.unit.fakes import NOW, AtOnce, Engine, FakeOozie, details, job
from tests.unit.held import Following
from tracker_service.archive.manifest import write_manifest
from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.jobs import JobId
from tracker_service.domain.tasks import TaskState
from tracker_service.store import tracked_jobs
from tracker_service.tracking.completion import Completion

ACTION = JobId(f"{job(1, 'C')}@3")


@pytest.fixture
def oozie(fake_cluster) -> FakeOozie:
    fake_cluster.oozie.has(details(ACTION, "WAITING"))
    fake_cluster.oozie.started[ACTION] = [None]
    return fake_cluster.oozie


def starts(oozie: FakeOozie, status: str = "RUNNING") -> None:
    """Start the workflow of the action."""
    oozie.has(details(ACTION, status), details(job(11), "RUNNING", parent_id=ACTION))
    oozie.started[ACTION] = [job(11)]


def states(following: Following) -> dict[str, tuple[str, TaskState]]:
    """Return the state of each tracked job and of its task."""
    listing = tracked_jobs.Listing(owner="guest", since=NOW)
    with following.store.read() as connection:
        return {
            task.job.id: (task.job.status, task.state)
            for task in tracked_jobs.listed(connection, listing)
        }


def test_the_workflow_is_tracked_once_the_action_has_started_it(following, oozie):
    following.track_jobs(ACTION)
    following.look()
    assert states(following) == {ACTION: ("WAITING", TaskState.WATCHING)}

    starts(oozie)
    following.go_on(70)

    assert states(following) == {
        ACTION: ("RUNNING", TaskState.WATCHING),
        job(11): ("RUNNING", TaskState.WATCHING),
    }


def test_what_was_wanted_of_the_action_is_wanted_of_its_workflow(following, oozie):
    following.track_jobs(ACTION, policy=CopyPolicy.ALWAYS)
    following.look()

    starts(oozie)
    following.go_on(70)

    assert all(task.copies_always for task in following.tasks())


def test_an_action_whose_workflow_succeeded_is_followed_no_more(following, oozie):
    following.track_jobs(ACTION)
    following.look()

    starts(oozie, "SUCCEEDED")
    following.go_on(70)

    assert states(following)[ACTION] == ("SUCCEEDED", TaskState.ENDED)
    assert states(following)[job(11)] == ("RUNNING", TaskState.WATCHING)


@pytest.mark.parametrize("status", ["TIMEDOUT", "SKIPPED", "KILLED", "FAILED"])
def test_the_task_of_an_action_that_starts_no_workflow_ends_with_it(
    following, oozie, store, identities, now, ticks, status
):
    completion = Completion(store, identities, AtOnce(), write_manifest, Engine(), now)
    oozie.has(details(ACTION, status))
    following.track_jobs(ACTION)
    following.look()

    [task] = following.tasks()
    completion.load(task.lease, [task], ticks.now)
    completion.advance()
    ticks.now += 10
    completion.advance()

    assert states(following)[ACTION] == (status, TaskState.ENDED)
