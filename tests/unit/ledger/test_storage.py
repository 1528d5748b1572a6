"""Whether a job has files, in the file systems that fsspec knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.ledger.conftest import ledger_job
from tests.unit.loopback_server import Loopback, Reply
from tracker_service.ledger.storage import FileStorage, PrefixStats

JOB = ledger_job()


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def local(tmp_path: Path) -> FileStorage:
    return FileStorage(f"{tmp_path}/{{bucket}}", {})


def test_a_directory_with_a_file_at_any_depth_has_files(local, bucket):
    assert not local.has_files(JOB)
    directory = bucket / JOB.prefix / "deep"
    directory.mkdir(parents=True)
    assert not local.has_files(JOB)

    (directory / "a.tgz").write_bytes(b"12345")

    assert local.has_files(JOB)
    assert not local.has_files(ledger_job(3))
    assert local.prefix_stats(JOB) == PrefixStats(1, 5)


def webhdfs(loopback: Loopback) -> FileStorage:
    host = loopback.origin.removeprefix("http://")
    return FileStorage(f"webhdfs://{host}/data/{{bucket}}", {"user": "etl"})


def listing(*names: str) -> Reply:
    statuses = [{"pathSuffix": name, "type": "FILE", "length": 7} for name in names]
    body = json.dumps({"FileStatuses": {"FileStatus": statuses}}).encode()
    return Reply(200, body, {"Content-Type": "application/json"})


def test_webhdfs_is_asked_with_one_call(loopback):
    loopback.says(listing("a.tgz", "b.tgz"))

    assert webhdfs(loopback).has_files(JOB)

    [asked] = loopback.asked
    assert asked.path.endswith(f"/data/lab/{JOB.prefix}")
    assert (asked.query["op"], asked.query["user.name"]) == ("LISTSTATUS", "etl")


@pytest.mark.parametrize(
    "reply", [listing(), Reply(404, b'{"RemoteException": {"exception": "x"}}'), Reply(500)]
)
def test_an_empty_directory_and_an_outage_are_no_files(loopback, reply):
    loopback.says(reply)

    assert not webhdfs(loopback).has_files(JOB)


def test_a_file_system_that_is_not_installed_is_no_files():
    assert not FileStorage("nonsense://{bucket}", {}).has_files(JOB)
