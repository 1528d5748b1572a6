from __future__ import annotations

import random

import pytest
from fakes import NOW, AtOnce, job, seen

from tracker_service.archive.aggregation import Aggregation
from tracker_service.archive.copier import Copier
from tracker_service.archive.progress import CopyLimits, Progress
from tracker_service.archive.workflow_copy import WorkflowOptions
from tracker_service.errors import ConfigError
from tracker_service.store import jobs, jobsets, tasks
from tracker_service.supervisor import lock_directory
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.schedule import Schedule
from tracker_service.worker import Worker


@pytest.fixture
def new_worker(store, identities, now):
    def make() -> Worker:
        schedule = Schedule(5, 60, random.Random(7))
        poller = Poller(store, identities, schedule, AtOnce(), now)
        limits = CopyLimits(per_user=1, per_gateway=1, tries=1, retry_after=NOW - NOW)
        options = WorkflowOptions(name_node="", resource_manager="", queue=None, properties={})
        copier = Copier(
            store,
            identities,
            AtOnce(),
            Aggregation((), 1, now),
            Progress(store, limits, now),
            options,
            now,
        )
        return Worker(store, schedule, poller, copier, [], 3600, now)

    return make


@pytest.fixture
def track(store, identities, fake_cluster):
    def put(*numbers: int) -> None:
        with store.begin() as connection:
            kept = jobs.record(connection, [seen(job(n)) for n in numbers])
            tasks.track(connection, "guest", "guest", list(kept.values()), NOW)

    return put


def due(worker: Worker) -> set[str]:
    taken = worker._schedule.take_due(float("inf"))
    for owner in taken:
        worker._schedule.give_back(owner, 0)
    return {entry.task.job_id for entries in taken.values() for entry in entries}


def test_a_worker_takes_what_nobody_holds(new_worker, track):
    worker = new_worker()
    track(1, 2)

    worker.tend()

    assert due(worker) == {job(1), job(2)}


def test_two_workers_never_hold_the_same_job(new_worker, track):
    first, second = new_worker(), new_worker()
    track(1)

    first.tend()
    second.tend()

    assert (due(first), due(second)) == ({job(1)}, set())


def test_a_job_that_is_posted_later_is_loaded_at_the_next_look(new_worker, track):
    worker = new_worker()
    track(1)
    worker.tend()

    track(2)
    worker.tend()

    assert due(worker) == {job(1), job(2)}


def test_what_another_worker_has_taken_is_dropped(new_worker, track, store):
    worker = new_worker()
    track(1)
    worker.tend()
    with store.begin() as connection:
        jobsets.release(connection, worker.id)
        jobsets.claim(connection, "another", 3600, 1)

    worker.tend()

    assert due(worker) == set()
    assert worker._schedule.leases == {}


def test_a_jobset_without_tasks_is_given_back(new_worker, track, store):
    worker = new_worker()
    track(1)
    worker.tend()
    with store.begin() as connection:
        [held] = jobsets.held(connection, worker.id)
        [task] = tasks.live(connection, held.lease)
        tasks.end(connection, task, NOW)

    worker.tend()

    with store.read() as connection:
        assert jobsets.held(connection, worker.id) == []


def test_a_worker_that_stops_leaves_its_jobs_to_others_at_once(new_worker, track):
    first, second = new_worker(), new_worker()
    track(1)
    first.tend()

    first.stop()
    second.tend()

    assert due(second) == {job(1)}


def test_a_worker_says_that_it_lives_until_it_stops(new_worker, store):
    worker = new_worker()

    worker.tend()
    with store.read() as connection:
        assert jobsets.a_worker_lives(connection, 60)

    worker.stop()
    with store.read() as connection:
        assert not jobsets.a_worker_lives(connection, 60)


def test_one_state_directory_serves_one_run(tmp_path):
    with lock_directory(tmp_path / "state"), pytest.raises(ConfigError, match="another") as caught:
        lock_directory(tmp_path / "state")
    caught.traceback[-1].frame.f_locals["lock"].close()  # it is left open otherwise

    lock_directory(tmp_path / "state").close()
