from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from tracker_service.domain.backoff import Backoff
from tracker_service.domain.leases import Lease
from tracker_service.engine.timetable import Batch, Cadence, Entry, Timetable

FIRST, SECOND = Lease(jobset_id=1, epoch=1), Lease(jobset_id=2, epoch=1)
INTERVAL, LONGEST = 5.0, 60.0


@dataclass(frozen=True)
class Chore:
    """A task of a kind that the tests alone know."""

    id: int
    lease: Lease
    owner: str


def task(number: int, lease: Lease = FIRST, owner: str = "guest") -> Chore:
    return Chore(number, lease, owner)


def new_timetable(
    batch_size: int = 500,
    early_s: float = 0.0,
    next_due: Callable[[Entry, float], float] = lambda _, now: now + INTERVAL,
) -> Timetable[Entry]:
    return Timetable(
        Cadence(
            next_due=next_due,
            late_after_s=LONGEST,
            identity_backoff=Backoff(2 * INTERVAL, LONGEST),
            task_backoff=Backoff(2 * INTERVAL, 10 * LONGEST),
            batch_size=batch_size,
            early_s=early_s,
        )
    )


@pytest.fixture
def timetable() -> Timetable[Entry]:
    return new_timetable()


def load(timetable: Timetable[Entry], lease: Lease, tasks: Sequence[Chore], now: float) -> None:
    """Take the tasks of a jobset; those that are new are due at once."""
    timetable.put(lease, tasks, lambda new: Entry(new, due=now))


def take(timetable: Timetable[Entry], now: float, owner: str = "guest") -> Batch[Entry]:
    """Take what is due of all; return the batch of one user."""
    [batch] = [each for each in timetable.take_due(now, 8) if each.asked_as == owner]
    return batch


def taken(timetable: Timetable[Entry], now: float) -> dict[str, list[int]]:
    return {
        batch.asked_as: sorted(entry.task.id for entry in batch.entries)
        for batch in timetable.take_due(now, 8)
    }


def look(timetable: Timetable[Entry], now: float) -> None:
    """Take what is due, do it, and give it back."""
    batch = take(timetable, now)
    for entry in batch.entries:
        timetable.reschedule(entry, now)
    timetable.give_back(batch, now)


def test_what_was_just_loaded_is_due_at_once(timetable):
    load(timetable, FIRST, [task(1), task(2, owner="sam")], 100)

    assert taken(timetable, 100) == {"guest": [1], "sam": [2]}


def test_what_is_being_looked_at_is_left_out(timetable):
    load(timetable, FIRST, [task(1), task(2, owner="sam")], 0)
    timetable.give_back(take(timetable, 0, "sam"), 0)

    assert set(taken(timetable, 100)) == {"sam"}


def test_a_failure_holds_all_tasks_of_the_user_back(timetable):
    load(timetable, FIRST, [task(1), task(2)], 0)
    batch = take(timetable, 0)

    timetable.give_back(batch, 0, failed=True)

    assert taken(timetable, 9.9) == {}


def test_a_failure_of_one_user_holds_no_other_back(timetable):
    load(timetable, FIRST, [task(1), task(2, owner="sam")], 0)
    guests, sams = sorted(timetable.take_due(0, 8), key=lambda batch: batch.asked_as)

    timetable.give_back(guests, 0, failed=True)
    timetable.give_back(sams, 0)

    assert taken(timetable, 1) == {"sam": [2]}


def test_after_a_success_the_pauses_begin_short_again(timetable):
    load(timetable, FIRST, [task(1)], 0)
    for now in (0, 100, 200):
        batch = take(timetable, now)
        timetable.give_back(batch, now, failed=True)
    batch = take(timetable, 300)
    timetable.give_back(batch, 300)

    timetable.give_back(take(timetable, 400), 400, failed=True)

    assert taken(timetable, 410) == {"guest": [1]}


def test_an_outage_may_last_for_days(timetable):
    load(timetable, FIRST, [task(1)], 0)

    for number in range(1100):
        batch = take(timetable, 100.0 * number)
        timetable.give_back(batch, 100.0 * number, failed=True)

    assert taken(timetable, 100 * 1099 + 1) == {}


def test_loading_again_keeps_the_due_times(timetable):
    load(timetable, FIRST, [task(1)], 0)
    look(timetable, 0)

    load(timetable, FIRST, [task(1), task(2)], 1)

    assert taken(timetable, 1) == {"guest": [2]}


