"""Old jobs are purged in small steps, and after the last step from the beginning again."""

from __future__ import annotations

from datetime import timedelta

from tests.store.test_purge import LATELY, LONG_AGO, fail, tracked
from tests.unit.fakes import job
from tracker_service.tracking import purge
from tracker_service.tracking.purge import Purge


def test_each_step_removes_some_old_jobs_and_no_young_one(store, monkeypatch):
    monkeypatch.setattr(purge, "_TASKS_AT_ONCE", 2)
    with store.begin() as connection:
        fail(connection, 1, 2, 3, ended_at=LONG_AGO)
        fail(connection, 4, ended_at=LATELY)
    year = Purge(store, timedelta(days=365))

    year.step()
    with store.read() as connection:
        assert len(tracked(connection)) == 2

    year.step()
    year.step()
    with store.read() as connection:
        assert tracked(connection) == [job(4)]


def test_after_the_last_step_it_begins_again(store):
    year = Purge(store, timedelta(days=365))
    for number in (1, 2):
        with store.begin() as connection:
            fail(connection, number, ended_at=LONG_AGO)
        year.step()

    with store.read() as connection:
        assert tracked(connection) == []
