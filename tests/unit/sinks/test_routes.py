"""The routes of the settings are the site's subscriptions."""

from __future__ import annotations

import pytest

from tests.unit.fakes import NOW
from tracker_service.domain.subscriptions import SITE_OWNER, Selection
from tracker_service.settings.sinks import EventsAndSinks
from tracker_service.sinks.routes import Routes
from tracker_service.store import subscriptions

SINKS = {name: {"type": "graphite", "host": "localhost"} for name in ("counts", "more")}


@pytest.fixture
def set_routes(store):
    def set_them(*routes: dict[str, object]) -> Routes:
        found = EventsAndSinks.model_validate({"sinks": SINKS, "routes": routes})
        return Routes(store, found.routes, found.sinks.by_name, lambda: NOW)

    return set_them


def kept(store) -> dict[str, Selection]:
    with store.read() as connection:
        found = subscriptions.of_owners(connection, [SITE_OWNER])
    return {each.name: each.selection for each in found}


def test_two_routes_to_one_sink_are_two_subscriptions(store, set_routes):
    set_routes(
        {"sink": "counts", "types": ["tracker.job.failed"]},
        {"sink": "more"},
        {"sink": "counts", "types": ["tracker.logs.lost"]},
    ).set_once()

    assert {name: each.types for name, each in kept(store).items()} == {
        "counts": ("tracker.job.failed",),
        "counts#2": ("tracker.logs.lost",),
        "more": (),
    }


def test_a_route_that_the_settings_no_longer_have_is_removed(store, set_routes):
    set_routes({"sink": "counts"}, {"sink": "more"}).set_once()

    set_routes({"sink": "more"}).set_once()

    assert list(kept(store)) == ["more"]


def test_a_worker_sets_its_routes_once(store, set_routes):
    routes = set_routes({"sink": "counts"})
    routes.set_once()
    set_routes().set_once()  # a worker with newer settings

    routes.set_once()

    assert kept(store) == {}
