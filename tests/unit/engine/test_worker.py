from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from structlog.testing import capture_logs

from tests.unit.archive_parts import build
from tests.unit.fakes import APP_1, NOW, AtOnce, Engine, Ticks, details, job, seen
from tracker_service.archive import duties as archive
from tracker_service.archive.expiry import Expiry
from tracker_service.archive.manifest import write_manifest
from tracker_service.domain.copies import CopyStatus, Strategy
from tracker_service.domain.tasks import TrackTask
from tracker_service.engine import leases
from tracker_service.engine.duties import Duty, Held
from tracker_service.engine.slots import Slots
from tracker_service.engine.worker import Worker
from tracker_service.errors import ConfigError, StoreUnavailable
from tracker_service.identities.duties import duties as identity_duties
from tracker_service.sources.credentials import BasicCredential
from tracker_service.store import (
    copies,
    hints,
    jobs,
    jobsets,
    tasks,
    track_tasks,
    tracked_jobs,
    verified_callers,
    workers,
)
from tracker_service.store.figures import capacity
from tracker_service.store.workers import Presence
from tracker_service.supervisor import lock_directory
from tracker_service.tracking import duties as tracking
from tracker_service.tracking.completion import Completion
from tracker_service.tracking.hints import Hints
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.purge import Purge
from tracker_service.tracking.schedule import Schedule
from tracker_service.tracking.trouble import Outages, Trouble


class Tracker(Worker):
    """A worker that follows jobs on the thread that asks for it, and what it is made of."""

    schedule: Schedule
    completion: Completion
    expiry: Expiry

    def do(self, name: str) -> None:
        """Do one of its duties now."""
        [duty] = [duty for duty in self._duties if duty.name == name]
        self._do(duty)


@pytest.fixture
def new_worker(store, identities, reruns, now):
    def make() -> Tracker:
        slots, schedule = Slots(8), Schedule(5, 60, random.Random(7))
        poller = Poller(store, identities, schedule, (AtOnce(), AtOnce()), now, slots)
        completion = Completion(store, identities, AtOnce(), write_manifest, Engine(), now)
        expiry = Expiry(store, identities, None, now)
        worker = Tracker(
            store,
            [tracking.Tracking(store, schedule, completion, now)],
            [
                *tracking.duties(
                    store,
                    poller,
                    Hints(store, schedule, reruns),
                    completion,
                    reruns,
                    Purge(store, timedelta(days=365)),
                    Trouble(store, Outages(), now),
                    clock=now,
                ),
                *archive.duties(build(store, identities, now).copier, expiry),
                *identity_duties(store, now),
            ],
            executors=[],
            lease_s=3600,
            clock=now,
            busy=slots.busy,
            share_pace=lambda _: None,
        )
        worker.schedule, worker.completion, worker.expiry = schedule, completion, expiry
        return worker

    return make


@pytest.fixture
def track(store, identities, fake_cluster):
    def put(*numbers: int) -> None:
        with store.begin() as connection:
            kept = jobs.record(connection, [seen(job(n)) for n in numbers])
            track_tasks.track(connection, "guest", "guest", list(kept.values()), NOW)

    return put


def due(worker: Tracker) -> set[str]:
    schedule = worker.schedule
    batches = schedule.take_due(1e12, 8)
    for batch in batches:
        schedule.give_back(batch, 0)
    return {entry.task.job_id for batch in batches for entry in batch.entries}


def test_a_worker_takes_what_nobody_holds(new_worker, track):
    worker = new_worker()
    track(1, 2)

    worker.leases.tend()

    assert due(worker) == {job(1), job(2)}


def test_two_workers_never_hold_the_same_job(new_worker, track):
    first, second = new_worker(), new_worker()
    track(1)

    first.leases.tend()
    second.leases.tend()

    assert (due(first), due(second)) == ({job(1)}, set())


def test_a_job_that_is_posted_later_is_loaded_at_the_next_look(new_worker, track):
    worker = new_worker()
    track(1)
    worker.leases.tend()

    track(2)
    worker.leases.tend()

    assert due(worker) == {job(1), job(2)}