def test_what_the_store_no_longer_has_is_forgotten(timetable):
    load(timetable, FIRST, [task(1), task(2)], 0)

    load(timetable, FIRST, [task(2)], 0)

    assert taken(timetable, 0) == {"guest": [2]}


def test_a_task_that_was_loaded_while_its_user_is_worked_for_is_not_lost(timetable):
    load(timetable, FIRST, [task(1)], 0)
    batch = take(timetable, 0)
    [entry] = batch.entries
    load(timetable, SECOND, [task(2, SECOND)], 0)
    timetable.end(entry)
    timetable.give_back(batch, 0)

    assert taken(timetable, 0) == {"guest": [2]}


def test_a_dropped_jobset_takes_its_tasks_along(timetable):
    load(timetable, FIRST, [task(1)], 0)
    load(timetable, SECOND, [task(2, SECOND)], 0)

    timetable.drop(1)

    assert taken(timetable, 0) == {"guest": [2]}


def test_dropping_what_is_not_held_does_nothing(timetable):
    load(timetable, FIRST, [task(1)], 0)

    timetable.drop(99)

    assert taken(timetable, 0) == {"guest": [1]}


def test_a_new_epoch_replaces_the_lease(timetable):
    load(timetable, FIRST, [task(1)], 0)
    newer = Lease(jobset_id=1, epoch=2)

    load(timetable, newer, [task(1, newer)], 0)

    batch = take(timetable, 0)
    [entry] = batch.entries
    assert entry.task.lease == newer


def test_an_ended_task_is_not_taken_again(timetable):
    load(timetable, FIRST, [task(1)], 0)
    batch = take(timetable, 0)
    [entry] = batch.entries

    timetable.end(entry)
    timetable.give_back(batch, 0)

    assert taken(timetable, 1000) == {}


def test_many_tasks_of_one_user_are_taken_in_several_batches():
    timetable = new_timetable(batch_size=2)
    load(timetable, FIRST, [task(number) for number in range(5)], 0)

    assert [len(batch.entries) for batch in timetable.take_due(0, 8)] == [2, 2, 1]


def test_no_more_batches_are_taken_than_there_are_slots():
    timetable = new_timetable(batch_size=2)
    load(timetable, FIRST, [task(number) for number in range(5)], 0)

    assert len(timetable.take_due(0, 2)) == 2
    assert timetable.take_due(0, 0) == []


def test_a_user_with_many_tasks_leaves_slots_to_others():
    timetable = new_timetable(batch_size=2)
    load(timetable, FIRST, [task(number) for number in range(9)], 0)
    load(timetable, SECOND, [task(10, SECOND, owner="sam")], 1)

    assert {batch.asked_as for batch in timetable.take_due(1, 2)} == {"guest", "sam"}


def test_after_a_failure_one_batch_at_a_time_tries_again():
    timetable = new_timetable(batch_size=1)
    load(timetable, FIRST, [task(number) for number in range(3)], 0)
    for batch in timetable.take_due(0, 3):
        timetable.give_back(batch, 0, failed=True)

    [probe] = timetable.take_due(10, 3)
    assert timetable.take_due(10, 3) == []
    timetable.give_back(probe, 10)

    assert len(timetable.take_due(10, 3)) == 3


def test_several_failures_at_once_are_one_failure():
    timetable = new_timetable(batch_size=1)
    load(timetable, FIRST, [task(number) for number in range(3)], 0)

    for batch in timetable.take_due(0, 3):
        timetable.give_back(batch, 0, failed=True)

    assert timetable.take_due(10, 3)


def test_a_task_that_moves_to_another_jobset_keeps_its_due_time(timetable):
    load(timetable, FIRST, [task(1)], 0)
    look(timetable, 0)

    load(timetable, SECOND, [task(1, SECOND)], 1)
    timetable.drop(1)

    assert taken(timetable, 2) == {}
    [entry] = take(timetable, 5).entries
    assert entry.task.lease == SECOND


def test_what_is_hastened_is_looked_at_before_all_others():
    timetable = new_timetable(batch_size=1)
    load(timetable, FIRST, [task(1), task(2)], 0)
    load(timetable, SECOND, [task(3, SECOND)], 3)

    timetable.hasten([3, 99])

    first, *_ = timetable.take_due(3, 8)
    assert [entry.task.id for entry in first.entries] == [3]


