"""The aggregated logs of one application in several places, and what else is in them."""

from __future__ import annotations

import hashlib

import pytest

from tests.unit.archive.copying.test_direct_way import (
    APP,
    NODE,
    NODE_FILE,
    TEXT,
    Copying,
    copying,
    copying_with,
)
from tests.unit.fakes import APP_1, APP_2, NOW, FakeHdfs, details
from tests.unit.log_files import container, ifile
from tracker_service.archive.copying.log_files import LogFileFinder
from tracker_service.domain.copies import CopyStatus, Strategy, part_path
from tracker_service.errors import AccessDenied
from tracker_service.settings import CopySettings

__all__ = ["copying", "copying_with"]  # fixtures

MARKER = hashlib.sha256(APP.encode()).digest()
BUCKET = f"/app-logs/guest/bucket-logs-tfile/{APP.rpartition('_')[2]}/{APP}"
LAYOUTS = {
    "buckets": "bucket-logs-tfile/0002",
    "buckets-ifile": "bucket-logs-ifile/0002",
    "tfile": "logs-tfile",
    "2.x": "logs",
    "ifile": "logs-ifile",
}


def places(copying: Copying) -> None:
    """Make the cluster one whose configuration is Hadoop's own."""
    copying.parts.finder.patterns = CopySettings().log_directories


@pytest.mark.parametrize("root", ["/app-logs", "/tmp/logs"])
@pytest.mark.parametrize("other", [name for name in LAYOUTS if name != "buckets"])
def test_all_layouts_of_one_application_are_looked_at(root, other):
    hdfs, finder = FakeHdfs(), LogFileFinder(CopySettings().log_directories)
    paths = [f"{root}/guest/{LAYOUTS[name]}/{APP_1}/node_1" for name in ("buckets", other)]
    hdfs.files |= dict.fromkeys(paths, b"x")

    for _ in range(2):  # also when the place of an earlier log is known
        found = finder.find(hdfs, APP_1, "guest")

        assert sorted(file.path for file in found.files) == sorted(paths)
        assert list(found.unread()) == []


def test_a_layout_that_comes_with_an_upgrade_is_seen_at_once():
    hdfs, finder = FakeHdfs(), LogFileFinder(CopySettings().log_directories)
    hdfs.files[f"/app-logs/guest/logs/{APP_1}/node_1"] = b"x"
    finder.find(hdfs, APP_1, "guest")
    hdfs.files[f"/app-logs/guest/bucket-logs-ifile/0005/{APP_2}/node_1"] = b"x"

    assert len(finder.find(hdfs, APP_2, "guest").files) == 1


@pytest.mark.parametrize("pattern", ["/logs/{application}", "/{bucket}/{user}/{application}"])
def test_a_place_without_a_directory_of_the_user_is_looked_at_too(pattern):
    hdfs, finder = FakeHdfs(), LogFileFinder([pattern])
    directory = pattern.format(user="guest", bucket="0002", application=APP_1)
    hdfs.files[f"{directory}/node_1"] = b"x"

    assert finder.find(hdfs, APP_1, "guest").directories == (directory,)


def test_a_directory_of_the_user_that_may_be_passed_but_not_listed_hides_nothing():
    hdfs, finder = FakeHdfs(), LogFileFinder(CopySettings().log_directories)
    hdfs.troubles["/app-logs/guest"] = AccessDenied("Permission denied")
    hdfs.files[f"/app-logs/guest/logs/{APP_1}/node_1"] = b"x"

    assert finder.find(hdfs, APP_1, "guest").files


def test_both_layouts_are_saved_the_older_first_as_yarn_logs_prints_them(copying):
    copying.want(APP)
    new, old = copying.lies_there(), f"/app-logs/guest/logs/{APP}/oldnode_8041"
    copying.home.files[old] = NODE_FILE

    copying.advance()

    copy = copying.copy()
    assert copying.home.files[copy.path].count(b"on oldnode_8041") == TEXT.count(
        f"on {NODE}".encode()
    )
    assert copying.home.files[copy.path].endswith(TEXT)
    assert copy.contents.sources == (old, new)
    assert copy.completeness == "COMPLETE"


def test_two_formats_are_saved_directly_and_nothing_is_missing(copying):
    places(copying)
    copying.want(APP)
    copying.lies_there()
    later = ifile([container(9, stderr=b"of the upgraded node\n")], marker=MARKER)
    copying.home.files[f"/app-logs/guest/logs-ifile/{APP}/node-2_8041"] = later

    copying.advance()

    assert b"of the upgraded node" in copying.home.files[copying.copy().path]
    assert copying.copy().completeness == "COMPLETE"


def test_of_two_formats_a_workflow_saves_one_and_says_so(copying_with):
    copying = copying_with(limit=1000)
    places(copying)
    copying.want(APP)
    copying.lies_there()
    copying.home.files[f"/app-logs/guest/logs-ifile/{APP}/node-2_8041"] = NODE_FILE
    copying.advance()

    copying.home.files[part_path(copying.copy())] = b"a log\n"
    copying.cluster.oozie.has(details(copying.copy().job, "SUCCEEDED"))
    copying.advance(1)

    assert copying.copy().status == "SUCCEEDED"
    assert "one format only" in copying.copy().contents.gaps[0]
    assert copying.copy().completeness == "PARTIAL"


def test_a_place_that_may_not_be_seen_is_a_gap(copying):
    copying.want(APP)
    copying.lies_there()
    closed = f"/app-logs/guest/logs/{APP}"
    copying.home.troubles[closed] = AccessDenied(f"{closed}: Permission denied: user=guest")

    copying.advance()

    assert copying.copy().status == "SUCCEEDED"
    assert closed in copying.copy().contents.gaps[0]
    assert copying.copy().completeness == "PARTIAL"


def test_an_upload_that_was_never_finished_is_a_gap(copying):
    copying.want(APP)
    copying.lies_there()
    copying.home.files[f"{BUCKET}/node-2_8041.tmp"] = NODE_FILE[:1000]

    copying.advance()

    assert "node-2_8041.tmp" in copying.copy().contents.gaps[0]
    assert copying.copy().completeness == "PARTIAL"


@pytest.mark.parametrize("beside", [True, False])
def test_a_hadoop_archive_of_logs_is_left_to_yarn_logs(copying, beside):
    copying.want(APP)
    copying.cluster.yarn.has(APP, "SUCCEEDED", finished_at=NOW)
    copying.home.files[f"{BUCKET}/{APP}.har/part-0"] = b"x"
    if beside:
        copying.lies_there()

    copying.advance()

    assert (copying.copy().status, copying.copy().strategy) == ("RUNNING", "workflow")
    assert f"{APP}.har" in copying.copy().strategy_reason


def test_without_workflows_an_archive_beside_whole_files_is_a_gap(copying_with):
    copying = copying_with(Strategy.DIRECT)
    copying.want(APP)
    copying.lies_there()
    copying.home.files[f"{BUCKET}/{APP}.har/part-0"] = b"x"

    copying.advance()

    assert copying.copy().status == CopyStatus.SUCCEEDED
    assert f"{APP}.har" in copying.copy().contents.gaps[0]
