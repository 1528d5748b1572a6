from __future__ import annotations

import random
from datetime import timedelta

import pytest
from fakes import NOW, job

from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.tasks import Lease, TaskState, TrackTask
from tracker_service.tracking.schedule import Schedule

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


def taken(schedule: Schedule, now: float) -> dict[str, list[int]]:
    due = schedule.take_due(now)
    return {owner: sorted(entry.task.id for entry in entries) for owner, entries in due.items()}


def look(schedule: Schedule, now: float, *, at=NOW, owner: str = "guest") -> None:
    """Take what is due, get an answer about all of it, and give it back."""
    for entry in schedule.take_due(now)[owner]:
        schedule.looked(entry, at, now)
    schedule.give_back(owner, now)


def test_what_was_just_loaded_is_due_at_once(schedule):
    schedule.load(FIRST, [task(1), task(2, owner="sam")], 100, NOW)

    assert taken(schedule, 100) == {"guest": [1], "sam": [2]}


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

        assert taken(schedule, now + INTERVAL) == {"guest": [1]}
        schedule.give_back("guest", now + INTERVAL)


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


def test_a_user_who_is_being_looked_at_is_left_out(schedule):
    schedule.load(FIRST, [task(1), task(2, owner="sam")], 0, NOW)
    schedule.take_due(0)
    schedule.give_back("sam", 0)

    assert set(taken(schedule, 100)) == {"sam"}


