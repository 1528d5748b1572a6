"""A clock that is set back by an hour locks nobody out and prolongs nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.store.rows import NOW, live_tasks, track
from tracker_service.domain.applications import ApplicationId
from tracker_service.store import (
    copies,
    credentials,
    failed_logins,
    hints,
    rate_limits,
    tasks,
    verified_callers,
)
from tracker_service.store.failed_logins import LoginAttempt
from tracker_service.store.verified_callers import VerifiedCaller

AN_HOUR_AGO = NOW - timedelta(hours=1)
APP = ApplicationId("application_1795323341942_0002")


def test_who_has_used_up_a_minute_may_ask_again(connection):
    assert rate_limits.take(connection, "guest", NOW, 60, 60)[0] == 60

    taken, wait = rate_limits.take(connection, "guest", AN_HOUR_AGO, 60, 60)

    assert (taken, wait) == (60, timedelta(0))
    assert rate_limits.take(connection, "guest", AN_HOUR_AGO, 60, 1)[0] == 0


def test_requests_that_were_used_up_ahead_are_forgotten(connection):
    rate_limits.take(connection, "guest", NOW, 60, 60)

    rate_limits.forget(connection, AN_HOUR_AGO)

    assert connection.exec_driver_sql("SELECT count(*) FROM allowances").scalar() == 0


def test_wrong_credentials_keep_nobody_out_for_longer(connection):
    for _ in range(3):
        assert isinstance(failed_logins.take(connection, "name", NOW), LoginAttempt)

    again = [failed_logins.take(connection, "name", AN_HOUR_AGO) for _ in range(4)]

    assert [isinstance(each, LoginAttempt) for each in again] == [True, True, True, False]


def test_of_hosts_a_few_seconds_apart_wrong_credentials_are_counted_together(connection):
    for seconds in (0, 5, 10):
        failed_logins.take(connection, "name", NOW + timedelta(seconds=seconds))

    assert not isinstance(failed_logins.take(connection, "name", NOW), LoginAttempt)


def test_wrong_credentials_from_ahead_are_forgotten(connection):
    failed_logins.take(connection, "name", NOW)

    failed_logins.forget(connection, AN_HOUR_AGO)

    assert connection.exec_driver_sql("SELECT count(*) FROM wrong_tries").scalar() == 0


def test_a_verified_caller_is_asked_about_again(connection):
    caller = VerifiedCaller(owner="guest", expires_at=NOW + timedelta(minutes=1), sealed=b"token")

    assert caller.is_valid(NOW)
    assert not caller.is_valid(NOW - timedelta(seconds=1))
    assert not caller.is_valid(AN_HOUR_AGO)


def test_the_token_of_a_caller_who_is_not_verified_any_more_is_erased(connection):
    caller = VerifiedCaller(owner="guest", expires_at=NOW + timedelta(minutes=1), sealed=b"token")
    verified_callers.keep(connection, "print", caller)

    verified_callers.forget_old(connection, NOW)
    assert verified_callers.find(connection, "print") == caller

    verified_callers.forget_old(connection, AN_HOUR_AGO)
    assert verified_callers.find(connection, "print") == replace(caller, sealed=None)


@pytest.mark.parametrize("refusals", range(1, 7))
def test_a_refused_credential_rests_no_longer(connection, refusals):
    track(connection, 1)
    [task] = live_tasks(connection)
    copies.decide(connection, task, [APP], AN_HOUR_AGO - timedelta(days=1))
    credentials.keep(connection, "guest", b"sealed", NOW)
    for _ in range(refusals):
        credentials.refuse(connection, kept(connection), NOW)

    instants = [NOW, NOW + timedelta(hours=5), NOW - timedelta(hours=5), AN_HOUR_AGO]
    assert [kept(connection).may_be_used(at) for at in instants] == [False, True, True, True]
    assert [is_due(connection, task.lease, at) for at in instants] == [False, True, True, True]


def kept(connection) -> credentials.KeptCredential:
    return credentials.find(connection, ["guest"])["guest"]


def is_due(connection, lease, at) -> bool:
    leases = {lease.jobset_id: lease}
    return bool(copies.due(connection, leases, at, copies.DueFilter(), 1))


def test_hints_at_ended_tasks_do_not_stay(connection):
    track(connection, 1)
    [task] = live_tasks(connection)
    hints.add(connection, [task.id], NOW)
    tasks.end(connection, task, NOW)

    hints.forget_ended(connection, NOW - timedelta(days=2))

    assert hints.for_worker(connection, "worker") == []
