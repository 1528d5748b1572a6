from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from tests.unit.calls import GUEST
from tests.unit.fakes import Clock
from tracker_service import rooms
from tracker_service.app import create_app
from tracker_service.bootstrap import Service
from tracker_service.bootstrap.ledger import build_ledgers
from tracker_service.rooms import ALL_ROOMS
from tracker_service.settings.ledger import LedgerSettings

PATHS = {
    "tracking": "/api/jobs/tracking",
    "workers": "/api/workers",
    "notifications": "/api/notify-tokens",
    "events": "/api/events",
    "login": "/api/login",
    "operations": "/healthz",
    "exporters": "/metrics/teraslice",
    "checks": "/api/checks",
    "ledger": "/api/ledger/jobs",
}


@pytest.fixture
def service(service: Service, now: Clock) -> Service:
    """The service with a ledger without sources."""
    settings = LedgerSettings(enabled=True)
    ledgers = build_ledgers(settings, service.store, service.metrics, now)
    return replace(service, ledgers=ledgers)


def status(client: FlaskClient, path: str) -> int:
    """The status of an answer to somebody who is known."""
    method = "POST" if path == "/api/login" else "GET"
    return client.open(path, method=method, auth=GUEST).status_code


@pytest.mark.parametrize("room", ALL_ROOMS, ids=lambda room: room.name)
def test_a_process_that_serves_one_room_answers_404_on_the_paths_of_the_others(service, room):
    client = create_app(service, [room]).test_client()

    found = {name for name, path in PATHS.items() if status(client, path) != 404}

    assert found == {room.name}


def test_health_and_metrics_are_served_alone_and_without_credentials(service, fake_cluster):
    client = create_app(service, [rooms.OPERATIONS]).test_client()

    assert client.get("/healthz").json == {"status": "alive"}
    assert "tracker_workers 0" in client.get("/metrics").text
    assert fake_cluster.verified == []


def test_a_room_alone_describes_its_own_calls_and_credentials(service):
    alone = create_app(service, [rooms.OPERATIONS]).test_client().get("/openapi.json").get_json()
    tracking = create_app(service, [rooms.TRACKING]).test_client().get("/openapi.json").get_json()

    assert set(alone["paths"]) == {"/healthz", "/readyz", "/metrics"}
    assert "gateway" not in str(alone["components"].get("securitySchemes"))
    assert tracking["components"]["securitySchemes"]["gateway"]["scheme"] == "basic"
    assert "/healthz" not in tracking["paths"]


def test_the_rooms_together_are_the_whole_api(service):
    paths = create_app(service, ALL_ROOMS).test_client().get("/openapi.json").get_json()["paths"]

    assert set(PATHS) == {room.name for room in ALL_ROOMS}
    assert set(PATHS.values()) <= set(paths)
