from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import pytest
from fakes import (
    APP_1,
    APP_2,
    NOW,
    AtOnce,
    Clock,
    FakeCluster,
    action,
    details,
    job,
    known_bug,
    seen,
)

from tracker_service.domain.jobs import JobId
from tracker_service.domain.tasks import CopyStatus
from tracker_service.errors import AccessDenied, GatewayUnavailable, RequestRefused
from tracker_service.identities import Identities
from tracker_service.store import copies, credentials, jobs, jobsets, tasks
from tracker_service.store.credentials import Seal
from tracker_service.store.engine import Store
from tracker_service.tracking import poller as poller_module
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.schedule import Schedule

FAILED = details(job(1), "KILLED", action(job(1), "work", APP_1))


@dataclass
class Following:
    """A poller of one worker, and what the tests ask about it."""

    store: Store
    cluster: FakeCluster
    poller: Poller
    schedule: Schedule
    seal: Seal

    def track(self, *numbers: int, owner: str = "guest", password: str = "guest-password") -> None:
        with self.store.begin() as connection:
            kept = jobs.record(connection, [seen(job(n), "UNKNOWN") for n in numbers])
            tasks.track(connection, owner, owner, list(kept.values()), NOW)
            credentials.keep(connection, owner, self.seal.close(owner, password), NOW)
            jobsets.claim(connection, "worker", 3600, 10)
        self.load()

    def load(self) -> None:
        """Load all anew, which makes all due."""
        with self.store.read() as connection:
            for held in jobsets.held(connection, "worker"):
                self.schedule.drop(held.lease.jobset_id)
                live = tasks.live(connection, held.lease)
                self.schedule.load(held.lease, live, time.monotonic(), NOW + timedelta(hours=1))

    def look(self) -> None:
        self.load()
        self.poller.sweep()

    def state(self, number: int) -> str:
        with self.store.read() as connection:
            return jobs.latest(connection, [job(number)])[job(number)].status

    def task(self, number: int, owner: str = "guest") -> tasks.TrackedJob:
        with self.store.read() as connection:
            found = tasks.of_job(connection, owner, JobId(job(number)))
        assert found
        return found

    def copies(self, number: int) -> list[str]:
        task_id = self.task(number).task_id
        with self.store.read() as connection:
            return [copy.application for copy in copies.of_tasks(connection, [task_id])[task_id]]

    def save_all(self, number: int) -> None:
        task_id = self.task(number).task_id
        with self.store.begin() as connection:
            for copy in copies.of_tasks(connection, [task_id])[task_id]:
                copies.change(connection, copy, status=CopyStatus.SUCCEEDED)

    def kept(self, owner: str = "guest"):
        with self.store.read() as connection:
            return credentials.find(connection, [owner]).get(owner)


@pytest.fixture
def following(
    store: Store, identities: Identities, fake_cluster: FakeCluster, seal: Seal, now: Clock
) -> Following:
    schedule = Schedule(5, 60, random.Random(7))
    poller = Poller(store, identities, schedule, AtOnce(), now)
    return Following(store, fake_cluster, poller, schedule, seal)


@pytest.fixture
def oozie(fake_cluster: FakeCluster):
    return fake_cluster.oozie


def test_what_a_bulk_answer_says_is_recorded_at_once(following, oozie):
    following.track(1, 2)
    oozie.has(details(job(1), "RUNNING"), details(job(2), "SUSPENDED"))
    oozie.troubles = {job(1): GatewayUnavailable(), job(2): GatewayUnavailable()}

    following.look()

    assert oozie.bulks == [[job(1), job(2)]]
    assert (following.state(1), following.state(2)) == ("RUNNING", "SUSPENDED")


def test_nothing_is_asked_about_a_job_that_is_not_due(following, oozie):
    following.track(1)
    oozie.has(details(job(1)))
    following.look()

    following.poller.sweep()

    assert len(oozie.bulks) == 1


def test_a_job_that_succeeded_ends_its_task(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "SUCCEEDED", action(job(1), "work", APP_1)))

    following.look()

    assert following.task(1).state == "ended"
    assert following.copies(1) == []


def test_a_job_that_failed_has_its_logs_copied(following, oozie):
    following.track(1)
    oozie.has(FAILED)

    following.look()

    assert following.task(1).state == "copying"
    assert following.copies(1) == [APP_1]


def test_with_the_last_task_the_credential_is_erased(following, oozie):
    following.track(1, 2)
    oozie.has(details(job(1), "SUCCEEDED"), details(job(2), "RUNNING"))

    following.look()
    assert following.kept()

    oozie.has(details(job(2), "SUCCEEDED"))
    following.look()
    assert following.kept() is None


def test_while_logs_are_copied_the_credential_stays(following, oozie):
    following.track(1)
    oozie.has(FAILED)

    following.look()
    following.look()

    assert following.kept()


def test_when_all_logs_are_saved_the_task_ends(following, oozie):
    following.track(1)
    oozie.has(FAILED)
    following.look()
    following.save_all(1)

    following.look()

    assert following.task(1).state == "ended"


