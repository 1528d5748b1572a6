from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.store.rows import NOW, hold, track
from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.copies import CopyStatus, Strategy
from tracker_service.domain.tasks import TaskState
from tracker_service.errors import LeaseLost
from tracker_service.store import copies, figures, jobsets, tasks, track_tasks, workers
from tracker_service.store.database import database_now
from tracker_service.store.jobsets import Offer
from tracker_service.store.tables import jobsets as table
from tracker_service.store.tables import tasks as task_table
from tracker_service.store.tables import workers as worker_table
from tracker_service.store.workers import Presence

LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


def says(connection, worker: str, **more) -> None:
    values = {"release": "1", "kinds": ("track",), **more}
    workers.note(connection, Presence(id=worker, started_at=NOW, **values))


def sets_of(connection, *sizes: int) -> list[int]:
    """Hold jobsets of these sizes, the oldest first; return their ids."""
    for number in range(len(sizes)):
        track(connection, *range(1000 * number, 1000 * number + jobsets.CAPACITY))
    made = [lease.jobset_id for lease in hold(connection)]
    for jobset_id, size in zip(made, sizes, strict=True):
        for task in track_tasks.live(connection, lease_of(connection, jobset_id))[size:]:
            tasks.end(connection, task, NOW)
    return made


def lease_of(connection, jobset_id: int, worker: str = "worker"):
    [lease] = [
        held.lease for held in jobsets.held(connection, worker) if held.lease.jobset_id == jobset_id
    ]
    return lease


def size(connection, jobset_id: int) -> int:
    return connection.scalar(select(table.c.size).where(table.c.id == jobset_id))


def tasks_in(connection, jobset_id: int) -> int:
    return len(
        connection.execute(select(task_table.c.id).where(task_table.c.jobset_id == jobset_id)).all()
    )


def shares(connection, *kinds: str) -> dict[str, int]:
    offers = jobsets.offers(connection, "worker", kinds, 30)
    return {kind: offer.share for kind, offer in offers.items()}


def free_since(connection, seconds: float) -> None:
    now = connection.execute(select(database_now())).scalar_one()
    connection.execute(update(table).values(lease_until=now - timedelta(seconds=seconds)))


def test_a_worker_lives_as_long_as_it_says_so(connection):
    assert not workers.living(connection, 60)

    says(connection, "worker")
    assert workers.living(connection, 60)
    assert not workers.living(connection, -60)

    workers.forget(connection, "worker")
    assert not workers.living(connection, 60)


def test_who_holds_what_is_known(connection):
    says(connection, "first", busy=0.25, late=3)
    says(connection, "second")
    track(connection, *range(130))
    hold(connection, "first")
    connection.execute(
        update(worker_table).where(worker_table.c.id == "second").values(seen_at=LONG_AGO)
    )

    first, second = workers.known(connection, 60)

    assert (first.jobsets, first.tasks, first.busy, first.late) == (2, 130, 0.25, 3)
    assert (second.jobsets, second.tasks) == (0, 0)
    assert (first.is_alive, second.is_alive) == (True, False)


def test_a_worker_of_an_earlier_release_is_known_too(connection):
    connection.execute(worker_table.insert().values(id="old", started_at=NOW, seen_at=NOW))

    [old] = workers.known(connection, 60)

    assert (old.release, old.busy, old.late) == ("", 0, 0)


@pytest.mark.parametrize(("living", "share"), [(0, 6), (1, 6), (2, 4), (4, 3), (9, 2)])
def test_each_living_worker_has_a_fair_share_and_one_more(connection, living, share):
    track(connection, *range(500))
    for number in range(living):
        says(connection, f"worker-{number}")

    assert shares(connection, "track") == {"track": share}


def test_what_has_just_become_free_is_not_what_has_waited_long(connection):
    track(connection, 1)
    assert jobsets.any_free(connection, ["track"])
    assert not jobsets.any_free(connection, ["track"], 60)
    assert jobsets.claim(connection, "worker", ["track"], 30, 10, waited_s=60) == 0

    free_since(connection, 61)

    assert jobsets.any_free(connection, ["track"], 60)
    assert jobsets.claim(connection, "worker", ["track"], 30, 10, waited_s=60) == 1


def test_what_was_given_back_begins_to_wait_then(connection):
    track(connection, 1)
    hold(connection)
    free_since(connection, -1000)

    jobsets.release(connection, "worker")

    assert jobsets.any_free(connection, ["track"])
    assert not jobsets.any_free(connection, ["track"], 1)


def test_a_lease_that_has_run_out_waits_since_then(connection):
    track(connection, 1)
    hold(connection)
    free_since(connection, 30)

    assert jobsets.any_free(connection, ["track"], 29)
    assert not jobsets.any_free(connection, ["track"], 31)


def test_only_hardly_filled_jobsets_are_thin(connection):
    full, thin, barely = sets_of(connection, 26, 25, 1)

    assert {lease.jobset_id for lease in jobsets.thin(connection, "worker")} == {thin, barely}
    assert jobsets.thin(connection, "another") == []
    assert full


