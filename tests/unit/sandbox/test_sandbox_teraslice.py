"""The sandbox's master answers as a real one, and its controllers do what their names say."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client

from tests.unit.sandbox.conftest import Clock
from tests.unit.teraslice import ALL_SETS, one, recorded, samples
from tracker_service.engine.clock import utc_now
from tracker_service.exporters.exposition import Exposed, page
from tracker_service.exporters.health import Health
from tracker_service.exporters.masters import Master
from tracker_service.exporters.scraping import Scraper
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.gateway import SandboxGateway
from tracker_service.sandbox.server import SandboxServer, start_text


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def master(clock: Clock) -> Client:
    return Client(SandboxGateway(Cluster(clock=clock)))


def get(master: Client, path: str) -> Any:
    answer = master.get(f"/teraslice{path}")
    assert answer.status_code == 200
    assert answer.content_type == "application/json; charset=utf-8"
    return answer.get_json()


def controllers(master: Client) -> dict[str, dict[str, Any]]:
    return {row["name"].split()[0]: row for row in get(master, "/v1/cluster/controllers")}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/cluster/controllers", "controllers_running.json"),
        ("/cluster/slicers/", "controllers_running.json"),
        ("/", "root.json"),
        ("/v1", "root.json"),
    ],
)
def test_its_answers_have_the_keys_of_a_real_master_in_its_order(master, path, name):
    found, real = get(master, path), recorded(name)

    both = [(each[0] if isinstance(each, list) else each) for each in (found, real)]
    assert list(both[0]) == list(both[1])


def test_its_state_and_its_executions_have_keys_of_a_real_master(master):
    [node], [real_node] = (
        get(master, "/v1/cluster/state").values(),
        recorded("state_native.json").values(),
    )
    stored, real_stored = get(master, "/v1/ex")[0], recorded("ex_one.json")

    assert list(node) == list(real_node)
    assert [list(worker) for worker in node["active"][:2]] == [
        list(worker) for worker in real_node["active"][::2]
    ]
    assert stored.keys() <= real_stored.keys()


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/cluster/controllers"), ("GET", "/v1/nope")]
)
def test_what_it_does_not_know_is_answered_with_405(master, method, path):
    answer = master.open(f"/teraslice{path}", method=method)

    expected = {"error": 405, "message": f"cannot {method} endpoint {path}"}
    assert (answer.status_code, answer.get_json()) == (405, expected)


def test_controllers_live_pause_fail_and_vanish(master, clock):
    first = controllers(master)
    clock.advance(80)
    then = controllers(master)
    clock.advance(20)
    later = controllers(master)
    clock.advance(40)
    last = controllers(master)

    assert set(first) == set(then) == {"lives", "pauses", "fails", "vanishes"}
    assert then["lives"]["processed"] == 160
    assert (then["pauses"]["workers_active"], then["pauses"]["workers_available"]) == (0, 1)
    assert then["pauses"]["processed"] == later["pauses"]["processed"] == 120
    assert (first["fails"]["failed"], then["fails"]["failed"]) == (0, 60)
    assert set(later) == {"lives", "pauses", "fails"}
    assert last["vanishes"]["ex_id"] != first["vanishes"]["ex_id"]
    assert last["vanishes"]["job_id"] == first["vanishes"]["job_id"]


def test_executions_come_in_pages_and_by_status(master, clock):
    clock.advance(80)

    every = get(master, "/v1/ex")

    assert [each["_status"] for each in every] == ["running", "paused", "failing", "running"]
    assert get(master, "/v1/ex?size=2&from=1") == every[1:3]
    assert get(master, "/v1/ex?status=paused,failing") == every[1:3]


def test_the_exporter_understands_it():
    with SandboxServer() as sandbox:
        url = sandbox.teraslice_url
        assert url in start_text(sandbox)
        known = Master(name="s", url=url, display_url=url + "/", interval_s=30, timeout_s=10)
        found = Scraper(utc_now).update(known, Health())

    exposed = Exposed(cluster="s", url=url, health=found.health, snapshot=found.snapshot)
    shown = b"".join(page([exposed], ALL_SETS)).decode()
    assert found.health.errors == {}
    assert one(shown, "teraslice_controllers") == 4
    assert one(shown, "teraslice_execution_status", job_name="lives", status="running") == 1
    assert len([name for name, _ in samples(shown) if name == "processed"]) == 4