def test_what_another_worker_has_taken_is_dropped(new_worker, track, store):
    worker = new_worker()
    track(1)
    worker.leases.tend()
    with store.begin() as connection:
        jobsets.release(connection, worker.id)
        jobsets.claim(connection, "another", ["track"], 3600, 1)

    worker.leases.tend()

    assert due(worker) == set()


def copying(worker: Tracker) -> set[str]:
    return {item.task.job_id for item in worker.completion._items.values()}


def start_copying(store, worker: Tracker, number: int) -> None:
    with store.begin() as connection:
        [held] = jobsets.held(connection, worker.id)
        live = track_tasks.live(connection, held.lease)
        track_tasks.start_copying(connection, next(t for t in live if t.job_id == job(number)))


def test_a_task_changes_hands_when_its_logs_are_to_be_saved(new_worker, track, store):
    worker = new_worker()
    track(1, 2)
    worker.leases.tend()

    start_copying(store, worker, 1)
    worker.leases.tend()

    assert (due(worker), copying(worker)) == ({job(2)}, {job(1)})


def test_another_worker_goes_on_where_the_first_was(new_worker, track, store):
    first, second = new_worker(), new_worker()
    track(1, 2)
    first.leases.tend()
    start_copying(store, first, 1)
    first.leases.tend()

    first.stop()
    second.leases.tend()

    assert (due(second), copying(second)) == ({job(2)}, {job(1)})


def test_what_has_not_changed_is_not_loaded_again(new_worker, track, monkeypatch):
    worker = new_worker()
    track(1)
    worker.leases.tend()
    monkeypatch.setattr(track_tasks, "live", lambda *_: pytest.fail("it was loaded again"))

    worker.leases.tend()


def test_logs_that_are_saved_of_a_lost_jobset_are_dropped_too(new_worker, track, store):
    worker = new_worker()
    track(1)
    worker.leases.tend()
    start_copying(store, worker, 1)
    worker.leases.tend()
    with store.begin() as connection:
        jobsets.release(connection, worker.id)
        jobsets.claim(connection, "another", ["track"], 3600, 1)

    worker.leases.tend()

    assert copying(worker) == set()


@pytest.mark.parametrize(
    ("trouble", "event"),
    [(StoreUnavailable(), "store_unavailable"), (KeyError("x"), "duty_broke")],
)
def test_a_worker_outlives_a_failure_of_a_duty_and_says_so(new_worker, trouble, event):
    def fail(_: Held) -> None:
        raise trouble

    with capture_logs() as logged:
        new_worker()._do(Duty(name="sweep", every_s=1, run=fail))

    assert [(line["event"], line["duty"]) for line in logged] == [(event, "sweep")]


def test_what_has_expired_is_tidied_away(new_worker, store, now):
    worker = new_worker()
    with store.begin() as connection:
        caller = verified_callers.VerifiedCaller(
            owner="guest", expires_at=NOW - verified_callers.RIGHT_LATELY
        )
        verified_callers.keep(connection, "print", caller)
        workers.note(
            connection, Presence(id="killed", started_at=NOW, release="1", kinds=("track",))
        )
        long_ago = "UPDATE workers SET seen_at = seen_at - 90000000"
        connection.exec_driver_sql(long_ago)

    worker.do("tidy")
    worker.do("tidy_callers")

    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM verdicts").scalar() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM workers").scalar() == 0


def test_a_worker_looks_for_reruns_of_what_its_users_tracked(
    new_worker, track, store, identities, fake_cluster
):
    worker = new_worker()
    track(1, 2)
    worker.leases.tend()
    caller = identities.verify(BasicCredential("guest", "guest-password"))
    with store.begin() as connection:
        [held] = jobsets.held(connection, worker.id)
        identities.track(connection, caller, [], NOW)
        [task] = [t for t in track_tasks.live(connection, held.lease) if t.job_id == job(1)]
        ended = jobs.record(connection, [seen(job(1), "KILLED")])[job(1)]
        assert ended.status == "KILLED"
        tasks.end(connection, task, NOW)
    fake_cluster.oozie.has(details(job(1), "RUNNING", run=1))

    worker.do("look_for_reruns")
    worker.leases.tend()

    assert due(worker) == {job(1), job(2)}


