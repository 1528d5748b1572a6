from __future__ import annotations

import random
from datetime import timedelta

import pytest

from tests.unit.fakes import NOW, job
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TaskState, TrackTask
from tracker_service.engine.timetable import Batch
from tracker_service.tracking.schedule import JobEntry, Schedule

FIRST, SECOND = Lease(jobset_id=1, epoch=1), Lease(jobset_id=2, epoch=1)
INTERVAL, LONGEST = 5.0, 60.0


def task(number: int, lease: Lease = FIRST, owner: str = "guest", **more) -> TrackTask:
    values = {"state": TaskState.WATCHING, "status": JobStatus.RUNNING, "began_at": NOW}
    return TrackTask(
        id=number,
        owner=owner,
        lease=lease,
        job_key=number,
        job_id=job(number),
        run=0,
        **{"observed_at": None, **values, **more},
    )


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(INTERVAL, LONGEST, random.Random(7))


def take(schedule: Schedule, now: float, owner: str = "guest") -> Batch[JobEntry]:
    """Take what is due of all; return the batch of one user."""
    [batch] = [each for each in schedule.take_due(now, 8) if each.asked_as == owner]
    return batch


def taken(schedule: Schedule, now: float) -> dict[str, list[int]]:
    return {
        batch.asked_as: sorted(entry.task.id for entry in batch.entries)
        for batch in schedule.take_due(now, 8)
    }


def look(schedule: Schedule, now: float, *, at=NOW, owner: str = "guest") -> None:
    """Take what is due, get an answer about all of it, and give it back."""
    batch = take(schedule, now, owner)
    for entry in batch.entries:
        schedule.note_look(entry, at, now)
    schedule.give_back(batch, now)


def test_what_was_seen_when_it_was_posted_is_not_asked_about_again_at_once(schedule):
    schedule.load(FIRST, [task(1, observed_at=NOW)], 100, NOW + timedelta(seconds=1))

    assert taken(schedule, 100) == {}
    assert taken(schedule, 100 + INTERVAL - 1) == {"guest": [1]}


def test_what_was_seen_long_ago_is_due_at_once(schedule):
    schedule.load(FIRST, [task(1, observed_at=NOW)], 100, NOW + timedelta(minutes=1))

    assert taken(schedule, 100) == {"guest": [1]}


def test_a_job_that_ended_meanwhile_is_due_at_once(schedule):
    ended = task(1, observed_at=NOW, status=JobStatus.KILLED)

    schedule.load(FIRST, [ended], 100, NOW)

    assert taken(schedule, 100) == {"guest": [1]}


def test_nothing_is_due_before_its_time(schedule):
    schedule.load(FIRST, [task(1)], 100, NOW)
    look(schedule, 100)

    assert taken(schedule, 100 + 0.69 * INTERVAL) == {}
    assert taken(schedule, 100 + 0.91 * INTERVAL) == {"guest": [1]}


def test_each_look_comes_before_the_interval_is_over(schedule):
    for now in range(0, 1000, 10):
        schedule.load(FIRST, [task(1)], now, NOW)
        look(schedule, now)

        assert take(schedule, now + INTERVAL)
        schedule.drop(FIRST.jobset_id)


