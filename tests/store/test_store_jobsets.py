from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from tests.store.rows import NOW, hold, task_rows, track
from tracker_service.domain.leases import Lease
from tracker_service.errors import LeaseLost
from tracker_service.store import jobsets, tasks, track_tasks, tracked_jobs
from tracker_service.store.tables import jobsets as table

LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


def holder(connection, jobset_id: int) -> tuple[str | None, int, int]:
    row = connection.execute(table.select().where(table.c.id == jobset_id)).one()
    return row.owner, row.epoch, row.version


def let_leases_run_out(connection) -> None:
    connection.execute(update(table).values(lease_until=LONG_AGO))


def sizes(connection) -> list[int]:
    return sorted(connection.scalars(table.select().with_only_columns(table.c.size)))


def test_a_jobset_takes_100_tasks_and_then_there_is_another(connection):
    track(connection, *range(250))

    assert sizes(connection) == [50, 100, 100]


def test_room_that_is_left_is_used_before_a_new_jobset_is_made(connection):
    track(connection, *range(60))
    track(connection, *range(60, 130))

    assert sizes(connection) == [30, 100]


def test_two_users_share_no_jobset(connection):
    track(connection, 1)
    track(connection, 1, owner="sam")

    [guests], [sams] = task_rows(connection), task_rows(connection, "sam")
    assert guests.jobset_id != sams.jobset_id


def test_the_room_of_ended_tasks_is_used_again(connection):
    track(connection, *range(100))
    [lease] = hold(connection)
    tasks.end(connection, track_tasks.live(connection, lease)[0], NOW)

    track(connection, 100)

    assert sizes(connection) == [100]


def test_placing_nothing_makes_nothing(connection):
    assert jobsets.place(connection, "track", "guest", 0) == []
    assert sizes(connection) == []


def test_a_claim_takes_what_nobody_holds(connection):
    track(connection, 1)

    assert jobsets.claim(connection, "worker", ["track"], 30, 10) == 1

    [held] = jobsets.held(connection, "worker")
    assert (held.lease.epoch, held.size) == (1, 1)


def test_what_somebody_holds_is_not_taken(connection):
    track(connection, 1)
    jobsets.claim(connection, "first", ["track"], 30, 10)

    assert jobsets.claim(connection, "second", ["track"], 30, 10) == 0
    assert jobsets.held(connection, "second") == []


def test_a_lease_that_has_run_out_by_the_clock_of_the_database_is_taken(connection):
    track(connection, 1)
    jobsets.claim(connection, "first", ["track"], 3600, 10)
    let_leases_run_out(connection)

    assert jobsets.claim(connection, "second", ["track"], 30, 10) == 1
    assert jobsets.held(connection, "first") == []


def test_a_jobset_without_tasks_is_not_taken(connection):
    track(connection, 1)
    [lease] = hold(connection)
    tasks.end(connection, track_tasks.live(connection, lease)[0], NOW)
    jobsets.release(connection, "worker")

    assert jobsets.claim(connection, "worker", ["track"], 30, 10) == 0


def test_a_claim_takes_no_more_than_it_may(connection):
    track(connection, *range(250))

    assert jobsets.claim(connection, "worker", ["track"], 30, 2) == 2
    assert jobsets.claim(connection, "worker", ["track"], 30, 2) == 1


def test_each_change_of_holder_raises_the_epoch(connection):
    track(connection, 1)
    epochs = []
    for worker in ("first", "second", "first"):
        [lease] = hold(connection, worker)
        epochs.append(lease.epoch)
        let_leases_run_out(connection)

    assert epochs == [1, 2, 3]


def test_a_worker_that_gives_back_and_takes_again_is_in_a_new_epoch(connection):
    track(connection, 1)
    [before] = hold(connection)
    jobsets.release(connection, "worker")

    [after] = hold(connection)

    assert after.epoch == before.epoch + 1