def test_failures_make_the_pause_longer_up_to_the_longest(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    now, pauses = 0.0, []
    for _ in range(6):
        [entry] = schedule.take_due(now)["guest"]
        schedule.give_back("guest", now, failed=True)
        pauses.append(entry.due - now)
        now = entry.due

    for pause, longest in zip(pauses, [10, 20, 40, 60, 60, 60], strict=True):
        assert 0.7 * longest <= pause <= longest


def test_a_failure_holds_all_tasks_of_the_user_back(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    schedule.take_due(0)

    schedule.give_back("guest", 0, failed=True)

    assert taken(schedule, 6.9) == {}


def test_a_failure_of_one_user_holds_no_other_back(schedule):
    schedule.load(FIRST, [task(1), task(2, owner="sam")], 0, NOW)
    schedule.take_due(0)

    schedule.give_back("guest", 0, failed=True)
    schedule.give_back("sam", 0)

    assert taken(schedule, 1) == {"sam": [2]}


def test_after_a_success_the_pauses_begin_short_again(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    for now in (0, 100, 200):
        schedule.take_due(now)
        schedule.give_back("guest", now, failed=True)
    schedule.take_due(300)
    schedule.give_back("guest", 300)

    [entry] = schedule.take_due(400)["guest"]
    schedule.give_back("guest", 400, failed=True)

    assert entry.due <= 410


def test_an_outage_may_last_for_days(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)

    for number in range(1100):
        schedule.take_due(100.0 * number)
        schedule.give_back("guest", 100.0 * number, failed=True)

    assert taken(schedule, 100 * 1099 + 1) == {}


def test_loading_again_keeps_the_due_times(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    look(schedule, 0)

    schedule.load(FIRST, [task(1), task(2)], 1, NOW)

    assert taken(schedule, 1) == {"guest": [2]}


def test_what_the_store_no_longer_has_is_forgotten(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)

    schedule.load(FIRST, [task(2)], 0, NOW)

    assert taken(schedule, 0) == {"guest": [2]}


def test_a_task_that_was_loaded_while_its_user_is_looked_at_is_not_lost(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    [entry] = schedule.take_due(0)["guest"]
    schedule.load(SECOND, [task(2, SECOND)], 0, NOW)
    schedule.end(entry)
    schedule.give_back("guest", 0)

    assert taken(schedule, 0) == {"guest": [2]}


def test_a_dropped_jobset_takes_its_tasks_along(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    schedule.load(SECOND, [task(2, SECOND)], 0, NOW)

    schedule.drop(1)

    assert taken(schedule, 0) == {"guest": [2]}


def test_dropping_what_is_not_held_does_nothing(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)

    schedule.drop(99)

    assert taken(schedule, 0) == {"guest": [1]}


def test_a_new_epoch_replaces_the_lease(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    newer = Lease(jobset_id=1, epoch=2)

    schedule.load(newer, [task(1, newer)], 0, NOW)

    [entry] = schedule.take_due(0)["guest"]
    assert entry.task.lease == newer


def test_a_job_that_makes_trouble_is_looked_at_later_and_later(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    [entry] = schedule.take_due(0)["guest"]
    pauses = []
    for _ in range(9):
        schedule.trouble(entry, 0)
        pauses.append(entry.due)

    for pause, longest in zip(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600], strict=True):
        assert 0.7 * longest <= pause <= longest


def test_a_job_may_make_trouble_for_weeks(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    [entry] = schedule.take_due(0)["guest"]

    for _ in range(2000):
        schedule.trouble(entry, 0)

    assert entry.due <= 600


def test_trouble_with_one_job_holds_no_other_back(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    first, second = schedule.take_due(0)["guest"]
    schedule.trouble(first, 0)
    schedule.looked(second, NOW, 0)
    schedule.give_back("guest", 0)

    assert taken(schedule, INTERVAL - 0.5) == {"guest": [2]}


def test_an_ended_task_is_not_taken_again(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    [entry] = schedule.take_due(0)["guest"]

    schedule.end(entry)
    schedule.give_back("guest", 0)

    assert taken(schedule, 1000) == {}


def test_the_older_a_job_the_less_often_it_is_looked_at(schedule):
    pauses = []
    for hours in (0, 1, 4, 12, 1000):
        schedule.load(FIRST, [task(1)], 0, NOW)
        [entry] = schedule.take_due(0)["guest"]
        schedule.looked(entry, NOW + timedelta(hours=hours), now=0)
        schedule.give_back("guest", 0)
        schedule.load(FIRST, [], 0, NOW)
        pauses.append(entry.due)

    for pause, longest in zip(pauses, [5, 5, 20, 60, 60], strict=True):
        assert 0.7 * longest <= pause <= 0.9 * longest


def test_a_job_from_the_future_is_looked_at_as_a_young_one(schedule):
    schedule.load(FIRST, [task(1)], 0, NOW)
    [entry] = schedule.take_due(0)["guest"]

    schedule.looked(entry, NOW - timedelta(hours=5), now=0)

    assert 0.7 * INTERVAL <= entry.due <= 0.9 * INTERVAL


def test_a_jobset_is_as_fresh_as_its_longest_unseen_job(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    schedule.load(SECOND, [task(3, SECOND)], 0, NOW)
    one, two, three = schedule.take_due(0)["guest"]
    schedule.looked(one, NOW, 0)
    schedule.looked(two, NOW - timedelta(seconds=9), 0)
    schedule.looked(three, NOW, 0)

    since = schedule.looked_at_since("guest")

    assert since == {FIRST: NOW - timedelta(seconds=9), SECOND: NOW}


def test_of_a_jobset_with_an_unseen_job_nothing_is_claimed(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    one, _ = schedule.take_due(0)["guest"]
    schedule.looked(one, NOW, 0)

    assert schedule.looked_at_since("guest") == {}


def test_jobs_that_have_ended_do_not_make_a_jobset_old(schedule):
    schedule.load(FIRST, [task(1), task(2)], 0, NOW)
    watched, ended = schedule.take_due(0)["guest"]
    schedule.looked(watched, NOW, 0)
    schedule.end(ended)

    assert schedule.looked_at_since("guest") == {FIRST: NOW}


def test_of_a_user_without_tasks_nothing_is_claimed(schedule):
    assert schedule.looked_at_since("nobody") == {}
