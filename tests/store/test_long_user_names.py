"""Users with names as long as HDFS allows, in every table that names one."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest
from sqlalchemy import inspect

from tests.store.rows import NOW, hold, job, seen
from tests.store.schemas import EARLIER, NEW, make
from tracker_service.domain.leases import affinity
from tracker_service.domain.users import safe_user
from tracker_service.store import (
    credentials,
    jobs,
    jobsets,
    locks,
    notify_tokens,
    rate_limits,
    track_tasks,
    tracked_jobs,
    verified_callers,
)
from tracker_service.store.database import Connection, Store
from tracker_service.store.notify_tokens import KeptNotifyToken
from tracker_service.store.tables import metadata
from tracker_service.store.verified_callers import VerifiedCaller

pytestmark = pytest.mark.slow

NAMES = ["a" * 65, "a" * 255, "á" * 127, "王" * 85, "𠮷" * 63]


@pytest.fixture(params=[NEW, *EARLIER])
def any_store(request: pytest.FixtureRequest, bare_url: str) -> Iterator[Store]:
    if request.param != NEW:
        make(bare_url, request.param)
    opened = Store(bare_url)
    opened.upgrade()
    yield opened
    opened.close()


def test_a_user_with_a_long_name_has_tasks_and_all_that_belongs_to_them(any_store):
    for number, user in enumerate(map(safe_user, NAMES), start=4):
        with any_store.begin() as connection:
            keep_all_of(connection, user, number)

        with any_store.begin() as connection:
            listing = tracked_jobs.Listing(owner=user, since=NOW)
            [shown] = tracked_jobs.listed(connection, listing)
            assert (shown.job_id, shown.job.user) == (job(number), user)
            assert credentials.find(connection, [user])[user].sealed == b"sealed"
            assert [each.owner for each in notify_tokens.of_owner(connection, user)] == [user]
            leases = hold(connection)
            owners = {t.owner for lease in leases for t in track_tasks.live(connection, lease)}
            assert user in owners
            jobsets.release(connection, "worker")


def keep_all_of(connection: Connection, user: str, number: int) -> None:
    kept = list(jobs.record(connection, [seen(number, user=user)]).values())
    track_tasks.track(connection, user, affinity(user, "https://gateway"), kept, NOW)
    credentials.keep(connection, user, b"sealed", NOW)
    fingerprint = sha256(user.encode()).hexdigest()
    verified_callers.keep(connection, fingerprint, VerifiedCaller(owner=user, expires_at=NOW))
    rate_limits.take(connection, user, NOW, per_minute=5, wanted=1)
    locks.take(connection, "notify-tokens", user)
    token = KeptNotifyToken(fingerprint=fingerprint, owner=user, created_at=NOW, used_at=None)
    assert notify_tokens.add(connection, token, 3)


def test_names_that_differ_only_in_their_last_letter_are_two_users(store):
    with store.begin() as connection:
        for user in ("a" * 254 + "b", "a" * 254 + "c"):
            kept = list(jobs.record(connection, [seen(4)]).values())
            track_tasks.track(connection, user, affinity(user, "https://gateway"), kept, NOW)

        leases = hold(connection)

    assert len(leases) == 2


@pytest.mark.parametrize("revision", [NEW, *EARLIER])
def test_each_column_for_a_user_takes_the_longest_name(upgraded_once, kind, revision):
    with upgraded_once(kind, revision).read() as connection:
        found = inspect(connection)
        lengths = {
            table: column["type"].length
            for table in metadata.tables
            if table != "jobsets"  # its owner is a worker
            for column in found.get_columns(table)
            if column["name"] == "owner"
        }

    assert len(lengths) >= 8
    assert set(lengths.values()) == {255}
