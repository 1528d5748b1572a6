"""Databases of earlier releases keep their ledgers, and get one if they had none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.store.rows import NOW
from tests.store.schemas import LEDGER_JOB, THEN_MS, make
from tracker_service.domain.ledger import LedgerJob, history_of
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store
from tracker_service.store.ledger_jobs import Change

JOB = LedgerJob(
    bucket="lab", experiment="ndt", datatype="ndt7", date=datetime(2024, 1, 2, tzinfo=UTC)
)


@pytest.fixture
def upgraded(bare_url: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    make(bare_url, request.param)
    store = Store(bare_url)
    store.upgrade()
    yield store
    store.close()


def finish(store: Store) -> list[str]:
    """Complete the job, and return its states."""
    change = Change("default", LEDGER_JOB, lambda status: status.updated("complete", "-", NOW))
    store.write(lambda connection: ledger_jobs.change_all(connection, [change]))
    with store.read() as connection:
        found = ledger_jobs.find(connection, "default", LEDGER_JOB)
        assert found
        rows = ledger_jobs.history(connection, found.id)
    return [state.state for state in history_of(rows, 0)]


@pytest.mark.parametrize("upgraded", ["0010"], indirect=True)
def test_a_release_without_a_ledger_gets_one(upgraded):
    upgraded.write(lambda connection: ledger_jobs.add_all(connection, "default", [JOB], NOW))

    assert finish(upgraded) == ["init", "complete"]


@pytest.mark.parametrize("upgraded", ["0011"], indirect=True)
def test_a_job_of_a_ledger_goes_on_after_an_upgrade(upgraded):
    with upgraded.read() as connection:
        [job] = ledger_jobs.listed(connection, "default")
    then = datetime.fromtimestamp(THEN_MS / 1000, UTC)
    assert (job.status.state, job.status.detail, job.status.start_time) == (
        "parsing",
        "a file",
        then,
    )

    assert finish(upgraded) == ["init", "parsing", "complete"]
