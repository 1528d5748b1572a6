"""Jobs of which somebody says that they have changed are looked at at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.unit.fakes import NOW, FakeOozie, details, job
from tests.unit.held import Following
from tracker_service.domain.jobs import JobId
from tracker_service.store import hints, jobsets
from tracker_service.tracking.hints import Hints
from tracker_service.tracking.reruns import Reruns


@pytest.fixture
def oozie(fake_cluster) -> FakeOozie:
    return fake_cluster.oozie


class Hinting:
    """A worker that has just looked at its jobs, and takes hints."""

    def __init__(self, following: Following, oozie: FakeOozie, taker: Hints) -> None:
        self.following, self.oozie, self._taker = following, oozie, taker

    def running(self, *numbers: int, owner: str = "guest", letter: str = "W") -> None:
        """Track running jobs, and look at them once."""
        ids = [job(number, letter) for number in numbers]
        self.oozie.has(*(details(each) for each in ids))
        self.following.track_jobs(*ids, owner=owner, password=f"{owner}-password")
        self.sweep()
        self.oozie.bulks.clear()

    def hint(self, number: int, owner: str = "guest", letter: str = "W") -> None:
        with self.following.store.begin() as connection:
            meant = hints.tasks_to_hint(connection, owner, job(number, letter))
            hints.add(connection, meant, NOW)

    def left(self) -> int:
        """Return how many hints nobody has taken."""
        with self.following.store.read() as connection:
            return int(connection.scalar(text("SELECT count(*) FROM hints")) or 0)

    def follow(self, worker: str = "worker") -> None:
        with self.following.store.read() as connection:
            leases = [held.lease for held in jobsets.held(connection, worker)]
        self._taker.follow(worker, leases, self.following.ticks.now)
        self.sweep()

    def sweep(self) -> None:
        self.following.poller.sweep()

    def pass_by(self, seconds: float) -> list[list[JobId]]:
        """Run the duties of a worker for some time, and return the requests to Oozie meanwhile."""
        self.oozie.bulks.clear()
        end = self.following.ticks.now + seconds
        while self.following.ticks.now < end:
            self.following.ticks.now += 0.2
            self.follow()
        return list(self.oozie.bulks)


@pytest.fixture
def hinting(following: Following, reruns: Reruns, oozie: FakeOozie) -> Hinting:
    following.schedule._interval_s = following.schedule._max_interval_s = 60.0
    return Hinting(following, oozie, Hints(following.store, following.schedule, reruns))


def test_a_job_that_was_hinted_at_is_looked_at_long_before_its_time(hinting):
    hinting.running(1)
    hinting.oozie.has(details(job(1), "SUCCEEDED"))

    hinting.hint(1)
    hinting.follow()

    assert hinting.following.state(1) == "SUCCEEDED"
    assert hinting.left() == 0


def test_without_a_hint_nothing_is_asked_and_nothing_written(hinting):
    hinting.running(1)
    hinting.following.store.is_broken = True  # for whoever writes

    assert hinting.pass_by(5) == []


def test_a_hint_without_news_asks_again_after_one_second_and_after_three_more(hinting):
    hinting.running(1)

    hinting.hint(1)
    hinting.follow()
    assert len(hinting.oozie.bulks) == 1

    assert hinting.pass_by(0.8) == []
    assert len(hinting.pass_by(0.4)) == 1
    assert hinting.pass_by(2.6) == []
    assert len(hinting.pass_by(0.6)) == 1
    assert hinting.pass_by(20) == []


def test_a_change_that_others_see_only_after_the_notification_is_known_a_second_later(hinting):
    hinting.running(1)
    hinting.hint(1)
    hinting.follow()
    hinting.oozie.has(details(job(1), "SUCCEEDED"))

    hinting.pass_by(1.2)

    assert hinting.following.state(1) == "SUCCEEDED"


def test_after_news_nothing_more_is_asked(hinting):
    hinting.running(1)
    hinting.oozie.has(details(job(1), "SUSPENDED"))
    hinting.hint(1)
    hinting.follow()

    assert hinting.following.state(1) == "SUSPENDED"
    assert hinting.pass_by(20) == []


def test_a_coordinator_that_was_hinted_at_is_asked_what_it_has_started(hinting):
    hinting.running(7, letter="C")
    asked = len(hinting.oozie.asked_children)

    hinting.hint(7, letter="C")
    hinting.follow()

    assert len(hinting.oozie.asked_children) == asked + 1


def test_hints_at_the_jobs_of_another_worker_stay_for_that_one(hinting):
    hinting.running(1)
    hinting.hint(1)

    hinting.follow("another")
    assert hinting.left() == 1

    hinting.follow()
    assert hinting.left() == 0


def test_a_hint_at_a_job_that_nobody_holds_waits_for_its_holder(hinting):
    hinting.running(1)
    with hinting.following.store.begin() as connection:
        jobsets.release(connection, "worker")
    hinting.hint(1)

    hinting.follow()

    assert hinting.left() == 1


def test_a_hint_at_a_job_that_is_held_but_not_loaded_yet_waits_until_it_is(hinting):
    hinting.running(1)
    jobset = hinting.following.tasks()[0].lease.jobset_id
    hinting.following.schedule.drop(jobset)
    hinting.hint(1)

    hinting.follow()
    assert hinting.left() == 1

    hinting.following.load()
    hinting.follow()
    assert hinting.left() == 0


def test_while_a_users_jobs_cannot_be_asked_about_hints_ask_no_oftener(hinting):
    hinting.running(1)
    hinting.oozie.is_down = True
    hinting.hint(1)
    hinting.follow()
    assert len(hinting.oozie.bulks) <= 1

    for _ in range(5):
        hinting.hint(1)
        assert hinting.pass_by(1) == []


def test_a_run_that_was_begun_after_the_end_is_followed_soon_after_the_hint(hinting):
    hinting.running(1, 2, 3)
    for number in (1, 2):
        hinting.oozie.has(details(job(number), "SUCCEEDED"))
        hinting.hint(number)
    hinting.follow()
    assert not hinting.following.is_live(1)
    hinting.oozie.has(details(job(1), "RUNNING", run=1))

    hinting.hint(1)
    asked = hinting.pass_by(1.4)

    assert asked == [[job(1)]]
    assert hinting.following.is_live(1)
    assert hinting.following.task(1).job.run == 1
    assert hinting.left() == 0


def test_a_hint_at_an_ended_job_of_a_user_for_whom_nobody_can_ask_stays_until_it_is_tidied(
    hinting,
):
    hinting.running(1)
    hinting.oozie.has(details(job(1), "SUCCEEDED"))
    hinting.hint(1)
    hinting.follow()
    hinting.hint(1)

    assert hinting.pass_by(3) == []
    assert hinting.left() == 1
    with hinting.following.store.begin() as connection:
        hints.forget_ended(connection, NOW + timedelta(minutes=1))
    assert hinting.left() == 0
