from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from tests.store.rows import NOW, hold, job, live_tasks, seen, track
from tracker_service.domain.tasks import TaskState
from tracker_service.store import hints, jobs, tasks, track_tasks
from tracker_service.store.tables import hints as hint_table


def hint(connection, number: int, owner: str = "guest", at=NOW) -> list[int]:
    """Hint at a job, and return the tasks that the hint is meant for."""
    meant = hints.tasks_to_hint(connection, owner, job(number))
    hints.add(connection, meant, at)
    return list(meant)


def left(connection) -> int:
    return connection.scalar(select(func.count()).select_from(hint_table))


def end(connection, number: int) -> None:
    [task] = [task for task in live_tasks(connection) if task.job_id == job(number)]
    tasks.end(connection, task, NOW)


def test_a_hint_reaches_the_worker_that_holds_the_task(connection):
    track(connection, 1, 2)
    hold(connection, "first")
    hint(connection, 1)

    [found] = hints.for_worker(connection, "first")

    assert (found.job_id, found.owner, found.state) == (job(1), "guest", TaskState.WATCHING)
    assert hints.for_worker(connection, "second") == []


def test_a_hint_is_there_once_however_often_it_is_given(connection):
    track(connection, 1)

    assert list(hints.tasks_to_hint(connection, "guest", job(1)).values()) == [False]
    hint(connection, 1)
    hint(connection, 1, at=NOW + timedelta(minutes=1))

    assert list(hints.tasks_to_hint(connection, "guest", job(1)).values()) == [True]
    assert connection.scalars(select(hint_table.c.hinted_at)).all() == [NOW]


def test_a_hint_is_taken_once(connection):
    track(connection, 1, 2)
    hold(connection, "worker")
    first, second = *hint(connection, 1), *hint(connection, 2)

    hints.take(connection, [first])

    assert [each.task_id for each in hints.for_worker(connection, "worker")] == [second]


def test_a_hint_waits_while_nobody_holds_the_task(connection):
    track(connection, 1)
    hint(connection, 1)
    assert hints.for_worker(connection, "worker") == []

    hold(connection, "worker")

    assert len(hints.for_worker(connection, "worker")) == 1


def test_a_hint_is_meant_for_the_user_who_gives_it_alone(connection):
    track(connection, 1)
    track(connection, 1, owner="sam")

    assert len(hints.tasks_to_hint(connection, "sam", job(1))) == 1
    assert hints.tasks_to_hint(connection, "tom", job(1)) == {}
    assert hints.tasks_to_hint(connection, "sam", job(2)) == {}


def test_a_hint_is_meant_for_the_runs_that_are_watched_or_else_for_the_newest(connection):
    track(connection, 1)
    again = jobs.record(connection, [seen(1, "RUNNING", run=1)])
    track_tasks.track(connection, "guest", "guest", list(again.values()), NOW)
    first, second = live_tasks(connection)
    assert len(hints.tasks_to_hint(connection, "guest", job(1))) == 2

    tasks.end(connection, first, NOW)
    assert list(hints.tasks_to_hint(connection, "guest", job(1))) == [second.id]
    tasks.end(connection, second, NOW)
    assert list(hints.tasks_to_hint(connection, "guest", job(1))) == [second.id]


def test_a_job_that_its_user_has_stopped_to_track_takes_no_hint(connection):
    track(connection, 1)
    track_tasks.stop(connection, "guest", job(1), NOW)

    assert hints.tasks_to_hint(connection, "guest", job(1)) == {}


def test_a_hint_at_a_task_that_has_ended_is_there_for_every_worker(connection):
    track(connection, 1)
    end(connection, 1)
    hint(connection, 1)

    for worker in ("first", "second"):
        [found] = hints.for_worker(connection, worker)
        assert found.state == TaskState.ENDED


def test_old_hints_at_tasks_that_have_ended_are_forgotten_and_no_others(connection):
    track(connection, 1, 2, 3)
    end(connection, 1)
    end(connection, 3)
    hint(connection, 1)
    kept = [*hint(connection, 2), *hint(connection, 3, at=NOW + timedelta(minutes=1))]

    hints.forget_ended(connection, NOW + timedelta(minutes=1))

    assert sorted(connection.scalars(select(hint_table.c.task_id))) == sorted(kept)


@pytest.mark.parametrize("count", [0, 1201])
def test_any_number_of_hints_is_read_and_taken(connection, count):
    track(connection, *range(count))
    hints.add(connection, [task.id for task in live_tasks(connection)], NOW)

    found = hints.for_worker(connection, "worker")
    hints.take(connection, [each.task_id for each in found])

    assert len(found) == count
    assert left(connection) == 0