def test_an_application_that_turns_up_late_is_copied_too(following, oozie):
    following.track(1)
    oozie.has(FAILED)
    following.look()
    following.save_all(1)
    more = [action(job(1), "work", APP_1), action(job(1), "more", APP_2)]
    oozie.has(details(job(1), "KILLED", *more))

    following.look()

    assert following.task(1).state == "copying"
    assert following.copies(1) == [APP_1, APP_2]


def test_while_the_resource_manager_is_away_no_task_ends_for_good(following, oozie, fake_cluster):
    following.track(1)
    oozie.has(FAILED)
    following.look()
    following.save_all(1)
    fake_cluster.yarn.trouble = GatewayUnavailable()

    following.look()

    assert following.task(1).state == "copying"


def test_a_job_that_oozie_no_longer_has_ends_its_task(following, oozie):
    following.track(1)

    following.look()

    assert oozie.asked == [job(1)]
    assert following.state(1) == "NOT_FOUND"
    assert following.task(1).state == "ended"
    assert following.task(1).reason


def test_a_job_that_is_only_missing_in_the_bulk_answer_is_not_lost(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    oozie.left_out = {job(1)}

    following.look()

    assert following.state(1) == "RUNNING"
    assert following.task(1).state == "watching"


def test_while_oozie_is_away_no_job_is_lost(following, oozie):
    following.track(1)
    oozie.is_down = True

    following.look()

    assert following.state(1) == "UNKNOWN"
    assert following.task(1).state == "watching"


def test_what_is_known_of_a_job_outlives_its_loss(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "KILLED"))
    following.look()
    del oozie.known[job(1)]

    following.look()

    assert following.state(1) == "KILLED"


@known_bug("_change() writes all columns of an observation, and NOT_FOUND has none of them")
def test_a_lost_job_keeps_its_name_and_its_owner(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "RUNNING", name="daily"))
    following.look()
    del oozie.known[job(1)]

    following.look()

    assert (following.task(1).job.name, following.task(1).job.user) == ("daily", "guest")


@pytest.mark.parametrize(
    "trouble",
    [
        GatewayUnavailable(),
        *(
            pytest.param(error, marks=known_bug("only GatewayUnavailable puts one job off"))
            for error in (AccessDenied(), RequestRefused(), KeyError("id"))
        ),
    ],
)
def test_a_job_whose_details_cannot_be_had_does_not_block_others(
    following, oozie, trouble, monkeypatch
):
    seconds = itertools.count(time.monotonic())
    monkeypatch.setattr(poller_module, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    following.track(1, 2, 3)
    oozie.has(FAILED, details(job(2), "SUCCEEDED"), details(job(3), "SUCCEEDED"))
    oozie.troubles[job(1)] = trouble

    for _ in range(30):
        following.poller.sweep()

    assert (following.task(2).state, following.task(3).state) == ("ended", "ended")
    assert following.task(1).state == "watching"


def test_trouble_of_one_user_does_not_stop_another(following, oozie):
    following.track(1, password="wrong")
    following.track(2, owner="sam", password="sam-password")
    oozie.has(FAILED, details(job(2), "SUCCEEDED"))
    oozie.troubles[job(1)] = RuntimeError("broken")

    following.look()

    assert following.task(2, "sam").state == "ended"


def test_after_its_lease_is_lost_a_worker_writes_nothing(following, oozie, store):
    following.track(1, 2, 3)
    oozie.has(FAILED, details(job(2), "SUCCEEDED"))
    following.load()
    with store.begin() as connection:
        jobsets.release(connection, "worker")
        jobsets.claim(connection, "another", 3600, 10)

    following.poller.sweep()

    assert [following.state(n) for n in (1, 2, 3)] == ["UNKNOWN"] * 3
    assert [following.task(n).state for n in (1, 2, 3)] == ["watching"] * 3
    assert following.schedule.leases == {}


def test_a_sweep_is_noted_once_all_jobs_were_looked_at(following, oozie):
    following.track(1, 2)
    oozie.has(details(job(1)), details(job(2)))

    following.look()

    assert following.task(1).polled_at == NOW


def test_a_task_follows_its_job_into_the_next_run(following, oozie):
    following.track(1)
    oozie.has(FAILED)
    following.look()
    oozie.has(details(job(1), "RUNNING", run=1))
    following.save_all(1)

    following.look()

    assert following.task(1).state == "watching"
    assert following.task(1).job.run == 1


@known_bug("after follow_run() has ended a task, _next_step() wakes it as COPYING, without jobset")
def test_a_task_whose_next_run_is_tracked_too_ends_for_good(following, oozie, store):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    following.look()
    with store.begin() as connection:  # run again and posted again
        kept = jobs.record(connection, [seen(job(1), "RUNNING", run=1)])
        tasks.track(connection, "guest", "guest", list(kept.values()), NOW)
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1), run=1))

    following.look()

    with store.read() as connection:
        states = {each.job.run: each.state for each in tasks.listed(connection, "guest", NOW)}
    assert states == {0: "ended", 1: "copying"}


def test_a_user_without_a_credential_is_told_so(following, oozie, store):
    following.track(1)
    with store.begin() as connection:
        connection.exec_driver_sql("DELETE FROM credentials")

    following.look()

    assert "post the job again" in following.task(1).reason
    assert oozie.bulks == []