def test_a_jobset_without_tasks_is_given_back(new_worker, track, store):
    worker = new_worker()
    track(1)
    worker.leases.tend()
    with store.begin() as connection:
        [held] = jobsets.held(connection, worker.id)
        [task] = track_tasks.live(connection, held.lease)
        tasks.end(connection, task, NOW)

    worker.leases.tend()

    with store.read() as connection:
        assert jobsets.held(connection, worker.id) == []


def test_a_worker_that_stops_leaves_its_jobs_to_others_at_once(new_worker, track):
    first, second = new_worker(), new_worker()
    track(1)
    first.leases.tend()

    first.stop()
    second.leases.tend()

    assert due(second) == {job(1)}


def test_a_worker_says_that_it_lives_until_it_stops(new_worker, store):
    worker = new_worker()

    worker.leases.tend()
    with store.read() as connection:
        assert workers.living(connection, 60)

    worker.stop()
    with store.read() as connection:
        assert not workers.living(connection, 60)


def test_old_logs_are_looked_for_in_the_jobsets_that_the_worker_holds(
    new_worker, track, monkeypatch
):
    worker = new_worker()
    looked: list[object] = []
    track(1)
    worker.leases.tend()
    monkeypatch.setattr(worker.expiry, "advance", looked.append)

    worker.do("expire")

    assert looked == [list(worker.leases._held)]
    assert worker.leases._held


def held(store, worker: Tracker) -> int:
    with store.read() as connection:
        return len(jobsets.held(connection, worker.id))


def test_a_worker_that_joins_gets_its_share_of_the_jobs(new_worker, track, store):
    first, second = new_worker(), new_worker()
    track(*range(450))
    first.leases.tend()
    assert held(store, first) == 5

    second.leases.tend()
    first.leases.tend()
    second.leases.tend()

    assert (held(store, first), held(store, second)) == (4, 1)
    assert due(first).isdisjoint(due(second))


def test_a_worker_takes_no_more_than_its_share(new_worker, track, store):
    first, second = new_worker(), new_worker()
    first.leases.tend()
    second.leases.tend()
    track(*range(800))

    first.leases.tend()
    second.leases.tend()

    assert (held(store, first), held(store, second)) == (5, 3)


def test_what_a_worker_gives_back_is_what_it_took_last(new_worker, track, store):
    first, second = new_worker(), new_worker()
    track(*range(100))
    first.leases.tend()
    track(*range(100, 450))
    first.leases.tend()
    second.leases.tend()

    first.leases.tend()

    assert job(1) in due(first)


def start_streaming(connection, task: TrackTask) -> None:
    """Start a direct copy of a log of a task."""
    copies.decide(connection, task, [APP_1], NOW)
    [copy] = copies.of_tasks(connection, [task.id])[task.id]
    copies.change(connection, copy, status=CopyStatus.RUNNING, strategy=Strategy.DIRECT)


def test_a_jobset_of_which_a_log_passes_through_is_not_given_back(new_worker, track, store):
    first, second = new_worker(), new_worker()
    track(*range(450))
    first.leases.tend()
    with store.begin() as connection:
        newest = list(first.leases._held.values())[-1].lease
        start_streaming(connection, track_tasks.live(connection, newest)[0])
    second.leases.tend()

    first.leases.tend()

    assert held(store, first) == 4
    assert newest.jobset_id in first.leases._held


def make_late(worker: Tracker) -> None:
    """Make a worker check all its tasks too late twice in a row."""
    schedule = worker.schedule
    for now in (1e9, 2e9):
        for batch in schedule.take_due(now, 8):
            for entry in batch.entries:
                schedule.postpone(entry, now)
            schedule.give_back(batch, now)


def renew(worker: Tracker) -> None:
    worker.leases._renewed = float("-inf")
    worker.leases.tend()


def test_jobs_that_are_looked_at_too_late_are_left_to_another_worker(new_worker, track, store):
    first, second = new_worker(), new_worker()
    track(*range(200))
    first.leases.tend()
    second.leases.tend()
    make_late(first)

    renew(first)
    assert held(store, first) == 0

    second.leases.tend()
    first.leases.tend()
    assert held(store, first) == 0
    assert held(store, second) == 2


