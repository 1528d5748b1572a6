from __future__ import annotations

import pytest

from tests.unit.calls import ADMIN, get
from tests.unit.fakes import NOW, job, seen
from tracker_service.store import jobs, jobsets, track_tasks, workers
from tracker_service.store.workers import Presence


@pytest.fixture
def shared(store):
    """A worker that holds one of two jobsets."""
    with store.begin() as connection:
        kept = jobs.record(connection, [seen(job(number)) for number in range(130)])
        track_tasks.track(connection, "guest", "guest", list(kept.values()), NOW)
        presence = Presence(
            id="host-1-a", started_at=NOW, release="1.0", kinds=("track",), busy=0.5, late=2
        )
        workers.note(connection, presence)
        jobsets.claim(connection, "host-1-a", ["track"], 3600, 1)


def test_admins_see_which_worker_holds_how_much(client, shared):
    [worker] = get(client, "/api/workers", auth=ADMIN).json

    assert (worker["id"], worker["alive"], worker["release"]) == ("host-1-a", True, "1.0")
    assert (worker["jobsets"], worker["tasks"]) == (1, 100)
    assert (worker["busy"], worker["late-tasks"]) == (0.5, 2)


def test_admins_see_what_is_held_and_what_waits(client, shared):
    held, waiting = get(client, "/api/jobsets", auth=ADMIN).json

    assert (held["worker"], held["waiting"], held["tasks"]) == ("host-1-a", False, 100)
    assert (waiting["worker"], waiting["waiting"], waiting["tasks"]) == (None, True, 30)


def test_the_jobsets_of_one_worker_can_be_asked_for(client, shared):
    [held] = get(client, "/api/jobsets?worker=host-1-a", auth=ADMIN).json

    assert held["epoch"] == 1
    assert get(client, "/api/jobsets?worker=nobody", auth=ADMIN).json == []


@pytest.mark.parametrize("path", ["/api/workers", "/api/jobsets"])
def test_others_do_not_see_workers(client, shared, path):
    answer = get(client, path)

    assert answer.status_code == 403
    assert "rights.auditors" in answer.json["message"]


def test_readiness_tells_how_the_workers_cope(client, shared):
    told = client.get("/readyz").json

    assert told["status"] == "ready"
    assert (told["workers"], told["workers-needed"], told["waiting-tasks"]) == (1, 2, 30)
    assert (told["late-tasks"], told["scaling-limit-hit"]) == (2, True)
    assert told["lease-losses"] == 0
    assert told["lag-seconds"] >= 0
