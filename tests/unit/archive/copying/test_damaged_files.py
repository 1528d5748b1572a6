"""Files of aggregated logs that are damaged beside others that are whole."""

from __future__ import annotations

import hashlib
import zlib

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
from tests.unit.fakes import NOW, FakeHdfs, action, details
from tests.unit.log_files import bcfile, container, ifile, record, tfile, value
from tracker_service.domain.copies import Strategy
from tracker_service.domain.jobs import JobId
from tracker_service.errors import (
    AccessDenied,
    GatewayUnavailable,
    PathNotFound,
    RequestRefused,
)
from tracker_service.store import copies

__all__ = ["copying", "copying_with"]  # fixtures

BUCKET = f"/app-logs/guest/bucket-logs-tfile/{APP.rpartition('_')[2]}/{APP}"
BROKEN = f"{BUCKET}/broken_8041"


@pytest.fixture(params=[Strategy.AUTO, Strategy.DIRECT])
def beside(copying_with, request) -> Copying:
    """A whole file of one node, and room for that of another."""
    copying = copying_with(request.param)
    copying.want(APP)
    copying.lies_there()
    return copying


def saved(copying: Copying) -> bytes:
    copying.advance()
    copy = copying.copy()
    assert (copy.status, copy.completeness) == ("SUCCEEDED", "PARTIAL")
    assert copying.cluster.oozie.submitted == []
    return copying.home.files[copy.path]


@pytest.mark.parametrize("name", ["broken_8041", "zzz_8041"])
@pytest.mark.parametrize(
    "damaged", [b"", NODE_FILE[:3000], NODE_FILE[:-1], b"PAR1" * 1000, bytes(20)]
)
def test_what_can_be_read_beside_a_damaged_file_is_saved(beside, damaged, name):
    beside.home.files[f"{BUCKET}/{name}"] = damaged

    assert saved(beside) == TEXT
    [gap] = beside.copy().contents.gaps
    assert gap.startswith(f"{BUCKET}/{name}: ")


def test_each_damaged_file_is_a_gap(beside):
    beside.home.files |= {f"{BUCKET}/a_1": b"", f"{BUCKET}/zz_1": NODE_FILE[:3000]}

    saved(beside)

    assert [gap.partition(":")[0] for gap in beside.copy().contents.gaps] == [
        f"{BUCKET}/a_1",
        f"{BUCKET}/zz_1",
    ]


def test_the_cause_is_found_in_what_can_be_read(beside):
    beside.advance()
    whole = beside.copy().contents.findings
    with beside.store.begin() as connection:
        copies.restart(connection, [beside.copy().task_id], NOW, refresh=True)
    beside.home.files[BROKEN] = NODE_FILE[:3000]

    saved(beside)

    assert whole
    assert beside.copy().contents.findings == whole


@pytest.mark.parametrize(
    "trouble",
    [
        PathNotFound(f"{BROKEN}: there is no such file"),
        AccessDenied(f"{BROKEN}: Permission denied: user=guest"),
        RequestRefused(f"{BROKEN}: Could not obtain block"),
    ],
)
def test_a_file_that_cannot_be_opened_is_a_gap(beside, trouble):
    beside.home.files[BROKEN] = NODE_FILE
    beside.home.directories[BUCKET] = beside.home.list(BUCKET)
    beside.home.troubles[BROKEN] = trouble

    assert saved(beside) == TEXT
    assert beside.copy().contents.gaps == (str(trouble),)


def block(number: int, text: bytes) -> bytes:
    return record(f"container_1_0001_01_{number:06d}", value([("stderr", text)]))


def test_after_a_damaged_block_of_a_tfile_the_next_ones_are_saved(beside):
    stored = [zlib.compress(block(n, b"block %d\n" % n)) for n in range(3)]
    stored[1] = stored[1][:12] + b"\xff" * (len(stored[1]) - 12)
    beside.home.files[BROKEN] = bcfile(stored, algorithm="gz")

    text = saved(beside)

    assert b"block 0\n" in text
    assert b"block 2\n" in text
    assert text.endswith(TEXT)


def test_after_a_record_that_cannot_be_the_next_block_is_saved(beside):
    stored = [block(0, b"block 0\n") + b"\x7f" * 500, block(2, b"block 2\n")]
    beside.home.files[BROKEN] = bcfile(stored)

    text = saved(beside)

    assert b"block 0\n" in text
    assert b"block 2\n" in text
    assert [gap.partition(":")[0] for gap in beside.copy().contents.gaps] == [BROKEN]