def test_the_only_worker_keeps_what_it_looks_at_too_late_and_says_so(new_worker, track, store):
    worker = new_worker()
    track(1)
    worker.leases.tend()
    make_late(worker)

    with capture_logs() as logged:
        renew(worker)
        renew(worker)

    assert held(store, worker) == 1
    assert [line["event"] for line in logged if line["log_level"] == "error"] == [
        "scaling_limit_hit"
    ]
    with store.read() as connection:
        assert capacity(connection, 60).is_limit_hit


def test_what_waits_for_too_long_is_taken_also_by_a_worker_that_is_late(new_worker, track, store):
    first, second = new_worker(), new_worker()
    track(1)
    first.leases.tend()
    second.leases.tend()
    make_late(first)
    renew(first)
    with store.begin() as connection:
        connection.exec_driver_sql("UPDATE jobsets SET lease_until = lease_until - 61000")

    first.leases.tend()

    assert held(store, first) == 1


def test_hardly_filled_jobsets_are_merged(new_worker, track, store):
    worker = new_worker()
    track(*range(110))
    worker.leases.tend()
    with store.begin() as connection:
        first, _ = jobsets.held(connection, worker.id)
        for task in track_tasks.live(connection, first.lease)[:50]:
            tasks.end(connection, task, NOW)

    worker.do("tidy")
    worker.leases.tend()

    assert held(store, worker) == 1
    assert len(due(worker)) == 60


def test_a_jobset_of_which_a_log_passes_through_is_not_merged(new_worker, track, store):
    worker = new_worker()
    track(*range(110))
    worker.leases.tend()
    with store.begin() as connection:
        first, second = jobsets.held(connection, worker.id)
        for task in track_tasks.live(connection, first.lease)[:50]:
            tasks.end(connection, task, NOW)
        start_streaming(connection, track_tasks.live(connection, second.lease)[0])

    worker.do("tidy")
    worker.leases.tend()

    assert held(store, worker) == 2


def test_after_the_clock_was_set_copies_are_due_that_were_to_wait(new_worker, track, store, now):
    worker = new_worker()
    track(1)
    worker.leases.tend()
    with store.begin() as connection:
        [task] = track_tasks.live(connection, next(iter(worker.leases._held.values())).lease)
        copies.decide(connection, task, [APP_1], NOW)
        ids = [copy.id for copy in copies.of_tasks(connection, [task.id])[task.id]]
        copies.postpone(connection, ids, NOW + timedelta(hours=1), "waits")

    worker._resume_after_clock_change(BackgroundScheduler(), -3600)

    with store.read() as connection:
        leases = worker.leases.held().of("track")
        due = copies.due(connection, leases, NOW, copies.DueFilter(), 10)
    assert [copy.id for copy, _ in due] == ids


def test_one_state_directory_serves_one_run(tmp_path):
    with lock_directory(tmp_path / "state"), pytest.raises(ConfigError, match="another") as caught:
        lock_directory(tmp_path / "state")
    caught.traceback[-1].frame.f_locals["lock"].close()  # it is left open otherwise

    lock_directory(tmp_path / "state").close()


def hint_at(store, number: int) -> None:
    with store.begin() as connection:
        hints.add(connection, hints.tasks_to_hint(connection, "guest", job(number)), NOW)


def due_before_all_others(worker: Tracker) -> set[str]:
    """Return what is due whatever the clock says."""
    batches = worker.schedule.take_due(1.0, 8)
    return {entry.task.job_id for batch in batches for entry in batch.entries[:1]}


def test_what_somebody_hints_at_is_due_before_all_others(new_worker, track, store):
    worker = new_worker()
    track(1, 2)
    worker.leases.tend()
    hint_at(store, 2)

    worker.do("follow_hints")

    assert due_before_all_others(worker) == {job(2)}


def test_a_hint_at_a_job_whose_logs_are_being_saved_leads_to_nothing_and_goes(
    new_worker, track, store
):
    worker = new_worker()
    track(1)
    worker.leases.tend()
    start_copying(store, worker, 1)
    worker.leases.tend()
    hint_at(store, 1)

    worker.do("follow_hints")

    assert due_before_all_others(worker) == set()
    with store.read() as connection:
        assert hints.for_worker(connection, worker.id) == []


