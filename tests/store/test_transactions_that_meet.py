"""Two transactions that write the same rows at once: one is carried out again, nobody sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, insert, select, text, update

from tests.store.rows import NOW, job, live_tasks, seen, task_rows, track
from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.tasks import TaskState
from tracker_service.errors import StoreConflict, StoreUnavailable
from tracker_service.store import children, jobs, jobsets, notify_tokens, rate_limits, track_tasks
from tracker_service.store.database import Connection, Store, insert_new
from tracker_service.store.grouped import GroupedWrites
from tracker_service.store.notify_tokens import KeptNotifyToken
from tracker_service.store.tables import jobsets as jobset_table
from tracker_service.store.tables import tasks, verdicts

Change = Callable[[Connection], object]


def at_once(store: Store, changes: Sequence[Change]) -> list[object]:
    """Carry out writes so that each has begun before any ends; SQLite has one after the other."""
    met = threading.Barrier(len(changes))

    def together(change: Change) -> object:
        is_first = True

        def meet(connection: Connection) -> object:
            nonlocal is_first
            if is_first and not store.url.startswith("sqlite"):
                is_first = False
                connection.execute(text("SELECT 1"))
                met.wait(60)
            return change(connection)

        return store.write(meet)

    with ThreadPoolExecutor(len(changes)) as threads:
        return [done.result() for done in [threads.submit(together, each) for each in changes]]


def posts(numbers: Sequence[int], policy: CopyPolicy = CopyPolicy.OF_FAILURES) -> Change:
    def post(connection: Connection) -> None:
        kept = jobs.record(connection, [seen(number) for number in numbers])
        track_tasks.track(connection, "guest", "guest", list(kept.values()), NOW, policy)

    return post


def sizes(store: Store) -> tuple[int, int]:
    """Return the room that jobsets reserve, and the live tasks."""
    with store.read() as connection:
        reserved = connection.scalar(select(func.sum(jobset_table.c.size)))
        live = connection.scalar(select(func.count()).where(tasks.c.jobset_id.is_not(None)))
    return int(reserved or 0), int(live or 0)


@pytest.mark.parametrize("knows_the_job", [False, True])
def test_one_job_that_a_user_posts_many_times_at_once_gets_one_task(store, knows_the_job):
    if knows_the_job:
        know(store, [1])

    at_once(store, [posts([1]) for _ in range(8)])

    with store.read() as connection:
        assert len(task_rows(connection)) == 1
        [kept] = jobs.latest(connection, [job(1)]).values()
        assert len(jobs.history(connection, kept.key)) == 1
    assert len(set(sizes(store))) == 1


def know(store: Store, numbers: Sequence[int]) -> None:
    """Keep jobs that somebody else tracks."""
    with store.begin() as connection:
        track(connection, *numbers, owner="sam")
        jobsets.claim(connection, "worker", ["track"], 3600, 100)


@pytest.mark.parametrize("known", [0, 20, 60])
def test_posts_of_the_same_jobs_in_other_orders_all_succeed(store, known):
    numbers = list(range(1, 60))
    if known:
        know(store, numbers[:known])
    orders = [numbers, numbers[::-1], numbers[30:] + numbers[:30], numbers[10:40]]

    at_once(store, [posts(order) for order in orders])

    with store.read() as connection:
        assert len(task_rows(connection)) == len(numbers)
    reserved, live = sizes(store)
    assert reserved == live


def test_the_wish_of_each_post_that_meets_another_is_kept(store):
    at_once(store, [posts([1]), posts([1], CopyPolicy.ALWAYS), posts([1])])

    with store.read() as connection:
        assert [bool(row.copies_always) for row in task_rows(connection)] == [True]


def test_a_stopped_job_that_is_posted_twice_at_once_takes_room_once(store):
    with store.begin() as connection:
        track(connection, 1)
        track_tasks.stop(connection, "guest", job(1), NOW)

    at_once(store, [posts([1]) for _ in range(4)])

    with store.read() as connection:
        assert [row.state for row in task_rows(connection)] == [TaskState.WATCHING]
    assert sizes(store) == (1, 1)


def test_a_child_that_its_parents_worker_and_its_user_track_at_once_gets_one_task(store):
    with store.begin() as connection:
        track(connection, 1)
        [parent] = live_tasks(connection)

    def follow(connection: Connection) -> None:
        jobsets.guard(connection, parent.lease)
        kept = jobs.record(connection, [seen(2), seen(3), seen(4, "SUCCEEDED")])
        new = children.without_task(connection, "guest", list(kept))
        children.follow(connection, parent, [kept[each] for each in new], NOW)

    at_once(store, [follow, posts([2, 3, 4])])

    with store.read() as connection:
        found = [row.subject for row in task_rows(connection)]
    assert sorted(found) == [job(number) for number in (1, 2, 3, 4)]


def test_a_rerun_that_the_worker_and_the_user_track_at_once_gets_one_task(store):
    with store.begin() as connection:
        track(connection, 1)
        [task] = live_tasks(connection)

    def rerun(connection: Connection) -> list[jobs.KeptJob]:
        return list(jobs.record(connection, [seen(1, run=1)]).values())

    def follow(connection: Connection) -> None:
        jobsets.guard(connection, task.lease)
        track_tasks.follow_run(connection, task, rerun(connection)[0], NOW)

    def post(connection: Connection) -> None:
        track_tasks.track(connection, "guest", "guest", rerun(connection), NOW)

    at_once(store, [follow, post])

    with store.read() as connection:
        runs = jobs.runs_of(connection, job(1))
        followed = [row.job_id for row in task_rows(connection)]
    assert set(runs) == {0, 1}
    assert followed.count(runs[1].key) == 1


def test_two_who_wait_for_each_other_both_succeed_in_the_end(store):
    with store.begin() as connection:
        insert_new(connection, verdicts, [verdict("x"), verdict("y")])

    def change(*order: str) -> Change:
        def both(connection: Connection) -> None:
            for name in order:
                row = verdicts.c.fingerprint == name
                connection.execute(update(verdicts).where(row).values(owner=order[0]))

        return both

    at_once(store, [change("x", "y"), change("y", "x")])

    with store.read() as connection:
        assert len(set(connection.scalars(select(verdicts.c.owner)))) == 1


def verdict(name: str) -> dict[str, object]:
    return {"fingerprint": name, "owner": "guest", "expires_at": NOW}


def test_a_key_that_is_there_each_time_is_a_conflict_and_no_bug(store):
    tries = []

    def insert_again(connection: Connection) -> None:
        tries.append(1)
        connection.execute(insert(verdicts).values(verdict("x")))

    store.write(insert_again)
    tries.clear()

    with pytest.raises(StoreConflict) as raised:
        store.write(insert_again)

    assert isinstance(raised.value, StoreUnavailable)  # so the API answers 503
    assert len(tries) == 3


def test_grouped_writes_try_again_too(store):
    tries = []

    def insert_soon_alone(connection: Connection) -> str:
        tries.append(1)
        name = "x" if len(tries) < 3 else "y"
        connection.execute(insert(verdicts).values(verdict(name)))
        return name

    with store.begin() as connection:
        connection.execute(insert(verdicts).values(verdict("x")))
    if store.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time: no write of a group meets another one")

    assert GroupedWrites(store).write(insert_soon_alone) == "y"


def test_a_user_who_makes_tokens_at_once_gets_no_more_than_the_limit(store):
    def make(number: int) -> Change:
        token = KeptNotifyToken(
            fingerprint=f"{number:064d}", owner="guest", created_at=NOW, used_at=None
        )
        return lambda connection: notify_tokens.add(connection, token, 3)

    made = at_once(store, [make(number) for number in range(8)])

    with store.read() as connection:
        assert len(notify_tokens.of_owner(connection, "guest")) == 3
    assert made.count(True) == 3


def test_requests_at_once_take_no_more_than_the_limit(store):
    def take(connection: Connection) -> int:
        return rate_limits.take(connection, "guest", NOW, per_minute=5, wanted=1)[0]

    taken = at_once(store, [take] * 8)

    assert taken.count(1) == 5
    assert taken.count(0) == 3


def test_the_state_of_a_job_that_two_observe_at_once_has_one_history(store):
    with store.begin() as connection:
        track(connection, 1)

    def observe(status: str) -> Change:
        return lambda connection: jobs.record(connection, [seen(1, status)])

    at_once(store, [observe("SUCCEEDED"), observe("SUCCEEDED"), observe("KILLED")])

    with store.read() as connection:
        [kept] = jobs.latest(connection, [job(1)]).values()
        history = [change.to_status for change in jobs.history(connection, kept.key)]
    assert history[0] == JobStatus.RUNNING
    assert history[-1] == kept.status
    assert len(history) == len(set(history))