def test_while_a_log_is_saved_a_jobset_stays_as_it_is(connection):
    _, thin = sets_of(connection, 50, 2)
    task = track_tasks.live(connection, lease_of(connection, thin))[0]

    track_tasks.start_copying(connection, task)

    assert jobsets.thin(connection, "worker") == []


def test_a_thin_jobset_moves_into_an_older_one_with_room(connection):
    older, thin = sets_of(connection, 50, 20)

    assert jobsets.merge(connection, lease_of(connection, thin))

    assert (size(connection, older), size(connection, thin)) == (70, 0)
    assert (tasks_in(connection, older), tasks_in(connection, thin)) == (70, 0)


def test_the_holder_of_the_older_one_notices(connection):
    older, thin = sets_of(connection, 50, 20)
    [before] = [h for h in jobsets.held(connection, "worker") if h.lease.jobset_id == older]

    jobsets.merge(connection, lease_of(connection, thin))

    [after] = [h for h in jobsets.held(connection, "worker") if h.lease.jobset_id == older]
    assert after.lease == before.lease
    assert after.version > before.version


def test_who_held_a_jobset_that_was_merged_writes_no_more(connection):
    _, thin = sets_of(connection, 50, 20)
    lease = lease_of(connection, thin)

    jobsets.merge(connection, lease)

    with pytest.raises(LeaseLost):
        jobsets.guard(connection, lease)


def test_nothing_is_merged_into_what_has_no_room(connection):
    _, thin = sets_of(connection, 90, 20)

    assert not jobsets.merge(connection, lease_of(connection, thin))

    assert (size(connection, thin), tasks_in(connection, thin)) == (20, 20)


def test_nothing_is_merged_into_a_younger_jobset(connection):
    thin, _ = sets_of(connection, 20, 50)

    assert not jobsets.merge(connection, lease_of(connection, thin))


def test_nothing_is_merged_with_another_affinity(connection):
    track(connection, 1, owner="sam")
    track(connection, 2)
    for lease in hold(connection):
        assert not jobsets.merge(connection, lease)


def test_a_jobset_that_another_worker_has_taken_is_not_merged(connection):
    _, thin = sets_of(connection, 50, 20)
    lease = lease_of(connection, thin)
    jobsets.release(connection, "worker")
    hold(connection, "another")

    assert not jobsets.merge(connection, lease)


def test_empty_jobsets_are_removed_after_a_while(connection):
    _, thin = sets_of(connection, 50, 20)
    jobsets.merge(connection, lease_of(connection, thin))

    jobsets.remove_empty(connection, 60)
    assert size(connection, thin) == 0

    free_since(connection, 61)
    jobsets.remove_empty(connection, 60)
    assert size(connection, thin) is None


def test_jobsets_with_tasks_are_never_removed(connection):
    track(connection, 1)
    free_since(connection, 1000)

    jobsets.remove_empty(connection, 60)

    assert len(jobsets.known(connection)) == 1


def test_jobsets_are_listed_with_who_holds_them(connection):
    track(connection, 1)
    hold(connection)
    track(connection, 1, owner="sam")

    guests, sams = jobsets.known(connection)

    assert (guests.owner, guests.is_waiting, guests.size) == ("worker", False, 1)
    assert (sams.owner, sams.is_waiting) == (None, True)
    assert jobsets.known(connection, "worker") == [guests]


def test_a_job_of_a_task_that_moves_meanwhile_can_be_stopped(connection):
    older, thin = sets_of(connection, 50, 20)
    [task, *_] = track_tasks.live(connection, lease_of(connection, thin))
    jobsets.merge(connection, lease_of(connection, thin))

    assert track_tasks.stop(connection, "guest", task.job_id, NOW)

    assert size(connection, older) == tasks_in(connection, older) == 69


@pytest.mark.parametrize(
    ("status", "strategy", "streams"),
    [
        (CopyStatus.RUNNING, Strategy.DIRECT, True),
        (CopyStatus.RUNNING, Strategy.WORKFLOW, False),
        (CopyStatus.WAITING, Strategy.DIRECT, False),
    ],
)
def test_a_jobset_of_which_a_log_passes_through_a_worker_is_known(
    connection, status, strategy, streams
):
    track(connection, 1)
    [lease] = hold(connection)
    [task] = track_tasks.live(connection, lease)
    copies.decide(connection, task, [ApplicationId("application_1_0001")], NOW)
    [copy] = copies.of_tasks(connection, [task.id])[task.id]

    copies.change(connection, copy, status=status, strategy=strategy)

    assert copies.streaming(connection) == ({lease.jobset_id} if streams else set())


def cope(connection) -> figures.Capacity:
    return figures.capacity(connection, 60)


def test_what_nobody_holds_waits(connection):
    track(connection, *range(130))

    found = cope(connection)

    assert (found.workers, found.free_jobsets, found.waiting_tasks) == (0, 2, 130)
    assert not found.is_limit_hit