def test_hints_at_jobs_that_have_ended_are_kept_for_a_minute(new_worker, track, store, now):
    worker = new_worker()
    track(1)
    with store.begin() as connection:
        track_tasks.stop(connection, "guest", job(1), NOW)
        hints.add(connection, [1], NOW)

    now.advance(seconds=60)
    worker.do("tidy_hints")
    with store.read() as connection:
        assert len(hints.for_worker(connection, worker.id)) == 1

    now.advance(seconds=1)
    worker.do("tidy_hints")
    with store.read() as connection:
        assert hints.for_worker(connection, worker.id) == []


def track_as_the_release_before(store, track) -> None:
    """Leave a task as an API of the release before posts it, which knows no `track_tasks`."""
    track(1)
    with store.begin() as connection:
        connection.exec_driver_sql("DELETE FROM track_tasks")
        connection.exec_driver_sql("UPDATE tasks SET subject = NULL")


def test_a_job_that_is_posted_to_an_api_of_the_release_before_is_loaded(new_worker, track, store):
    worker = new_worker()
    track_as_the_release_before(store, track)

    worker.leases.tend()
    worker.leases.tend()

    assert due(worker) == {job(1)}


def test_a_job_that_a_worker_of_the_release_before_holds_is_told_within_a_minute(
    new_worker, track, store
):
    track_as_the_release_before(store, track)
    with store.begin() as connection:
        jobsets.claim(connection, "old", ["track"], 3600, 1)

    new_worker().do("adopt")

    with store.read() as connection:
        assert tracked_jobs.of_job(connection, "guest", job(1))


def test_late_jobs_are_not_given_back_while_a_log_of_theirs_is_being_written(
    new_worker, track, store
):
    first, second = new_worker(), new_worker()
    track(*range(200))
    first.leases.tend()
    second.leases.tend()
    with store.begin() as connection:
        streaming = next(iter(first.leases._held.values())).lease
        start_streaming(connection, track_tasks.live(connection, streaming)[0])
    make_late(first)

    renew(first)

    assert list(first.leases._held) == [streaming.jobset_id]


def test_leases_are_renewed_while_a_jobset_is_being_loaded(new_worker, track, store, monkeypatch):
    worker = new_worker()
    track(1)
    worker.leases.tend()
    track(2)
    live = track_tasks.live

    def slow(connection, lease):
        with store.begin() as writing:
            writing.exec_driver_sql("UPDATE jobsets SET lease_until = 0")
        worker.leases._renewed = 0.0
        worker.do("renew")
        return live(connection, lease)

    monkeypatch.setattr(track_tasks, "live", slow)
    worker.leases.tend()

    with store.read() as connection:
        assert not jobsets.any_free(connection, ["track"])
    assert due(worker) == {job(1), job(2)}


@pytest.fixture
def lease_ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """The monotonic clock of the leases."""
    ticks = Ticks()
    monkeypatch.setattr(leases, "time", ticks)
    return ticks


def test_a_jobset_that_cannot_be_loaded_is_tried_less_and_less_often(
    new_worker, track, monkeypatch, lease_ticks
):
    worker = new_worker()
    track(1)
    tries = []

    def broken(*_):
        tries.append(lease_ticks.now)
        raise ValueError("a state that this release does not know")

    monkeypatch.setattr(track_tasks, "live", broken)
    for _ in range(300):
        worker.leases.tend()
        lease_ticks.now += 0.5

    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == 60


def test_a_jobset_that_cannot_be_loaded_keeps_no_other_from_it(
    new_worker, track, monkeypatch, lease_ticks
):
    worker = new_worker()
    track(*range(200))
    live, broken = track_tasks.live, set[int]()

    def fragile(connection, lease):
        broken.add(min([lease.jobset_id, *broken]))
        if lease.jobset_id in broken:
            raise ValueError("a state that this release does not know")
        return live(connection, lease)

    monkeypatch.setattr(track_tasks, "live", fragile)
    worker.leases.tend()
    assert len(due(worker)) == 100

    monkeypatch.setattr(track_tasks, "live", live)
    lease_ticks.now += 1
    worker.leases.tend()
    assert len(due(worker)) == 200
