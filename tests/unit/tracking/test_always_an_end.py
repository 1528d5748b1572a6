"""A task reaches its end, and says why, also if part of its work breaks for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.fakes import (
    APP_1,
    NOW,
    AtOnce,
    Clock,
    Engine,
    FakeCluster,
    FragileStore,
    Ticks,
    a_cause,
    action,
    details,
    job,
)
from tests.unit.held import Following, Held
from tracker_service.archive.manifest import write_manifest
from tracker_service.domain.tasks import TaskState
from tracker_service.errors import StoreUnavailable
from tracker_service.identities import Identities
from tracker_service.identities.keys import KeyRing
from tracker_service.store import causes, jobs, jobsets, track_tasks
from tracker_service.tracking import outcome
from tracker_service.tracking.completion import Completion

pytestmark = pytest.mark.slow

FAILED = details(job(1), "KILLED", action(job(1), "work", APP_1))
HOURS = 3600


class Completing(Held):
    """The search for applications of one worker."""

    completion: Completion
    make: Callable[[], Completion]

    def restart(self) -> None:
        """Begin anew with what is in the store, as a worker does that was restarted."""
        self.completion = self.make()
        self.load()

    def track(self, *numbers: int, **more) -> None:
        """Track jobs that have failed, as far as the poller brings them."""
        super().track(*numbers, **more)
        for task in self.tasks():
            if task.state == TaskState.WATCHING:
                known = self.cluster.oozie.known[task.job_id]
                with self.store.begin() as connection:
                    decided = outcome.record_details(connection, task, known, (), NOW)
                    outcome.next_step(connection, decided, NOW)
        self.load()

    def load(self) -> None:
        with self.store.read() as connection:
            for held in jobsets.held(connection, "worker"):
                live = track_tasks.live(connection, held.lease)
                self.completion.load(held.lease, live, self.ticks.now)

    def go_on(self, seconds: float, step: float = 0.5) -> None:
        end = self.ticks.now + seconds
        while self.ticks.now < end:
            self.ticks.now += step
            self.completion.advance()


@pytest.fixture
def completing(
    store: FragileStore,
    identities: Identities,
    fake_cluster: FakeCluster,
    key_ring: KeyRing,
    engine: Engine,
    now: Clock,
    ticks: Ticks,
) -> Completing:
    held = Completing(store, fake_cluster, key_ring, ticks)
    held.make = lambda: Completion(store, identities, AtOnce(), write_manifest, engine, now)
    held.completion = held.make()
    fake_cluster.oozie.has(FAILED)
    return held


def manifest(completing: Completing) -> dict[str, Any]:
    [file] = [f for f in completing.cluster.homes["guest"].files if f.endswith("manifest.json")]
    return json.loads(completing.cluster.homes["guest"].files[file])


def test_a_search_that_breaks_on_an_answer_of_yarn_is_given_up_and_told(
    completing, fake_cluster, store, engine
):
    engine.says = a_cause()
    completing.track(1)
    fake_cluster.yarn.trouble = AttributeError("'str' object has no attribute 'get'")
    completing.go_on(10)
    assert completing.copied(1) == [APP_1]
    completing.save_all(1)
    completing.go_on(60)

    assert manifest(completing)["cause"]["summary"] == a_cause().summary
    with store.read() as connection:
        assert causes.find(connection, job(1), "guest")

    completing.go_on(7 * HOURS, step=60)

    assert not completing.is_live(1)
    assert "applications" in completing.task(1).reason
    assert "AttributeError" in completing.task(1).reason
    assert completing.kept() is None


def test_a_search_that_breaks_at_all_jobs_of_a_user_holds_none_up(completing, fake_cluster):
    fake_cluster.oozie.has(
        *(details(job(n), "KILLED", action(job(n), "work", APP_1)) for n in range(1, 6))
    )
    completing.track(*range(1, 6))
    fake_cluster.yarn.trouble = AttributeError("no list")

    completing.completion.advance()

    assert [completing.copied(n) for n in range(1, 6)] == [[APP_1]] * 5


def test_a_sub_workflow_whose_answer_breaks_the_search_hides_no_other_application(
    completing, oozie
):
    sub = action(job(1), "call", job(2), type="sub-workflow")
    oozie.has(details(job(1), "KILLED", sub, action(job(1), "work", APP_1)))
    oozie.troubles[job(2)] = TypeError("unexpected")
    completing.track(1)

    completing.completion.advance()

    assert completing.copied(1) == [APP_1]


@pytest.mark.parametrize("broken", ["details", "manifest", "record", "open"])
def test_a_task_ends_whatever_breaks_for_hours(completing, oozie, monkeypatch, broken):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)

    if broken == "details":
        oozie.troubles[job(1)] = KeyError("nobody thought of this")
    elif broken == "manifest":
        monkeypatch.setattr(completing.completion, "_write_manifest", breaks)
    elif broken == "record":
        monkeypatch.setattr(jobs, "record_details", breaks)
    else:
        monkeypatch.setattr(completing.completion._identities, "acting_for", breaks)
    completing.go_on(HOURS, step=60)
    assert completing.is_live(1)

    completing.go_on(6 * HOURS, step=60)

    assert not completing.is_live(1)
    assert "KeyError" in completing.task(1).reason


@pytest.mark.parametrize("broken", ["details", "open"])
def test_a_task_that_breaks_for_hours_ends_however_often_its_worker_is_restarted(
    completing, oozie, now, monkeypatch, broken
):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    if broken == "details":
        oozie.troubles[job(1)] = KeyError("nobody thought of this")
    else:
        monkeypatch.setattr(completing.completion._identities, "acting_for", breaks)
    for _ in range(3):
        completing.go_on(2 * HOURS - 600, step=60)
        now.advance(hours=2)
        assert completing.is_live(1)
        completing.restart()

    completing.go_on(600, step=60)

    assert not completing.is_live(1)


def test_a_search_that_goes_well_again_begins_the_hours_anew(completing, oozie, now):
    fake_yarn = completing.cluster.yarn
    completing.track(1)
    fake_yarn.trouble = KeyError("for a while")
    completing.go_on(60)
    fake_yarn.trouble = None
    completing.go_on(HOURS, step=60)
    assert completing.copied(1) == [APP_1]
    now.advance(hours=7)
    completing.restart()
    completing.save_all(1)

    fake_yarn.trouble = KeyError("again")
    completing.go_on(HOURS, step=60)

    assert completing.is_live(1)


def test_one_failure_after_a_night_without_a_worker_ends_no_task(completing, now, monkeypatch):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    monkeypatch.setattr(completing.completion._identities, "acting_for", breaks)
    completing.go_on(60)
    now.advance(hours=12)
    completing.restart()

    completing.completion.advance()

    assert completing.is_live(1)


def breaks(*_: object, **__: object) -> None:
    raise KeyError("nobody thought of this")


def test_a_task_whose_logs_are_not_saved_does_not_end_even_then(completing, oozie):
    completing.track(1)
    completing.go_on(10)
    oozie.troubles[job(1)] = KeyError("nobody thought of this")

    completing.go_on(9 * HOURS, step=60)

    assert completing.is_live(1)
    assert completing.copied(1) == [APP_1]


def test_copies_of_a_run_that_an_earlier_release_overwrote_keep_no_task_alive(completing, store):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    with store.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET run = 1")
        connection.exec_driver_sql("UPDATE copies SET run = 0")
    completing.cluster.oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1), run=1))

    completing.go_on(60)

    assert not completing.is_live(1)
    assert (manifest(completing)["run"], manifest(completing)["status"]) == (0, "UNKNOWN")


def test_an_ended_job_whose_details_break_each_time_is_completed_without_them(following, oozie):
    following.track(1)
    oozie.has(FAILED)
    oozie.troubles[job(1)] = KeyError("nobody thought of this")

    pass_time(following, 2 * HOURS)

    assert following.task(1).state == "copying"


@pytest.fixture
def oozie(fake_cluster: FakeCluster):
    return fake_cluster.oozie


def test_an_observation_that_cannot_be_kept_stops_no_other_job(following, oozie, monkeypatch):
    following.track(1, 2)
    oozie.has(details(job(1), "RUNNING"), details(job(2), "SUCCEEDED"))
    break_recording(monkeypatch, 1)

    following.go_on(60)

    assert following.is_live(1)
    assert not following.is_live(2)


def test_a_job_of_which_nothing_can_be_kept_for_hours_ends_its_task(following, oozie, monkeypatch):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    break_recording(monkeypatch, 1)

    pass_time(following, HOURS)
    assert following.is_live(1)
    pass_time(following, 7 * HOURS)

    assert not following.is_live(1)
    assert "nobody thought of this" in following.task(1).reason


def test_a_job_of_which_nothing_can_be_kept_ends_its_task_over_restarts_of_the_worker(
    following, oozie, now, monkeypatch
):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    break_recording(monkeypatch, 1)

    for _ in range(6):
        pass_time(following, HOURS)
        now.advance(hours=1, seconds=1)
        assert following.is_live(1)
        following.load()
    pass_time(following, HOURS)

    assert not following.is_live(1)


def test_a_job_that_is_kept_again_begins_the_hours_anew(following, oozie, now, monkeypatch):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    with monkeypatch.context() as patch:
        break_recording(patch, 1)
        pass_time(following, HOURS)
    pass_time(following, HOURS)
    assert following.state(1) == "RUNNING"
    now.advance(hours=7)
    following.load()
    oozie.has(details(job(1), "SUSPENDED"))

    break_recording(monkeypatch, 1)
    pass_time(following, HOURS)

    assert following.is_live(1)


def test_a_database_that_is_away_for_hours_ends_nothing(following, oozie, monkeypatch):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    break_recording(monkeypatch, 1, StoreUnavailable("away"))

    pass_time(following, 9 * HOURS)

    assert following.is_live(1)


def break_recording(
    monkeypatch: pytest.MonkeyPatch, number: int, error: Exception | None = None
) -> None:
    """Make the database refuse what Oozie says of one job."""
    record = jobs.record

    def breaking(connection, seen):
        if any(each.id == job(number) for each in seen):
            raise error or ValueError("nobody thought of this")
        return record(connection, seen)

    monkeypatch.setattr(jobs, "record", breaking)


def pass_time(following: Following, seconds: float) -> None:
    """Sweep once a minute."""
    for _ in range(int(seconds / 60)):
        following.ticks.now += 60
        following.poller.sweep()
