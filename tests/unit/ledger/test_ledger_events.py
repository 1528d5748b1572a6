"""What happens to the jobs of a ledger is told in the log of events, with the change itself."""

from __future__ import annotations

import pytest

from tests.unit.ledger.conftest import ledger_job
from tracker_service.domain.events import SITE, Event
from tracker_service.domain.ledger import LedgerJob
from tracker_service.ledger.calls import Call
from tracker_service.ledger.duties import remove_old
from tracker_service.ledger.ledger import Ledger
from tracker_service.store import events, ledger_jobs
from tracker_service.store.database import Store

JOB = ledger_job()


@pytest.fixture
def ledger(open_ledgers) -> Ledger:
    found: Ledger = open_ledgers(events=["postProcessing"]).by_name["default"].ledger
    found.add_job(JOB)
    return found


def told(store: Store) -> list[Event]:
    with store.read() as connection:
        return [e.event for e in events.following(connection, 0, events.EventFilter(), 100)]


def types(store: Store) -> list[str]:
    return [event.type.removeprefix("ledger.job.") for event in told(store)]


def test_a_failure_is_told_with_its_reason(ledger, store):
    ledger.set_status(JOB.key, "loading")
    ledger.set_job_error(JOB.key, "no room")

    [event] = told(store)

    assert (event.type, event.subject, event.owner) == ("ledger.job.failed", JOB.key, SITE)
    assert event.data == {
        "ledger": "default",
        "id": JOB.key,
        "experiment": "ndt",
        "datatype": "ndt7",
        "date": "2024-01-02T00:00:00+00:00",
        "from": "loading",
        "state": "failed",
        "reason": "loading: no room",
        "action": None,
    }


def test_an_error_that_a_parser_reports_is_a_failure(ledger, store):
    ledger.set_status(JOB.key, "parseError", "broken archive")

    [event] = told(store)

    assert (event.type, event.data["reason"]) == ("ledger.job.failed", "broken archive")


def test_an_end_is_told_once_and_other_states_only_if_the_settings_name_them(ledger, store):
    for state in ("parsing", "postProcessing", "postProcessing", "loading", "complete", "complete"):
        ledger.set_status(JOB.key, state, "a detail")

    assert types(store) == ["state_changed", "completed"]


def test_an_action_that_ends_well_is_told_beside_what_it_has_brought_about(ledger, store):
    change = ledger.change(
        JOB.key,
        lambda status: status.updated("complete", "-", status.detail_time),
        action="loading",
    )

    store.write(lambda connection: ledger_jobs.change_all(connection, [change]))

    assert types(store) == ["action_done", "completed"]
    assert {event.data["action"] for event in told(store)} == {"loading"}


def test_a_job_that_expires_is_told_and_one_that_is_cleaned_up_is_not(ledger, store, now):
    other = ledger_job(3)
    ledger.add_job(other)
    ledger.set_status(other.key, "complete")
    now.advance(hours=25)

    remove_old(store, ledger)

    assert [(e.type, e.subject) for e in told(store)][1:] == [("ledger.job.expired", JOB.key)]


def test_updates_of_one_commit_are_told_in_their_order(open_ledgers, store):
    opened = open_ledgers()
    jobs: list[LedgerJob] = [ledger_job(day) for day in (2, 3, 4)]
    for job in jobs:
        opened.by_name["default"].ledger.add_job(job)

    opened.calls.answer_all([error(job.key) for job in (*jobs, jobs[0])])

    assert [event.subject for event in told(store)] == [job.key for job in jobs]


def test_a_reason_in_an_event_has_an_end(ledger, store):
    ledger.set_job_error(JOB.key, "x" * 60_000)

    [event] = told(store)

    assert len(event.data["reason"]) == 2_000


def error(key: str) -> Call:
    query = f"id={key}&error=broken"
    return Call(name="error", method="POST", query=query, client="127.0.0.1")
