from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest

from tests.unit.log_files import (
    MARKER,
    Disk,
    container,
    flat,
    held,
    ifile,
    index,
    sample,
    trailer,
)
from tracker_service.archive.formats.ifile import valid_end
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.errors import LogFileBroken

MIB = 1024 * 1024
HUGE = (1 << 63) - 1
ONE, TWO = container(1, stderr=b"one\n"), container(2, stderr=b"two\n")
NAME = ONE[0]
OLD_MARKER = b"0b0e7c4e-3a55-4c36-9c22-5a1b0c3f7f10"


def read(data: bytes, end: int | None = None) -> list[tuple[str, str, bytes]]:
    return held(logs_of(Disk(data).file(), end))


def broken(data: bytes, end: int | None = None) -> str:
    with pytest.raises(LogFileBroken) as caught:
        read(data, end)
    return str(caught.value)


def listing(*numbers: tuple[int, int, int, int], algorithm="none", content=b"content") -> bytes:
    """A file whose index has logs with any numbers: stored and announced length, time, start."""
    logs = [(NAME, "stderr", each) for each in numbers]
    return MARKER + content + trailer(index([[(NAME, logs)]], algorithm=algorithm))


def test_of_a_file_that_was_appended_to_only_the_last_index_counts():
    first = ifile([ONE])
    appended = first + trailer(index([[(NAME, [(NAME, "stderr", (4, 4, 1, len(MARKER)))])]] * 2))

    assert read(appended) == flat([ONE, ONE])


def test_only_the_valid_bytes_of_a_file_count_where_they_are_known():
    first = ifile([ONE])

    assert read(first + b"half an upload", len(first)) == flat([ONE])


@pytest.mark.parametrize("end", [0, -1, HUGE])
def test_an_end_outside_the_file_is_broken(end):
    assert "bytes are valid" in broken(ifile([ONE]), end)


def test_the_first_version_of_the_format_is_read():
    data = ifile([ONE, TWO], marker=OLD_MARKER, modified_name="lastModificatedTime")

    assert read(data) == flat([ONE, TWO])


def test_the_marker_of_the_first_version_stands_at_both_ends():
    assert "no file of logs" in broken(b"x" + ifile([ONE], marker=OLD_MARKER)[1:])


@pytest.mark.parametrize("algorithm", ["none", "gz"])
def test_a_log_is_given_as_far_as_it_was_written_and_announced(algorithm):
    longer = ifile([container(1, stderr=b"Error aggregating", stdout=b"")], algorithm=algorithm)
    announced = ifile([ONE, TWO], announced=1000, algorithm=algorithm)
    shorter = ifile([ONE, TWO], announced=2, algorithm=algorithm)

    assert [content for *_, content in read(longer)] == [b"Error aggregating", b""]
    assert [content for *_, content in read(announced)] == [b"one\n", b"two\n"]
    assert [content for *_, content in read(shorter)] == [b"on", b"tw"]


@pytest.mark.parametrize("algorithm", ["lzo", "zstd"])
def test_a_compression_that_cannot_be_read_is_named_before_the_first_log(algorithm):
    with pytest.raises(LogFileBroken, match=f"compressed with '{algorithm}'"):
        next(logs_of(Disk(ifile([ONE], algorithm=algorithm)).file()))


@pytest.mark.parametrize(
    "numbers",
    [
        (HUGE, 4, 1, 32),
        (4, 4, 1, HUGE),
        (-1, 4, 1, 32),
        (4, -1, 1, 32),
        (4, 4, 1, -1),
        (8, 8, 1, 32),
        (4, 4, 1, 36),
        (4, 4, HUGE, 32),
    ],
)
def test_a_log_that_cannot_be_in_the_file_is_broken(numbers):
    assert "its index" in broken(listing(numbers))


def test_the_logs_of_a_file_are_no_more_than_it_has():
    assert "cannot be at byte" in broken(listing(*[(7, 7, 1, 32)] * 7))


def test_a_time_before_1970_is_that_of_its_beginning():
    [log] = logs_of(Disk(listing((4, 4, -HUGE, 32))).file())

    assert log.modified_at.timestamp() == 0


@pytest.mark.parametrize("length", [0, -1, -(1 << 31), (1 << 31) - 1, 301])
def test_an_index_must_lie_in_the_file(length):
    data = MARKER + bytes(300) + struct.pack(">i", length) + MARKER

    assert f"its index cannot have {length} bytes" in broken(data)


def test_only_so_many_logs_are_listed(monkeypatch):
    monkeypatch.setattr("tracker_service.archive.formats.ifile._MOST_LOGS", 3)

    assert len(read(listing(*[(0, 0, 1, 32)] * 3))) == 3
    assert "more than 3 logs" in broken(listing(*[(0, 0, 1, 32)] * 4))


def test_a_file_of_markers_alone_is_broken():
    assert "too short to have an index" in broken(MARKER + MARKER)


@pytest.mark.parametrize(
    "stored", [b"no zlib stream", zlib.compress(b"text")[:-1], zlib.compress(b"text")[:-1] + b"x"]
)
def test_damaged_gz_data_is_broken(stored):
    data = listing((len(stored), 4, 1, 32), algorithm="gz", content=stored)

    assert "gz data" in broken(data)


def test_a_bomb_is_unpacked_only_as_far_as_it_was_announced():
    bomb = zlib.compress(bytes(20 * MIB), 9)

    data = listing((len(bomb), 5, 1, 32), algorithm="gz", content=bomb)
    tracemalloc.start()

    assert [content for *_, content in read(data)] == [bytes(5)]

    assert tracemalloc.get_traced_memory()[1] < MIB
    tracemalloc.stop()


def test_logs_that_lie_together_are_read_with_one_request(monkeypatch):
    monkeypatch.setattr("tracker_service.archive.formats.node_logs._SMALL_BYTES", 0)
    monkeypatch.setattr("tracker_service.archive.formats.node_logs._TAIL_BYTES", 64)
    monkeypatch.setattr("tracker_service.archive.formats.ifile._GAP_BYTES", 10)
    content = bytes(range(200))
    places = [(5, 32), (5, 37), (5, 52), (5, 100), (5, 47)]
    disk = Disk(listing(*[(n, n, 1, at) for n, at in places], content=content))

    assert [c for *_, c in held(logs_of(disk.file()))] == [
        content[at - 32 : at - 32 + n] for n, at in places
    ]
    assert disk.reads[-3:] == [(32, 25), (100, 5), (47, 5)]


def test_an_upload_that_came_twice_is_given_twice_as_yarn_logs_does():
    [(_, file)] = sample("ifile-rolled", "rolled").disks()

    names = [name for _, name, _ in held(logs_of(file)) if name.startswith("part")]

    assert names == [f"part.{n}.log" for n in (1, 2, 1, 3, 2, 1)]


@pytest.mark.parametrize(
    ("beside", "end"),
    [
        (struct.pack(">i", 6) + b"node_1" + struct.pack(">q", 4711), 4711),
        (struct.pack(">i", 6) + b"node_2" + struct.pack(">q", 4711), None),
        (struct.pack(">q", 4711), 4711),
        (b"", None),
        (b"\xff" * 30, None),
    ],
)
def test_a_checksum_file_says_how_much_of_its_own_file_is_valid(beside, end):
    assert valid_end(beside, "node_1") == end