def test_what_waits_for_a_minute_hits_the_scaling_limit(connection):
    says(connection, "worker")
    track(connection, 1)
    free_since(connection, 61)

    found = cope(connection)

    assert found.is_limit_hit
    assert found.workers_needed == 2


def test_a_worker_that_is_alone_and_late_needs_another(connection):
    says(connection, "worker", late=5)

    found = cope(connection)

    assert (found.late_tasks, found.is_limit_hit, found.workers_needed) == (5, True, 2)


def test_two_workers_of_which_one_is_late_share_first(connection):
    says(connection, "worker", late=5)
    says(connection, "another")

    assert not cope(connection).is_limit_hit


def test_busy_workers_need_others(connection):
    says(connection, "worker", busy=0.9)
    says(connection, "another", busy=0.8)

    assert cope(connection).workers_needed == 3


def test_idle_workers_need_no_others(connection):
    says(connection, "worker", busy=0.1)
    says(connection, "another", busy=0.1)

    assert cope(connection).workers_needed == 1


def test_states_of_tasks_are_words(connection):
    track(connection, 1)

    assert figures.figures(connection, NOW).tasks[TaskState.WATCHING] == 1


def of_kind(connection, kind: str, count: int) -> None:
    """Add jobsets of a kind, each with one task."""
    for number in range(count):
        jobsets.place(connection, kind, f"{kind} {number}", 1)


def claimed(connection, worker: str, kinds: list[str]) -> set[str]:
    """Claim all that the worker may; return the kinds of what it holds then."""
    jobsets.claim(connection, worker, kinds, 3600, 100)
    return {each.kind for each in jobsets.known(connection, worker)}


def test_a_worker_claims_only_jobsets_of_the_kinds_that_it_knows(connection):
    of_kind(connection, "track", 2)
    of_kind(connection, "check", 3)

    assert claimed(connection, "tracker", ["track"]) == {"track"}
    assert jobsets.any_free(connection, ["check"])
    assert not jobsets.any_free(connection, ["track"])

    assert claimed(connection, "both", ["track", "check"]) == {"check"}
    assert not jobsets.any_free(connection, jobsets.EVERY_KIND)


def test_a_lease_of_a_kind_that_a_worker_does_not_know_may_run_out_for_all_it_cares(connection):
    of_kind(connection, "check", 1)
    claimed(connection, "both", ["track", "check"])
    free_since(connection, 30)

    assert claimed(connection, "tracker", ["track"]) == set()
    assert claimed(connection, "another", ["check"]) == {"check"}


def test_what_waits_is_counted_by_kind_and_as_a_whole(connection):
    track(connection, *range(130))
    of_kind(connection, "check", 3)

    assert jobsets.waiting(connection, ["track"]) == (2, 130)
    assert jobsets.waiting(connection, ["check"]) == (3, 3)
    assert jobsets.waiting(connection, jobsets.EVERY_KIND) == (5, 133)
    assert cope(connection).waiting_tasks == 133


def test_who_alone_knows_a_kind_takes_all_of_it_and_a_share_of_the_rest(connection):
    of_kind(connection, "track", 9)
    of_kind(connection, "check", 4)
    says(connection, "both", kinds=("track", "check"))
    says(connection, "tracker")
    says(connection, "another tracker")

    assert shares(connection, "track", "check") == {"track": 3 + 1, "check": 4 + 1}


def test_a_kind_without_jobsets_is_offered_as_one_that_may_come(connection):
    says(connection, "worker", kinds=("track", "check"))
    of_kind(connection, "track", 2)
    hold(connection)

    offers = jobsets.offers(connection, "worker", ["track", "check"], 30)

    assert offers == {"track": Offer(share=3, free=0), "check": Offer(share=1, free=0)}


def test_only_what_nobody_holds_for_long_enough_is_offered(connection):
    says(connection, "worker")
    of_kind(connection, "track", 2)

    assert jobsets.offers(connection, "worker", ["track"], 30)["track"].free == 2
    assert jobsets.offers(connection, "worker", ["track"], 30, waited_s=60)["track"].free == 0


def test_a_worker_of_the_release_before_shares_what_it_knows(connection):
    of_kind(connection, "track", 4)
    of_kind(connection, "check", 4)
    says(connection, "new", kinds=("track", "check"))
    now = database_now()
    connection.execute(worker_table.insert().values(id="old", started_at=NOW, seen_at=now))

    assert shares(connection, "track", "check") == {"track": 2 + 1, "check": 4 + 1}


def test_jobsets_of_two_kinds_are_never_merged(connection):
    of_kind(connection, "track", 1)
    jobsets.place(connection, "check", "track 0", 1)  # of the same affinity
    claimed(connection, "both", ["track", "check"])

    for lease in jobsets.thin(connection, "both"):
        assert not jobsets.merge(connection, lease)