def test_what_soon_will_be_due_fills_the_requests(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    look(schedule, 0)
    schedule.load(SECOND, [task(2, SECOND)], 2.4, NOW)

    assert taken(schedule, 2.4) == {"guest": [1, 2]}


def test_what_is_far_from_due_is_not_taken_early(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    look(schedule, 0)
    schedule.load(SECOND, [task(2, SECOND)], 0.5, NOW)

    assert taken(schedule, 0.5) == {"guest": [2]}


def test_failures_make_the_pause_longer_up_to_the_longest(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    now = 0.0
    for longest in (10, 20, 40, 60, 60, 60):
        schedule.give_back(take(schedule, now), now, failed=True)

        assert schedule.take_due(now + 0.69 * longest, 8) == []
        now += longest


def test_a_job_that_makes_trouble_is_looked_at_later_and_later(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    batch = take(schedule, 0)
    [entry] = batch.entries
    pauses = []
    for _ in range(9):
        schedule.back_off(entry, 0)
        pauses.append(entry.due)

    for pause, longest in zip(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600], strict=True):
        assert 0.7 * longest <= pause <= longest


def test_a_job_may_make_trouble_for_weeks(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    batch = take(schedule, 0)
    [entry] = batch.entries

    for _ in range(2000):
        schedule.back_off(entry, 0)

    assert entry.due <= 600


def test_trouble_with_one_job_holds_no_other_back(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    batch = take(schedule, 0)
    first, second = batch.entries
    schedule.back_off(first, 0)
    schedule.note_look(second, NOW, 0)
    schedule.give_back(batch, 0)

    assert taken(schedule, INTERVAL - 0.5) == {"guest": [2]}


def test_the_older_a_job_the_less_often_it_is_looked_at(schedule):
    pauses = []
    for hours in (0, 1, 4, 12, 1000):
        schedule.load(FIRST, [task(1)], 0, NOW)
        batch = take(schedule, 0)
        [entry] = batch.entries
        schedule.note_look(entry, NOW + timedelta(hours=hours), now=0)
        schedule.give_back(batch, 0)
        schedule.load(FIRST, [], 0, NOW)
        pauses.append(entry.due)

    for pause, longest in zip(pauses, [5, 5, 20, 60, 60], strict=True):
        assert 0.7 * longest <= pause <= 0.9 * longest


def test_a_job_from_the_future_is_looked_at_as_a_young_one(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    batch = take(schedule, 0)
    [entry] = batch.entries

    schedule.note_look(entry, NOW - timedelta(hours=5), now=0)

    assert 0.7 * INTERVAL <= entry.due <= 0.9 * INTERVAL


def test_a_jobset_is_as_fresh_as_its_longest_unseen_job(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    schedule.load(SECOND, [task(3, SECOND)], 0, NOW)
    batch = take(schedule, 0)
    one, two, three = batch.entries
    schedule.note_look(one, NOW, 0)
    schedule.note_look(two, NOW - timedelta(seconds=9), 0)
    schedule.note_look(three, NOW, 0)

    schedule.give_back(batch, 0)

    assert schedule.unnoted_looks() == {FIRST: NOW - timedelta(seconds=9), SECOND: NOW}


def test_of_a_jobset_with_an_unseen_job_nothing_is_claimed(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    batch = take(schedule, 0)
    one, _ = batch.entries
    schedule.note_look(one, NOW, 0)
    schedule.give_back(batch, 0)

    assert schedule.unnoted_looks() == {}


def test_jobs_that_have_ended_do_not_make_a_jobset_old(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    batch = take(schedule, 0)
    watched, ended = batch.entries
    schedule.note_look(watched, NOW, 0)
    schedule.end(ended)
    schedule.give_back(batch, 0)

    assert schedule.unnoted_looks() == {FIRST: NOW}


def test_what_was_written_down_is_news_again_after_the_next_sweep(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    look(schedule, 0)
    schedule.mark_noted(schedule.unnoted_looks())
    look(schedule, 5, at=NOW + timedelta(seconds=1))
    assert schedule.unnoted_looks() == {}

    look(schedule, 10, at=NOW + timedelta(seconds=5))

    assert schedule.unnoted_looks() == {FIRST: NOW + timedelta(seconds=5)}


def test_what_could_not_be_written_down_stays_news(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    look(schedule, 0)
    schedule.unnoted_looks()

    assert schedule.unnoted_looks() == {FIRST: NOW}


def test_one_identity_may_ask_for_all_users():
    schedule = Schedule(INTERVAL, LONGEST, random.Random(7), asked_as=lambda _: "service")
    schedule.load(FIRST, [task(1), task(2, owner="sam")], 0, NOW)

    assert taken(schedule, 0) == {"service": [1, 2]}


def test_a_coordinator_that_is_hastened_is_asked_what_it_has_started(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    batch = take(schedule, 0)
    batch.entries[0].details_at = 0.0
    schedule.give_back(batch, 0)

    schedule.hasten([1])

    assert take(schedule, 0).entries[0].details_at == float("-inf")


def test_the_watched_tasks_are_told_as_they_stand_now(schedule):
    schedule.load(FIRST, [task(1), task(2), task(3)], 0, NOW)
    one, two, _ = take(schedule, 0).entries
    one.task = task(1, status=JobStatus.SUSPENDED)
    schedule.end(two)

    assert schedule.watched([1, 2, 99]) == {1: task(1, status=JobStatus.SUSPENDED)}
