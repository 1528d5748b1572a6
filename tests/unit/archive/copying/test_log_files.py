from __future__ import annotations

import pytest

from tests.unit.fakes import APP_1, FakeHdfs
from tracker_service.archive.copying.log_files import LogFileFinder
from tracker_service.errors import AccessDenied, GatewayUnavailable
from tracker_service.settings import CopySettings
from tracker_service.sources.webhdfs import FileStatus

PATTERNS = CopySettings().log_directories
BUCKET = f"/app-logs/guest/bucket-logs-tfile/0002/{APP_1}"


@pytest.fixture
def hdfs() -> FakeHdfs:
    return FakeHdfs()


@pytest.fixture
def finder() -> LogFileFinder:
    return LogFileFinder(PATTERNS)


def entry(name: str, length: int = 10, *, is_directory: bool = False) -> FileStatus:
    return FileStatus(
        name=name,
        is_directory=is_directory,
        length=length,
        owner="guest",
        permission="640",
        modified_ms=1,
    )


@pytest.mark.parametrize(
    "directory",
    [
        BUCKET,
        f"/app-logs/guest/bucket-logs-ifile/0002/{APP_1}",
        f"/app-logs/guest/logs/{APP_1}",
        f"/app-logs/guest/logs-tfile/{APP_1}",
        f"/app-logs/guest/logs-ifile/{APP_1}",
        f"/tmp/logs/guest/bucket-logs-tfile/0002/{APP_1}",
        f"/tmp/logs/guest/bucket-logs-ifile/0002/{APP_1}",
        f"/tmp/logs/guest/logs/{APP_1}",
        f"/tmp/logs/guest/logs-ifile/{APP_1}",
    ],
)
def test_logs_are_found_where_each_release_of_hadoop_puts_them(finder, hdfs, directory):
    hdfs.directories[directory] = [entry("node-2_8041", 5), entry("node-1_8041", 7)]

    found = finder.find(hdfs, APP_1, "guest")

    assert (found.directories, found.length) == ((directory,), 12)
    assert [file.path for file in found.files] == [
        f"{directory}/node-1_8041",
        f"{directory}/node-2_8041",
    ]


def test_a_bucket_is_named_by_the_last_four_digits(finder, hdfs):
    late = APP_1.replace("_0002", "_10042")
    hdfs.directories[f"/app-logs/guest/bucket-logs-tfile/0042/{late}"] = [entry("node_1")]

    assert finder.find(hdfs, late, "guest").files


def test_the_directory_of_the_user_shows_which_layouts_need_a_look(finder, hdfs):
    hdfs.directories[BUCKET] = [entry("node_1")]
    assert not finder.knows_the_place

    finder.find(hdfs, APP_1, "guest")

    assert finder.knows_the_place
    assert hdfs.listed == ["/app-logs/guest", "/tmp/logs/guest", BUCKET]


def test_what_is_no_whole_file_of_a_node_is_left_out(finder, hdfs):
    hdfs.directories[BUCKET] = [
        entry("node_1_1795323169753"),
        entry("node_1_1795323175236"),
        entry("node_2.tmp"),
        entry("node_1_1795323175236-checksum"),
        entry(f"{APP_1}.har", is_directory=True),
    ]

    found = finder.find(hdfs, APP_1, "guest")

    assert [(file.name, file.has_checksum) for file in found.files] == [
        ("node_1_1795323169753", False),
        ("node_1_1795323175236", True),
    ]
    assert found.uploading == (f"{BUCKET}/node_2.tmp",)
    assert found.archives == (f"{BUCKET}/{APP_1}.har",)


def test_a_log_that_may_not_be_read_is_not_taken_for_missing(finder, hdfs):
    for pattern in PATTERNS:
        path = pattern.format(user="hive", bucket="0002", application=APP_1)
        hdfs.troubles[path] = AccessDenied("Permission denied: user=guest")

    found = finder.find(hdfs, APP_1, "hive")

    assert found.directories == ()
    assert set(found.denied) == {"Permission denied: user=guest"}


def test_while_hdfs_does_not_answer_nothing_is_said(finder, hdfs):
    hdfs.troubles[BUCKET] = GatewayUnavailable("away")

    with pytest.raises(GatewayUnavailable):
        finder.find(hdfs, APP_1, "guest")
