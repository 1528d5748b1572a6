"""Saved logs are removed when they are older than the operator wants, and only if they are ours."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.unit.calls import GUEST, get, post, save_copies
from tests.unit.fakes import APP_1, APP_2, NOW, action, details, job
from tests.unit.tree_hdfs import TreeHdfs
from tracker_service.archive import expiry as expiry_module
from tracker_service.archive.expiry import Expiry
from tracker_service.archive.manifest import manifest
from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.jobs import JobStatus
from tracker_service.errors import AccessDenied, GatewayUnavailable
from tracker_service.store import copies, jobsets, saved_logs

HOME = f"/user/guest/WORK/logs/{job(1)}"
REASON = "removed: older than copying.keep_copies_h"
FIRST, SECOND = f"{HOME}/{APP_1}.log", f"{HOME}/{APP_2}.log"
MANIFEST = f"{HOME}/manifest.json"


@pytest.fixture
def hdfs(fake_cluster):
    fake_cluster.homes["guest"] = TreeHdfs("guest")
    return fake_cluster.homes["guest"]


@pytest.fixture
def expiry(store, identities, now) -> Expiry:
    return Expiry(store, identities, timedelta(hours=24), now)


@pytest.fixture
def saved(client, oozie, store, hdfs):
    """Two saved logs with their manifest; another job of the user is tracked."""
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1, child_ids=APP_2)))
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED, CopyStatus.SUCCEEDED)
    with store.begin() as connection:
        for copy in copies.of_tasks(connection, [1])[1]:
            copies.change(connection, copy, sha256=copy.application)
    for copy in kept(store):
        hdfs.put(copy.path)
    told = manifest(JobStatus.KILLED, kept(store), None, NOW)
    hdfs.put(MANIFEST, json.dumps(told).encode())
    oozie.has(details(job(2), "RUNNING"))
    post(client, job(2))
    return told


def kept(store):
    with store.read() as connection:
        return copies.of_tasks(connection, [1])[1]


def reasons(store) -> list[str | None]:
    return [copy.reason if copy.status == CopyStatus.KILLED else None for copy in kept(store)]


def held(store) -> list[int]:
    with store.begin() as connection:
        jobsets.claim(connection, "worker", ["track"], 3600, 10)
        return [each.lease.jobset_id for each in jobsets.held(connection, "worker")]


def test_old_logs_go_with_their_manifest_and_directory(client, store, hdfs, saved, expiry, now):
    now.advance(hours=25)

    expiry.advance(held(store))

    assert hdfs.files == {}
    assert HOME not in hdfs.there
    told = get(client, f"/api/job/{job(1)}/logs/status").json["jobs"]
    assert {(each["status"], each["reason"]) for each in told.values()} == {("KILLED", REASON)}
    assert {each["saved-at"] for each in told.values()} == {None}


def test_young_logs_stay(store, hdfs, saved, expiry, now):
    now.advance(hours=23)

    expiry.advance(held(store))

    assert set(hdfs.files) == {FIRST, SECOND, MANIFEST}
    assert reasons(store) == [None, None]


def test_without_the_setting_logs_stay_for_ever(store, identities, hdfs, saved, now):
    now.advance(days=10_000)

    Expiry(store, identities, None, now).advance(held(store))

    assert set(hdfs.files) == {FIRST, SECOND, MANIFEST}


def another_job(told):
    return told | {"job": job(2)}


def another_checksum(told):
    return told | {"applications": [e | {"sha256": "x"} for e in told["applications"]]}


def another_file(told):
    return told | {"applications": [e | {"file": "x.log"} for e in told["applications"]]}


@pytest.mark.parametrize(
    "changed", [another_job, another_checksum, another_file, lambda _: {}, lambda _: []]
)
def test_logs_without_our_manifest_beside_them_stay(store, hdfs, saved, expiry, now, changed):
    hdfs.put(MANIFEST, json.dumps(changed(saved)).encode())
    now.advance(hours=25)

    expiry.advance(held(store))

    assert set(hdfs.files) == {FIRST, SECOND, MANIFEST}
    assert reasons(store) == [None, None]


def test_a_directory_with_something_else_stays_with_its_manifest(store, hdfs, saved, expiry, now):
    hdfs.put(f"{HOME}/notes.txt")
    now.advance(hours=25)

    expiry.advance(held(store))

    assert set(hdfs.files) == {f"{HOME}/notes.txt", MANIFEST}


def test_a_log_that_is_being_copied_again_stays(client, store, hdfs, saved, expiry, now):
    client.post(
        "/api/task/copy-logs/?refresh=true", data=job(1), content_type="text/plain", auth=GUEST
    )
    now.advance(hours=25)

    expiry.advance(held(store))

    assert set(hdfs.files) == {FIRST, SECOND, MANIFEST}


def test_a_log_that_is_asked_for_again_in_the_last_moment_stays(
    client, store, hdfs, saved, expiry, now, monkeypatch
):
    def read_and_refresh(*arguments):
        client.post(
            "/api/task/copy-logs/?refresh=true", data=job(1), content_type="text/plain", auth=GUEST
        )
        return saved

    monkeypatch.setattr(expiry_module, "own_manifest", read_and_refresh)
    now.advance(hours=25)

    expiry.advance(held(store))

    assert {FIRST, SECOND} < set(hdfs.files)


def test_users_without_live_tasks_are_left_alone(store, hdfs, saved, expiry, now):
    now.advance(hours=25)

    expiry.advance([])

    assert set(hdfs.files) == {FIRST, SECOND, MANIFEST}


def test_while_the_cluster_is_away_nothing_is_forgotten(store, hdfs, saved, expiry, now):
    hdfs.troubles[HOME] = GatewayUnavailable("away")
    now.advance(hours=25)
    expiry.advance(held(store))
    assert reasons(store) == [None, None]

    del hdfs.troubles[HOME]
    now.advance(minutes=59)
    expiry.advance(held(store))
    assert reasons(store) == [None, None]  # once an hour is enough

    now.advance(minutes=1)
    expiry.advance(held(store))
    assert reasons(store) == [REASON, REASON]


def test_all_logs_that_are_too_old_are_removed_at_one_look(
    store, saved, hdfs, expiry, now, monkeypatch
):
    monkeypatch.setattr(expiry_module, "_AT_ONCE", 1)
    now.advance(hours=25)

    expiry.advance(held(store))

    assert reasons(store) == [REASON, REASON]
    assert hdfs.files == {}


def test_what_breaks_at_one_log_keeps_no_other(store, saved, hdfs, expiry, now, monkeypatch):
    monkeypatch.setattr(expiry_module, "_AT_ONCE", 1)
    hdfs.troubles[SECOND] = KeyError("nobody thought of this")
    now.advance(hours=25)

    expiry.advance(held(store))

    assert sorted(reasons(store), key=str) == [None, REASON]


def test_what_cannot_be_removed_does_not_keep_the_others_waiting(
    store, saved, hdfs, expiry, now, monkeypatch
):
    monkeypatch.setattr(expiry_module, "_AT_ONCE", 1)
    first = min(kept(store), key=lambda copy: copy.id)
    told = [e for e in saved["applications"] if e["file"] not in first.path]
    hdfs.put(MANIFEST, json.dumps(saved | {"applications": told}).encode())
    now.advance(hours=25)
    expiry.advance(held(store))

    assert set(hdfs.files) == {first.path, MANIFEST}


def test_a_directory_that_may_not_be_changed_does_not_keep_others(store, saved, hdfs, expiry, now):
    hdfs.put(f"{HOME}/run-0/{APP_1}.log")
    hdfs.put(f"{HOME}/run-0/manifest.json", hdfs.files[MANIFEST])
    with store.begin() as connection:
        saved_logs.note_moved(connection, kept(store)[0], f"{HOME}/run-0/{APP_1}.log")
    hdfs.troubles[SECOND] = AccessDenied("denied")
    now.advance(hours=25)

    expiry.advance(held(store))

    assert reasons(store) == [REASON, None]


def test_who_stops_is_not_kept_waiting(store, saved, hdfs, expiry, now):
    now.advance(hours=25)
    expiry.stop()

    expiry.advance(held(store))

    assert set(hdfs.files) == {FIRST, SECOND, MANIFEST}
