"""Saved logs are removed on request: those alone, and so that a crash can be repeated."""

from __future__ import annotations

import json

import pytest

from tests.unit.archive_parts import build
from tests.unit.calls import GUEST, SAM, assert_problem, end_the_task, get, post, save_copies
from tests.unit.fakes import APP_1, APP_2, NOW, action, details, job
from tests.unit.tree_hdfs import TreeHdfs
from tracker_service.domain.copies import CopyStatus, part_path
from tracker_service.domain.tasks import TaskState
from tracker_service.errors import GatewayUnavailable
from tracker_service.store import copies, jobsets, saved_logs, track_tasks, tracked_jobs

LOGS = f"/api/job/{job(1)}/logs"
HOME = f"/user/guest/WORK/logs/{job(1)}"
MANIFEST = json.dumps({"version": 1, "job": job(1), "saved-for": "guest"}).encode()


@pytest.fixture
def hdfs(fake_cluster):
    fake_cluster.homes["guest"] = TreeHdfs("guest")
    return fake_cluster.homes["guest"]


@pytest.fixture
def save(client, oozie, store, hdfs):
    """Lets the copies of two applications end like this; the saved ones have files."""
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1, child_ids=APP_2)))

    def saved(*ends: CopyStatus) -> None:
        post(client, job(1))
        save_copies(store, *ends)
        for copy in kept(store):
            if copy.saved_at:
                hdfs.put(copy.path)
        hdfs.put(f"{HOME}/manifest.json", MANIFEST)

    return saved


def kept(store):
    with store.read() as connection:
        return copies.of_tasks(connection, [1])[1]


def change(store, number: int, **values: object) -> None:
    copy = kept(store)[number]
    with store.begin() as connection:
        copies.change(connection, copy, **values)


def remove(client, auth=GUEST):
    return client.delete(LOGS, auth=auth)


def test_the_logs_their_manifest_and_the_empty_directory_are_removed(client, save, store, hdfs):
    save(CopyStatus.SUCCEEDED, CopyStatus.SUCCEEDED)
    end_the_task(store)

    answer = remove(client)

    assert answer.status_code == 200
    paths = [f"{HOME}/{APP_1}.log", f"{HOME}/{APP_2}.log", f"{HOME}/manifest.json"]
    assert answer.json == {"id": job(1), "removed": paths}
    assert hdfs.files == {}
    assert HOME not in hdfs.there
    assert "/user/guest/WORK/logs" in hdfs.there
    for copy in kept(store):
        assert (copy.status, copy.reason) == ("KILLED", "you removed the logs")
        assert (copy.saved_at, copy.bytes, copy.sha256, copy.contents) == (None,) * 4
    assert "you removed the logs" in assert_problem(get(client, LOGS), 404)
    assert get(client, f"/api/job/{job(1)}").json["logs"] is None


def test_what_is_not_ours_stays(client, save, store, hdfs):
    save(CopyStatus.SUCCEEDED)
    notes = [
        f"{HOME}/notes.txt",
        f"{HOME}/{APP_2}.log",
        f"{HOME}/{APP_1}.log.bak",
        f"{HOME}/{APP_1}.log.part-another-1",
        f"{HOME}/run-0/notes.txt",
        f"/user/guest/WORK/logs/{job(2)}/{APP_1}.log",
    ]
    for path in notes:
        hdfs.put(path)

    assert remove(client).json["removed"] == [f"{HOME}/{APP_1}.log", f"{HOME}/manifest.json"]

    assert set(hdfs.files) == set(notes)
    assert HOME in hdfs.there


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        json.dumps({"job": job(2), "saved-for": "guest"}).encode(),
        json.dumps({"job": job(1), "saved-for": "sam"}).encode(),
    ],
)
def test_a_manifest_that_is_not_ours_stays(client, save, hdfs, content):
    save(CopyStatus.SUCCEEDED)
    hdfs.put(f"{HOME}/manifest.json", content)

    assert remove(client).json["removed"] == [f"{HOME}/{APP_1}.log"]
    assert set(hdfs.files) == {f"{HOME}/manifest.json"}


def test_a_directory_in_the_place_of_a_log_stays(client, save, hdfs):
    save(CopyStatus.SUCCEEDED)
    del hdfs.files[f"{HOME}/{APP_1}.log"]
    hdfs.put(f"{HOME}/{APP_1}.log/notes.txt")

    assert remove(client).json["removed"] == [f"{HOME}/manifest.json"]
    assert set(hdfs.files) == {f"{HOME}/{APP_1}.log/notes.txt"}