def test_after_a_damaged_log_of_an_ifile_the_next_ones_are_saved(beside):
    logs = [container(n, stderr=b"log %d\n" % n * 50) for n in range(3)]
    data = bytearray(ifile(logs, algorithm="gz", marker=hashlib.sha256(APP.encode()).digest()))
    second = data.index(zlib.compress(b"log 1\n" * 50))
    data[second + 2 : second + 8] = b"\xff" * 6
    beside.home.files[BROKEN] = bytes(data)

    text = saved(beside)

    assert b"log 0\n" * 50 in text
    assert b"log 2\n" * 50 in text
    [gap] = beside.copy().contents.gaps
    assert "000001 stderr: " in gap
    assert "of 300 (" in gap


def test_a_compression_that_only_the_cluster_knows_is_left_to_a_workflow(copying):
    copying.want(APP)
    copying.lies_there()
    copying.home.files[BROKEN] = tfile([container(1, stderr=b"x")]).replace(
        b"\x04none", b"\x04lzop"
    )

    copying.advance()
    copying.advance(1)

    assert (copying.copy().status, copying.copy().strategy) == ("RUNNING", "workflow")
    assert "compressed" in copying.copy().strategy_reason


def test_without_workflows_a_compression_that_nobody_knows_is_a_gap(copying_with):
    copying = copying_with(Strategy.DIRECT)
    copying.want(APP)
    copying.lies_there()
    copying.home.files[BROKEN] = tfile([container(1, stderr=b"x")]).replace(
        b"\x04none", b"\x04lzop"
    )

    assert saved(copying) == TEXT


def test_where_nothing_can_be_read_the_reason_is_that_of_the_first_file(copying_with):
    copying = copying_with(Strategy.DIRECT)
    copying.want(APP)
    copying.lies_there(b"")
    copying.home.files[f"{BUCKET}/zz_1"] = NODE_FILE[:3000]

    copying.advance()

    assert copying.copy().status == "WAITING"
    assert f"{NODE}: 0 of its 0 bytes are valid" in copying.copy().reason


# After all else


def lose_a_block(copying: Copying, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break off the file of another node whenever it is read: HDFS has lost a block of it."""
    copying.home.files[BROKEN] = NODE_FILE
    whole = FakeHdfs.read_range

    def cut(home: FakeHdfs, path: str, offset: int, length: int):
        yield from whole(home, path, offset, length // 2 if path == BROKEN else length)
        if path == BROKEN:
            raise GatewayUnavailable(f"{path}: the stream broke off")

    monkeypatch.setattr(FakeHdfs, "read_range", cut)


def fail_workflow(copying: Copying) -> None:
    """Fail the workflow of the copy as `yarn logs` does, as often as it is tried."""
    for _ in range(20):
        copying.advance(3600)
        copy = copying.copy()
        if copy.has_workflow and copy.job:
            workflow = JobId(copy.job)
            failed = action(workflow, "copy", status="ERROR", error_message="exit 255")
            copying.cluster.oozie.has(details(workflow, "KILLED", failed))


def test_what_neither_way_can_copy_whole_is_saved_in_part(copying, monkeypatch):
    copying.want(APP)
    copying.lies_there()
    lose_a_block(copying, monkeypatch)

    fail_workflow(copying)

    copy = copying.copy()
    assert (copy.status, copy.completeness, copy.strategy) == ("SUCCEEDED", "PARTIAL", "direct")
    assert copying.home.files[copy.path].endswith(TEXT)
    assert copy.contents.gaps == (f"{BROKEN}: the stream broke off",)
    assert "exit 255" in copy.strategy_reason
    assert len(copying.cluster.oozie.submitted) == 3


def test_without_workflows_the_last_try_saves_what_can_be_read(copying_with, monkeypatch):
    copying = copying_with(Strategy.DIRECT)
    copying.want(APP)
    copying.lies_there()
    lose_a_block(copying, monkeypatch)

    for _ in range(3):
        copying.advance(3600)

    assert (copying.copy().completeness, copying.copy().attempt) == ("PARTIAL", 3)


def test_a_log_above_the_limit_that_no_workflow_can_copy_is_copied_directly(copying_with):
    copying = copying_with(limit=1000)
    copying.want(APP)
    copying.lies_there(NODE_FILE)
    copying.home.files[BROKEN] = b""

    fail_workflow(copying)

    assert (copying.copy().completeness, copying.copy().strategy) == ("PARTIAL", "direct")


def test_where_nothing_is_left_to_be_read_the_reason_is_that_of_the_workflow(copying):
    copying.want(APP)

    fail_workflow(copying)

    copy = copying.copy()
    assert (copy.status, copy.completeness, copy.reason) == ("FAILED", "LOST", "exit 255")


def test_what_breaks_after_the_workflow_too_is_lost_and_not_tried_for_ever(copying):
    copying.want(APP)
    copying.lies_there(b"")

    fail_workflow(copying)

    assert (copying.copy().status, copying.copy().completeness) == ("FAILED", "LOST")
    assert len(copying.cluster.oozie.submitted) == 3