def test_what_is_hastened_while_it_is_looked_at_is_taken_again(timetable):
    load(timetable, FIRST, [task(1)], 0)
    batch = take(timetable, 0)
    [entry] = batch.entries

    timetable.hasten([1])
    timetable.reschedule(entry, 0)
    timetable.give_back(batch, 0)

    assert taken(timetable, 0) == {"guest": [1]}
    assert taken(timetable, 0) == {}


def test_a_task_that_is_looked_at_too_late_twice_in_a_row_is_late(timetable):
    load(timetable, FIRST, [task(1)], 0)
    look(timetable, LONGEST + 1)
    assert timetable.late() == {}

    look(timetable, 3 * LONGEST)

    assert timetable.late() == {1: 1}


def test_one_look_in_time_and_a_task_is_late_no_more(timetable):
    load(timetable, FIRST, [task(1)], 0)
    look(timetable, LONGEST + 1)
    look(timetable, 3 * LONGEST)

    look(timetable, 3 * LONGEST + 5)

    assert timetable.late() == {}


def test_an_outage_makes_no_task_late(timetable):
    load(timetable, FIRST, [task(1)], 0)
    now = 0.0
    for _ in range(9):
        timetable.give_back(take(timetable, now), now, failed=True)
        now += LONGEST

    look(timetable, now)

    assert timetable.late() == {}


def test_a_function_gives_the_next_due_time():
    on_the_minute = new_timetable(next_due=lambda _, now: now // 60 * 60 + 60)
    load(on_the_minute, FIRST, [task(1)], 70)

    look(on_the_minute, 70)

    assert taken(on_the_minute, 119) == {}
    assert taken(on_the_minute, 120) == {"guest": [1]}


def test_what_soon_will_be_due_fills_a_batch_that_is_taken_anyway():
    timetable = new_timetable(early_s=2)
    load(timetable, FIRST, [task(1)], 0)
    look(timetable, 0)
    load(timetable, SECOND, [task(2, SECOND)], 3)

    assert taken(timetable, 3) == {"guest": [1, 2]}


def test_nothing_is_taken_early_only_because_it_soon_will_be_due():
    timetable = new_timetable(early_s=2)
    load(timetable, FIRST, [task(1)], 0)
    look(timetable, 0)

    assert taken(timetable, 4.9) == {}


def test_a_task_that_fails_alone_is_taken_later_and_later(timetable):
    load(timetable, FIRST, [task(1)], 0)
    [entry] = take(timetable, 0).entries
    pauses = []
    for _ in range(9):
        timetable.back_off(entry, 100)
        pauses.append(entry.due - 100)

    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_trouble_with_one_task_holds_no_other_back(timetable):
    load(timetable, FIRST, [task(1), task(2)], 0)
    batch = take(timetable, 0)
    first, second = batch.entries
    timetable.back_off(first, 0)
    timetable.reschedule(second, 0)
    timetable.give_back(batch, 0)

    assert taken(timetable, INTERVAL) == {"guest": [2]}


def test_failures_of_an_identity_make_its_pause_longer_up_to_the_longest(timetable):
    load(timetable, FIRST, [task(1)], 0)
    now = 0.0
    for pause_s in (10, 20, 40, 60, 60, 60):
        timetable.give_back(take(timetable, now), now, failed=True)

        assert timetable.take_due(now + pause_s - 0.1, 8) == []
        now += pause_s


def test_a_part_of_a_batch_is_given_back_by_itself(timetable):
    load(timetable, FIRST, [task(1), task(2), task(3)], 0)
    batch = take(timetable, 0)

    rest, parts = timetable.split(batch, batch.entries[:2], size=1)
    timetable.give_back(rest, 0)
    timetable.give_back(parts[1], 0)

    assert taken(timetable, 0) == {"guest": [2, 3]}


def test_the_jobsets_are_known(timetable):
    load(timetable, FIRST, [task(1)], 0)
    load(timetable, SECOND, [], 0)

    assert timetable.jobsets() == [1, 2]

    timetable.drop(1)

    assert timetable.jobsets() == [2]


def test_a_jobset_that_was_claimed_anew_is_not_lost_with_its_old_lease(timetable):
    newer = Lease(jobset_id=1, epoch=2)
    load(timetable, newer, [task(1, newer)], 0)

    timetable.lose(FIRST)
    assert timetable.holds(newer)

    timetable.lose(newer)
    assert not timetable.holds(newer)
    assert taken(timetable, 0) == {}
