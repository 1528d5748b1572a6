from __future__ import annotations

import pytest

from tests.unit.fakes import APP_1, APP_2, NOW, FakeHdfs, a_copy
from tests.unit.loopback_server import Reply
from tracker_service.archive.reading.opening import open_log, open_logs
from tracker_service.domain.copies import CopyStatus
from tracker_service.errors import AccessDenied, GatewayUnavailable, LogNotSaved
from tracker_service.sources.webhdfs import WebHdfs

FIRST = a_copy(status=CopyStatus.SUCCEEDED, path="/1.log")
SECOND = a_copy(status=CopyStatus.SUCCEEDED, path="/2.log", application=APP_2)
WAITING = a_copy(status=CopyStatus.WAITING, reason="waits until YARN has collected the log")


def text(hdfs: FakeHdfs, *copies) -> str:
    return b"".join(open_logs(hdfs, copies)).decode()


def test_logs_come_one_after_the_other():
    assert text(FakeHdfs(files={"/1.log": b"one\n", "/2.log": b"two\n"}), FIRST, SECOND) == (
        "one\ntwo\n"
    )


def test_a_missing_log_is_a_line_with_its_reason_wherever_it_stands():
    hdfs = FakeHdfs(files={"/1.log": b"one\n"})
    line = f"No log of application {APP_1[12:]}: WAITING: waits until YARN has collected the log\n"

    assert text(hdfs, WAITING, FIRST) == line + "one\n"
    assert text(hdfs, FIRST, WAITING) == "one\n" + line


def test_a_log_that_somebody_removed_says_so():
    hdfs = FakeHdfs(files={"/1.log": b"one\n"})

    assert "/2.log was saved and is no longer there" in text(hdfs, FIRST, SECOND)


def test_a_log_that_the_reader_may_not_read_says_so():
    hdfs = FakeHdfs(files={"/1.log": b"one\n"}, troubles={"/2.log": AccessDenied("denied")})

    assert f"No log of application {APP_2[12:]}: denied\n" in text(hdfs, FIRST, SECOND)


def test_without_any_log_the_reason_of_each_is_told():
    with pytest.raises(LogNotSaved) as caught:
        open_logs(FakeHdfs(), [WAITING, SECOND])

    assert "waits until YARN has collected the log" in str(caught.value)
    assert "/2.log was saved and is no longer there" in str(caught.value)


def test_while_hdfs_is_away_a_saved_log_is_not_called_missing():
    hdfs = FakeHdfs(troubles={"/1.log": GatewayUnavailable()})

    with pytest.raises(GatewayUnavailable):
        open_logs(hdfs, [FIRST])


def test_a_log_that_is_cut_ends_the_stream_with_an_error(loopback, session):
    status = b"""{"FileStatus": {"type": "FILE", "length": 1000, "owner": "guest",
                  "permission": "600", "modificationTime": 1}}"""
    loopback.says(Reply(200, status), Reply(200, b"one\n"))

    stream = open_logs(WebHdfs(session), [FIRST]).pieces

    assert next(stream) == b"one\n"
    with pytest.raises(GatewayUnavailable, match="4 bytes came of 1000"):
        next(stream)


def test_a_reader_who_may_read_nothing_is_told_so():
    hdfs = FakeHdfs(troubles={"/1.log": AccessDenied("denied")})

    with pytest.raises(AccessDenied, match="denied"):
        open_logs(hdfs, [FIRST, WAITING])


def test_what_was_opened_is_closed_also_if_nobody_reads_on():
    hdfs = FakeHdfs(files={"/1.log": b"one\n", "/2.log": b"two\n"})
    stream = open_logs(hdfs, [FIRST, SECOND]).pieces
    next(stream)

    stream.close()

    assert hdfs.opened == hdfs.closed == ["/1.log"]


def test_no_log_is_opened_before_the_reader_has_come_to_it():
    hdfs = FakeHdfs(files={"/1.log": b"one\n"})
    stream = open_logs(hdfs, [FIRST, SECOND]).pieces
    hdfs.files["/2.log"] = b"two\n"

    assert b"".join(stream) == b"one\ntwo\n"


@pytest.mark.parametrize("status", [CopyStatus.WAITING, CopyStatus.RUNNING, CopyStatus.FAILED])
def test_a_saved_log_is_read_while_it_is_copied_again(status):
    again = a_copy(status=status, path="/1.log", saved_at=NOW)

    assert text(FakeHdfs(files={"/1.log": b"one\n"}), again) == "one\n"


def test_the_length_of_a_single_log_is_known_from_the_start():
    hdfs = FakeHdfs(files={"/1.log": b"one\n", "/2.log": b"two\n"})

    def length(*copies) -> int | None:
        logs = open_logs(hdfs, copies)
        logs.pieces.close()
        return logs.length

    assert length(FIRST) == 4
    assert length(FIRST, SECOND) is None
    assert length(WAITING, FIRST) is None


def test_a_log_that_is_opened_knows_its_length_and_its_version():
    hdfs = FakeHdfs(files={"/1.log": b"one\n"})
    first, same = open_log(hdfs, FIRST), open_log(hdfs, FIRST)
    hdfs.files["/1.log"] = b"another\n"

    other = open_log(hdfs, FIRST)

    assert (first.length, other.length) == (4, 8)
    assert first.version == same.version != other.version
    copied_again = a_copy(status=CopyStatus.SUCCEEDED, path="/1.log", sha256="ab" * 32)
    assert open_log(hdfs, copied_again).version != other.version


def test_bytes_are_read_from_any_place_of_a_log():
    log = open_log(FakeHdfs(files={"/1.log": b"0123456789"}), FIRST)

    assert b"".join(log.read(3, 4)) == b"3456"
    assert log.bytes_at(8, 100) == b"89"


@pytest.mark.parametrize(
    ("copy", "told"),
    [(WAITING, "waits until YARN has collected the log"), (SECOND, "/2.log was saved and is no")],
)
def test_why_one_log_cannot_be_opened_is_told(copy, told):
    with pytest.raises(LogNotSaved, match=told):
        open_log(FakeHdfs(), copy)
