"""The operations of Gardener's package `tracker`, as this library has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.unit.ledger.conftest import ledger_job
from tests.waiting import until
from tracker_service.domain.ledger import LedgerJob, Status
from tracker_service.errors import (
    BadInput,
    InvalidStateTransition,
    JobAlreadyExists,
    LedgerJobNotFound,
)
from tracker_service.ledger.page import duration_text

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
KEY = ledger_job().key


def later(**how_far: float) -> datetime:
    return NOW + timedelta(**how_far)


# Jobs


def test_the_names_of_a_job():
    job = ledger_job()

    assert job.key == "lab/ndt/ndt7/20240102"
    assert str(job) == "20240102:ndt/ndt7"
    assert job.path == "gs://lab/ndt/ndt7/2024/01/02/"
    assert job.prefix == "ndt/ndt7/2024/01/02/"
    assert job.table_partition == "ndt7$20240102"


def test_the_names_of_a_job_without_a_datatype():
    job = LedgerJob(bucket="b", experiment="e", datatype="", date=datetime(1, 1, 1, tzinfo=UTC))

    assert job.key == "b/e//00010101"
    assert job.path == "gs://b/e/0001/01/01/"


def test_the_key_has_the_date_in_its_own_zone():
    zone = timezone(timedelta(hours=-8))

    assert ledger_job(date=datetime(2024, 1, 2, 23, tzinfo=zone)).key.endswith("/20240102")


@pytest.mark.parametrize(("day", "told"), [(21, "true"), (20, "false"), (22, "false")])
def test_a_daily_job_is_one_of_yesterday(day, told):
    assert ledger_job(date=datetime(2026, 11, day, tzinfo=UTC)).is_daily(NOW) == told


def test_a_job_of_another_time_of_yesterday_is_not_daily():
    assert ledger_job(date=datetime(2026, 11, 21, 1, tzinfo=UTC)).is_daily(NOW) == "false"


# Statuses


def test_a_new_status():
    status = Status.new(NOW)

    assert (status.state, status.prev, status.label) == ("init", "init", "init")
    assert (status.detail, status.error, status.update_count) == ("", "", 0)
    assert status.heartbeat_time is None
    assert status.start_time == status.detail_time == status.state_change_time == NOW


def test_a_new_state_begins_without_a_detail_and_shows_the_one_before():
    status = Status.new(NOW).set_detail("first", later(seconds=1))

    changed = status.new_state("parsing", later(seconds=2))

    assert (changed.state, changed.prev, changed.last.detail) == ("parsing", "init", "")
    assert changed.detail == "first"
    assert changed.state_change_time == changed.detail_time == later(seconds=2)


def test_the_detail_falls_back_by_one_state_only():
    status = Status.new(NOW).set_detail("first", NOW)

    assert status.new_state("a", NOW).new_state("b", NOW).detail == ""


def test_the_same_state_changes_nothing():
    status = Status.new(NOW)

    assert status.new_state("init", later(seconds=5)) is status


def test_a_dash_leaves_the_detail_and_its_time():
    status = Status.new(NOW).set_detail("first", NOW)

    assert status.set_detail("-", later(seconds=5)) is status


def test_an_empty_detail_wipes_the_last_one():
    status = Status.new(NOW).set_detail("first", NOW).set_detail("", later(seconds=5))

    assert (status.detail, status.detail_time) == ("", later(seconds=5))


def test_a_failed_job_says_where_and_why():
    status = Status.new(NOW).new_state("loading", NOW).with_error("no room", NOW)

    assert (status.state, status.label) == ("failed", "loading-failed")
    assert status.error == status.detail == "loading: no room"
    assert status.update_count == 0
    assert status.with_error("again", NOW).error == "failed: again"
    assert status.new_state("loading", NOW).error == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0s"),
        (0.5, "1s"),
        (1.5, "2s"),
        (65, "1m5s"),
        (3600, "1h0m0s"),
        (94_990, "26h23m10s"),
        (-5, "0s"),
    ],
)
def test_elapsed_is_rounded_to_a_second_and_survives_a_clock_that_goes_back(seconds, text):
    status = Status.new(NOW).set_detail("x", later(seconds=seconds))

    assert duration_text(int(status.elapsed.total_seconds())) == text


# The ledger


def test_an_operation_on_an_unknown_job_is_refused(ledger):
    for operate in (
        lambda: ledger.get_status("x"),
        lambda: ledger.set_status("x", "a", ""),
        lambda: ledger.set_detail("x", ""),
        lambda: ledger.set_job_error("x", ""),
        lambda: ledger.heartbeat("x"),
        lambda: ledger.update_job("x", Status.new(NOW)),
        lambda: ledger.retry("x"),
    ):
        with pytest.raises(LedgerJobNotFound):
            operate()


def test_a_job_is_added_once_until_it_has_ended(ledger):
    ledger.add_job(ledger_job())
    for state in ("init", "parseError", "whatever"):
        ledger.set_status(KEY, state, "")
        with pytest.raises(JobAlreadyExists):
            ledger.add_job(ledger_job(filter="another"))

    ledger.set_status(KEY, "complete", "")
    ledger.add_job(ledger_job())

    assert ledger.get_status(KEY).update_count == 0


def test_a_key_that_is_too_long_is_refused(ledger):
    with pytest.raises(BadInput, match="500 characters"):
        ledger.add_job(ledger_job(experiment="x" * 500))


def test_the_detail_of_an_update_belongs_to_the_state_that_ends(ledger):
    ledger.add_job(ledger_job())
    ledger.set_status(KEY, "parsing", "starting")
    ledger.set_status(KEY, "loading", "last file")

    status = ledger.get_status(KEY)

    assert (status.state, status.before.detail, status.last.detail) == ("loading", "last file", "")
    assert (status.detail, status.update_count) == ("last file", 2)


def test_a_detail_counts_as_an_update(ledger):
    ledger.add_job(ledger_job())
    ledger.set_detail(KEY, "x")
    ledger.set_detail(KEY, "-")

    assert (ledger.get_status(KEY).detail, ledger.get_status(KEY).update_count) == ("x", 2)


def test_a_status_that_was_changed_outside_loses_nothing_that_came_meanwhile(ledger):
    ledger.add_job(ledger_job())
    read = ledger.get_status(KEY)
    ledger.set_status(KEY, "parsing", "meanwhile")

    ledger.update_job(KEY, read.new_state("loading", NOW).set_detail("mine", NOW))

    status = ledger.get_status(KEY)
    assert (status.state, status.prev, status.detail) == ("loading", "parsing", "mine")
    assert status.update_count == 2


def test_a_heartbeat_is_written_within_a_second_and_changes_nothing_else(ledger):
    ledger.add_job(ledger_job())
    ledger.heartbeat(KEY)

    beat = until(lambda: ledger.get_status(KEY).heartbeat_time, seconds=30)

    assert beat == NOW
    assert ledger.get_status(KEY).update_count == 0


def test_sync_writes_what_was_gathered_and_tells_when_something_changed(ledger, now):
    ledger.add_job(ledger_job())
    saved = ledger.sync()
    assert saved == NOW
    assert ledger.sync(saved) == saved

    now.advance(seconds=5)
    ledger.heartbeat(KEY)

    assert ledger.sync(saved) == now()
    assert ledger.get_status(KEY).heartbeat_time == now()


def test_jobs_are_counted_with_the_complete_ones(ledger):
    for day in range(1, 5):
        ledger.add_job(ledger_job(day))
    ledger.set_job_error(ledger_job(1).key, "x")
    ledger.set_status(ledger_job(2).key, "complete", "")
    ledger.set_status(ledger_job(3).key, "parseError", "")

    assert (ledger.num_jobs(), ledger.num_failed()) == (4, 1)


def test_the_state_is_all_jobs_and_the_last_one(ledger, now):
    ledger.add_job(ledger_job(2))
    now.advance(seconds=1)
    ledger.add_job(ledger_job(1))

    state = ledger.get_state()

    assert [str(job) for job, _ in state.jobs] == ["20240102:ndt/ndt7", "20240101:ndt/ndt7"]
    assert (state.last_job, state.last_modified) == (ledger_job(1), now())


def test_a_failed_job_is_put_back_where_it_failed(ledger):
    ledger.add_job(ledger_job())
    ledger.set_status(KEY, "loading", "")
    with pytest.raises(InvalidStateTransition):
        ledger.retry(KEY)
    ledger.set_job_error(KEY, "no room")

    ledger.retry(KEY)

    assert ledger.get_status(KEY).state == "loading"