def test_what_tries_have_left_is_removed(client, save, store, hdfs):
    save(CopyStatus.SUCCEEDED, CopyStatus.FAILED)
    left = [part_path(kept(store)[1]), f"{HOME}/.manifest.json.part"]
    for path in left:
        hdfs.put(path)

    assert set(left) < set(remove(client).json["removed"])
    assert hdfs.files == {}
    assert kept(store)[1].reason == "because"  # it was lost, not removed


def test_logs_of_earlier_runs_are_removed_where_they_lie(client, save, store, hdfs):
    save(CopyStatus.SUCCEEDED, CopyStatus.SUCCEEDED)
    change(store, 0, run=0, path=f"{HOME}/run-0/{APP_1}.log")
    change(store, 1, run=1)
    del hdfs.files[f"{HOME}/{APP_1}.log"]
    hdfs.put(f"{HOME}/run-0/{APP_1}.log")
    hdfs.put(f"{HOME}/run-0/manifest.json", MANIFEST)

    assert len(remove(client).json["removed"]) == 4
    assert hdfs.files == {}
    assert HOME not in hdfs.there


def test_nothing_is_removed_while_a_log_is_being_copied(client, save, store, hdfs):
    save(CopyStatus.SUCCEEDED, CopyStatus.RUNNING)
    files = set(hdfs.files)

    told = assert_problem(remove(client), 409)

    assert APP_2[12:] in told
    assert "repeat this" in told
    assert set(hdfs.files) == files
    assert [copy.status for copy in kept(store)] == ["SUCCEEDED", "RUNNING"]


def test_logs_that_wait_are_given_up_and_no_worker_starts_them(
    client, save, store, hdfs, identities, now, fake_cluster
):
    save(CopyStatus.WAITING)
    fake_cluster.yarn.has(APP_1, "SUCCEEDED")

    assert remove(client).status_code == 200

    [copy] = kept(store)
    assert (copy.status, copy.reason) == ("KILLED", "you removed the logs")
    with store.begin() as connection:
        jobsets.claim(connection, "worker", ["track"], 3600, 10)
        leases = {h.lease.jobset_id: h.lease for h in jobsets.held(connection, "worker")}
    build(store, identities, now).copier.advance(leases)
    assert kept(store) == [copy]


def test_no_manifest_is_written_of_what_was_removed(client, save, store):
    save(CopyStatus.SUCCEEDED)

    remove(client)

    with store.read() as connection:
        assert track_tasks.manifest_at(connection, 1) == NOW


def test_a_removal_that_breaks_off_can_be_repeated(client, save, store, hdfs):
    save(CopyStatus.SUCCEEDED, CopyStatus.SUCCEEDED)
    hdfs.troubles[f"{HOME}/{APP_2}.log"] = GatewayUnavailable("away")
    assert_problem(remove(client), 503)
    assert f"{HOME}/{APP_1}.log" not in hdfs.files
    assert [bool(copy.saved_at) for copy in kept(store)] == [True, True]

    del hdfs.troubles[f"{HOME}/{APP_2}.log"]
    assert len(remove(client).json["removed"]) == 2

    assert hdfs.files == {}
    assert {copy.status for copy in kept(store)} == {"KILLED"}


def test_a_log_that_is_gone_already_is_forgotten(client, save, store, hdfs):
    save(CopyStatus.SUCCEEDED)
    hdfs.files.clear()

    assert remove(client).json["removed"] == []
    assert kept(store)[0].saved_at is None


def test_where_there_is_nothing_that_is_told(client, save, oozie):
    assert_problem(remove(client), 404)  # it is not tracked
    save(CopyStatus.SUCCEEDED)
    remove(client)

    told = assert_problem(remove(client), 404)

    assert "you removed the logs" in told


def test_the_logs_of_others_stay(client, save, hdfs):
    save(CopyStatus.SUCCEEDED)

    assert_problem(remove(client, SAM), 404)
    assert len(hdfs.files) == 2


def test_removed_logs_can_be_copied_again(client, save, store):
    save(CopyStatus.SUCCEEDED)
    end_the_task(store)
    remove(client)

    answer = client.post("/api/task/copy-logs/", data=job(1), content_type="text/plain", auth=GUEST)

    assert {each["status"] for each in answer.json["jobs"]} == {"WAITING"}
    with store.read() as connection:
        [task] = tracked_jobs.of_job(connection, "guest", job(1))
        assert task.state == TaskState.WATCHING


def test_a_log_that_was_saved_anew_meanwhile_is_not_forgotten(client, save, store, now):
    save(CopyStatus.SUCCEEDED)
    [before] = kept(store)
    now.advance(minutes=1)
    change(store, 0, saved_at=now())

    with store.begin() as connection:
        saved_logs.forget_saved(connection, [before], saved_logs.REMOVED)

    assert kept(store)[0].status == "SUCCEEDED"
