"""Logs are saved where HDFS says that the home of a user is, or where the site wants them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.fakes import APP_1, NOW, FakeHdfs, a_copy, job
from tests.unit.tree_hdfs import TreeHdfs
from tracker_service.archive.place import LogPlace
from tracker_service.archive.reading.opening import open_log, open_logs
from tracker_service.archive.removal import _remove_files
from tracker_service.domain.copies import aside_path, log_path
from tracker_service.settings import CopySettings


def test_logs_lie_below_the_home_that_hdfs_names():
    here, there = FakeHdfs(), FakeHdfs(homes="/home")

    assert LogPlace().path_for(here, a_copy()) == log_path("guest", job(1), APP_1)
    assert LogPlace().path_for(there, a_copy()) == f"/home/guest/WORK/logs/{job(1)}/{APP_1}.log"


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("{home}/logs", "/home/guest/logs"),
        ("/data/tracker/{user}", "/data/tracker/guest"),
        ("{home}", "/home/guest"),
    ],
)
def test_a_site_may_set_another_place(pattern, place):
    assert CopySettings(directory=pattern).directory == pattern
    assert LogPlace(pattern).logs_of(FakeHdfs(homes="/home"), "guest") == place


@pytest.mark.parametrize(
    "pattern",
    ["", "/logs", "{home}/", "{home}/../{user}", "{host}/x", "{home", "logs/{user}", "{home}//x"],
)
def test_a_place_that_cannot_be_is_refused(pattern):
    with pytest.raises(ValueError, match="directory"):
        CopySettings(directory=pattern)


def test_a_log_that_is_saved_stays_where_it_is_and_readable():
    hdfs, saved = FakeHdfs(homes="/home"), a_copy(saved_at=NOW, attempt=1)
    hdfs.files[saved.path] = b"text"

    assert LogPlace().path_for(hdfs, saved) == saved.path
    assert b"".join(open_logs(hdfs, [saved])) == b"text"


def test_all_directories_of_a_copy_are_below_one_place():
    copy = replace(a_copy(run=2), path=f"/data/x/{job(1)}/run-2/{APP_1}.log")

    assert copy.job_directory == f"/data/x/{job(1)}"
    assert copy.run_directory == f"/data/x/{job(1)}/run-2"
    assert copy.working_directory == f"/data/x/.tracker/{copy.id}"


def test_the_logs_of_a_job_are_removed_from_each_of_its_directories():
    hdfs = TreeHdfs(homes="/home")
    old = a_copy(saved_at=NOW, attempt=1)
    new = replace(old, id="0123456789abcdef", path=f"/home/guest/WORK/logs/{job(1)}/{APP_1}.log")
    for path in (old.path, new.path, aside_path(new.path)):
        hdfs.put(path)

    assert set(_remove_files(hdfs, [old, new])) == {old.path, new.path, aside_path(new.path)}
    assert hdfs.files == {}


def test_a_log_is_readable_while_a_newer_one_takes_its_name():
    hdfs, saved = FakeHdfs(), a_copy(saved_at=NOW, attempt=1, sha256="0" * 64)
    hdfs.files[aside_path(saved.path)] = b"old text"

    assert b"".join(open_logs(hdfs, [saved])) == b"old text"
    assert open_log(hdfs, saved).length == 8