def test_of_16_workers_that_race_one_wins(store):
    with store.begin() as connection:
        track(connection, 1)
    start, taken = threading.Barrier(16), []

    def race(number: int) -> None:
        start.wait()
        with store.begin() as connection:
            taken.append(jobsets.claim(connection, f"worker-{number}", ["track"], 30, 10))

    threads = [threading.Thread(target=race, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with store.read() as connection:
        held = [jobsets.held(connection, f"worker-{n}") for n in range(16)]
    assert sorted(taken) == [0] * 15 + [1]
    assert sum(len(each) for each in held) == 1
    assert next(each[0].lease.epoch for each in held if each) == 1


def test_of_16_claims_of_many_jobsets_each_has_one_holder(store):
    with store.begin() as connection:
        for number in range(20):
            track(connection, 1, owner=f"user{number}")
    start = threading.Barrier(16)

    def race(number: int) -> None:
        start.wait()
        is_left = True
        while is_left:  # who comes too late looks again
            with store.begin() as connection:
                jobsets.claim(connection, f"worker-{number}", ["track"], 30, 3)
                is_left = jobsets.any_free(connection, ["track"])

    threads = [threading.Thread(target=race, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with store.read() as connection:
        held = [h for n in range(16) for h in jobsets.held(connection, f"worker-{n}")]
    assert len({each.lease.jobset_id for each in held}) == len(held) == 20
    assert {each.lease.epoch for each in held} == {1}


def test_of_8_who_track_at_once_all_find_room(store):
    start, failed = threading.Barrier(8), []

    def track_some(number: int) -> None:
        start.wait()
        try:
            with store.begin() as connection:
                track(connection, *range(number * 60, number * 60 + 60))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=track_some, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    with store.read() as connection:
        rows = [row.jobset_id for row in task_rows(connection)]
        kept = {row.id: row.size for row in connection.execute(table.select())}
    assert len(rows) == 480
    assert kept == {key: rows.count(key) for key in kept}
    assert max(kept.values()) <= jobsets.CAPACITY


def test_a_lease_that_holds_lets_its_worker_write(connection):
    track(connection, 1)
    [lease] = hold(connection)

    jobsets.guard(connection, lease)  # and is not told that the lease is lost


def test_a_stale_epoch_is_lost(connection):
    track(connection, 1)
    [lease] = hold(connection, "first")
    let_leases_run_out(connection)
    hold(connection, "second")

    with pytest.raises(LeaseLost, match="epoch 2, not in 1"):
        jobsets.guard(connection, lease)


def test_what_was_given_back_is_lost_at_once(connection):
    track(connection, 1)
    [lease] = hold(connection)
    jobsets.release(connection, "worker")

    with pytest.raises(LeaseLost):
        jobsets.guard(connection, lease)


def test_a_lease_on_nothing_is_lost(connection):
    with pytest.raises(LeaseLost):
        jobsets.guard(connection, Lease(jobset_id=99, epoch=0))


def test_what_is_written_under_a_lost_lease_is_undone(store):
    with store.begin() as connection:
        track(connection, 1)
        [lease] = hold(connection)
        [task] = track_tasks.live(connection, lease)
        jobsets.release(connection, "worker")

    def write() -> None:
        with store.begin() as connection:
            tasks.end(connection, task, NOW)
            jobsets.guard(connection, lease)

    with pytest.raises(LeaseLost):
        write()

    with store.read() as connection:
        assert [row.state for row in task_rows(connection)] == ["watching"]
        assert sizes(connection) == [1]


def test_renewing_prolongs_all_leases_of_a_worker_and_of_no_other(connection):
    track(connection, 1)
    track(connection, 1, owner="sam")
    jobsets.claim(connection, "first", ["track"], 3600, 1)
    jobsets.claim(connection, "second", ["track"], 3600, 1)
    let_leases_run_out(connection)

    jobsets.renew(connection, "first", 3600)

    assert jobsets.claim(connection, "third", ["track"], 30, 10) == 1
    assert len(jobsets.held(connection, "first")) == 1
    assert jobsets.held(connection, "second") == []


def test_renewing_begins_no_new_epoch(connection):
    track(connection, 1)
    [lease] = hold(connection)

    jobsets.renew(connection, "worker", 3600)

    jobsets.guard(connection, lease)
    assert holder(connection, lease.jobset_id)[1] == 1


def test_a_worker_gives_back_what_it_says_and_keeps_the_rest(connection):
    track(connection, 1)
    track(connection, 1, owner="sam")
    first, second = hold(connection)

    jobsets.release(connection, "worker", [first])

    assert [held.lease for held in jobsets.held(connection, "worker")] == [second]


def test_nobody_gives_back_what_another_holds(connection):
    track(connection, 1)
    [lease] = hold(connection, "first")

    jobsets.release(connection, "second", [lease])

    jobsets.guard(connection, lease)


def test_each_change_of_content_raises_the_version(connection):
    track(connection, 1)
    [lease] = hold(connection)
    versions = [holder(connection, lease.jobset_id)[2]]

    track(connection, 2)
    versions.append(holder(connection, lease.jobset_id)[2])
    tasks.end(connection, track_tasks.live(connection, lease)[0], NOW)
    versions.append(holder(connection, lease.jobset_id)[2])

    assert versions == sorted(set(versions))


def test_a_stale_worker_does_not_say_when_jobs_were_looked_at(connection):
    [kept] = track(connection, 1)
    [stale] = hold(connection, "first")
    let_leases_run_out(connection)
    [lease] = hold(connection, "second")

    jobsets.note_polled(connection, {stale: NOW})
    assert tracked_jobs.of_job(connection, "guest", kept.id)[0].polled_at is None

    jobsets.note_polled(connection, {lease: NOW})
    assert tracked_jobs.of_job(connection, "guest", kept.id)[0].polled_at == NOW
