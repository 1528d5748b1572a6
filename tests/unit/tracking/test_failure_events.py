"""What users hear of a job that fails, and of the logs of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.fakes import APP_1, a_cause, action, details, job
from tests.unit.tracking.test_completion import Completing, completing, oozie
from tracker_service.domain.causes import Category
from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.events import Event, EventType
from tracker_service.store import causes, conditions, copies, events, jobsets
from tracker_service.store.conditions import CLUSTER_TROUBLE
from tracker_service.store.events import EventFilter
from tracker_service.tracking.trouble import Outages, Trouble

__all__ = ["completing", "oozie"]

FAILED, SAVED = EventType.JOB_FAILED, EventType.LOGS_SAVED
TOLD = (FAILED, "tracker.logs.*")


def told(completing: Completing, *types: str) -> list[Event]:
    with completing.store.read() as connection:
        found = events.following(connection, 0, EventFilter(types=types), 100)
    return [each.event for each in found]


def fail(completing: Completing, *numbers: int, owner: str = "guest") -> None:
    """Fail workflows, and save all their logs."""
    for number in numbers:
        completing.cluster.oozie.has(
            details(job(number), "KILLED", action(job(number), "work", APP_1))
        )
    completing.track(*numbers, owner=owner)
    completing.go_on(10)
    for number in numbers:
        completing.save_all(number)
    completing.go_on(10)


def test_a_failure_is_told_once_with_its_cause_and_the_state_of_its_logs(completing, engine):
    engine.says = a_cause()
    fail(completing, 1)
    completing.go_on(600)

    [failed] = told(completing, FAILED)

    assert (failed.owner, failed.subject, failed.data["status"]) == ("guest", job(1), "KILLED")
    assert failed.data["cause"]["summary"] == a_cause().summary
    assert failed.data["cause"]["complete"] is True
    assert failed.data["logs"] == {"wanted": 1, "saved": 1, "lost": 0, "missing": []}
    assert failed.data["links"] == {
        "job": f"/api/job/{job(1)}",
        "logs": f"/api/job/{job(1)}/logs",
    }
    assert [each.type for each in told(completing, "tracker.logs.*")] == [SAVED]


def test_a_failure_without_a_known_cause_is_told_too(completing, engine):
    engine.says = None
    fail(completing, 1)

    [failed] = told(completing, FAILED)
    assert failed.data["cause"] is None


def test_logs_that_take_long_are_told_of_before_they_are_saved(completing, engine):
    engine.says = a_cause()
    completing.track(1)
    completing.go_on(110)
    assert told(completing, FAILED) == []

    completing.go_on(300)
    assert [each.type for each in told(completing, *TOLD)] == [FAILED, EventType.LOGS_AT_RISK]
    [at_risk] = told(completing, EventType.LOGS_AT_RISK)
    [missing] = at_risk.data["logs"]["missing"]
    assert missing == {"application": APP_1, "reason": completing.copies(1)[0].reason}

    completing.save_all(1)
    completing.go_on(10)
    types = [each.type for each in told(completing, *TOLD)]
    assert types == [FAILED, EventType.LOGS_AT_RISK, SAVED]


def test_a_log_that_is_lost_is_told_of(completing, store, engine):
    engine.says = a_cause()
    completing.track(1)
    completing.go_on(10)
    with store.begin() as connection:
        copies.change(connection, *completing.copies(1), status=CopyStatus.FAILED, reason="gone")
    completing.go_on(10)

    [lost] = told(completing, "tracker.logs.*")

    assert lost.type == EventType.LOGS_LOST
    assert lost.data["logs"]["missing"] == [{"application": APP_1, "reason": "gone"}]


def test_a_log_that_is_copied_again_is_told_of_again_but_not_the_failure(completing, store, engine):
    engine.says = a_cause()
    fail(completing, 1)
    with store.begin() as connection:
        [task] = [each.task_id for each in completing.copies(1)]
        copies.restart(connection, [task], completing.completion._clock(), refresh=True)
    completing.completion._clock.advance(minutes=5)
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    completing.go_on(10)

    assert len(told(completing, FAILED)) == 1


def test_a_family_that_the_user_had_lately_is_not_new(completing, engine):
    engine.says = a_cause()
    fail(completing, 1)
    fail(completing, 2)

    assert [each.data["is-new-family"] for each in told(completing, FAILED)] == [True, False]


def test_a_failure_during_a_trouble_of_the_cluster_says_so(completing, store, engine):
    engine.says = a_cause()
    store.write(lambda c: conditions.note(c, CLUSTER_TROUBLE, "webhdfs", {"summary": "away"}))
    fail(completing, 1)

    [failed] = told(completing, FAILED)
    assert [each["subject"] for each in failed.data["trouble"]] == ["webhdfs"]


def test_a_worker_that_has_lost_the_jobset_tells_nothing_twice(completing, store, engine):
    engine.says = a_cause()
    completing.track(1)
    completing.go_on(130)
    with store.begin() as connection:
        jobsets.release(connection, "worker")
        jobsets.claim(connection, "worker", ["track"], 3600, 10)
    completing.completion._items.clear()
    completing.load()
    completing.go_on(130)

    assert len(told(completing, FAILED)) == 1


@pytest.fixture
def outages(ticks) -> Outages:
    return Outages(lambda: ticks.now)


@pytest.fixture
def trouble(store, outages, now) -> Trouble:
    return Trouble(store, outages, now)


def troubles(store) -> list[tuple[str, str]]:
    with store.read() as connection:
        found = events.following(connection, 0, EventFilter(types=["tracker.cluster.*"]), 100)
    return [(each.event.type, each.event.subject) for each in found]


def test_a_service_that_stays_away_is_one_trouble_until_it_is_back(
    store, trouble, outages, ticks, monkeypatch
):
    outages.changed("oozie", is_open=True)
    trouble.look()
    assert troubles(store) == []

    ticks.now += 25
    outages.changed("oozie", is_open=True)
    trouble.look()
    trouble.look()
    assert troubles(store) == [(EventType.CLUSTER_TROUBLE, "oozie")]

    outages.changed("oozie", is_open=False)
    trouble.look()
    assert len(troubles(store)) == 1
    monkeypatch.setattr("tracker_service.tracking.trouble._OVER_AFTER_S", -60)
    trouble.look()
    assert troubles(store)[1:] == [(EventType.CLUSTER_TROUBLE_OVER, "oozie")]


@pytest.mark.parametrize(
    ("category", "owners", "is_trouble"),
    [
        (Category.DEPENDENCY_SERVICE, ("guest", "sam"), True),
        (Category.DEPENDENCY_SERVICE, ("guest", "guest"), False),
        (Category.APPLICATION_ERROR, ("guest", "sam"), False),
    ],
)
def test_the_same_failure_of_several_users_is_a_trouble_of_the_cluster(
    completing, store, trouble, now, category, owners, is_trouble
):
    for number, owner in enumerate(owners, 1):
        completing.cluster.oozie.has(details(job(number), "KILLED"))
        completing.track(number, owner=owner)
        [task] = [each for each in completing.tasks() if each.job_id == job(number)]
        with store.begin() as connection:
            cause = a_cause(category=category)
            causes.keep(connection, task.id, task.job_key, cause, now() - timedelta(minutes=5))

    trouble.look()

    assert bool(troubles(store)) == is_trouble
