"""Old events are removed in small steps, and what nobody needs with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.fakes import job
from tracker_service.domain.events import Event
from tracker_service.sinks import pruning
from tracker_service.sinks.pruning import Pruning
from tracker_service.store import events, muted_families

NOW = datetime.now(UTC)


def happened(store, number: int, age: timedelta) -> None:
    event = Event(
        type="tracker.job.failed", subject=job(number), time=NOW - age, owner="guest", data={}
    )
    store.write(lambda connection: events.append(connection, event))


def subjects(store) -> list[str]:
    with store.read() as connection:
        found = events.following(connection, 0, events.EventFilter(), 100)
    return [each.event.subject for each in found]


@pytest.fixture
def month(store) -> Pruning:
    return Pruning(store, timedelta(days=30), lambda: NOW)


def test_each_step_removes_some_old_events_and_no_young_one(store, month, monkeypatch):
    monkeypatch.setattr(pruning, "_EVENTS_AT_ONCE", 2)
    for number in range(3):
        happened(store, number, timedelta(days=31))
    happened(store, 9, timedelta(days=29))

    month.step()
    assert len(subjects(store)) == 2

    month.step()
    month.step()
    assert subjects(store) == [job(9)]


def test_a_family_that_is_muted_no_longer_is_forgotten(store, month):
    for fingerprint, until in (("over", -1), ("still", 1)):
        store.write(
            lambda c, f=fingerprint, u=until: muted_families.mute(
                c, "guest", f, NOW + timedelta(hours=u), "guest"
            )
        )

    month.tidy()

    with store.read() as connection:
        found = connection.exec_driver_sql("SELECT fingerprint FROM muted_families").scalars()
        assert list(found) == ["still"]
