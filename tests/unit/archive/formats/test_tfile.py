from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.log_files import (
    MAGIC,
    Disk,
    bcfile,
    container,
    flat,
    held,
    record,
    tfile,
    utf,
    value,
    vint,
)
from tracker_service.archive.formats import tfile as reader
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.archive.formats.pieces import ByteSource, Ended
from tracker_service.errors import LogFileBroken

NAME = "container_1795323187948_0002_01_000001"
NEXT = container(2, stderr=b"next\n")
HUGE = (1 << 63) - 1


def read(data: bytes, **more) -> list[tuple[str, str, bytes]]:
    return held(logs_of(Disk(data).file(**more)))


def broken(data: bytes) -> str:
    with pytest.raises(LogFileBroken) as caught:
        read(data)
    return str(caught.value)


#: What org.apache.hadoop.io.file.tfile.Utils.writeVLong of Hadoop 3.3.6 writes.
AS_HADOOP_WRITES = {
    **{33: "21", 127: "7f", -32: "e0", -33: "cbdf", 128: "cc80", -127: "cb81", 5119: "dfff"},
    **{-5120: "b800", 5120: "a81400", -5121: "a7ebff", 1048575: "b7ffff", -1048576: "980000"},
    **{1048576: "90100000", -1048577: "8fefffff", 134217727: "97ffffff"},
    **{-134217728: "88000000", 134217728: "8308000000", 4294967296: "840100000000"},
    **{-4294967296: "84ff00000000", HUGE: "877fffffffffffffff", -HUGE - 1: "878000000000000000"},
}


@pytest.mark.parametrize(("number", "written"), AS_HADOOP_WRITES.items())
def test_numbers_are_read_as_hadoop_writes_them(number, written):
    assert vint(number).hex() == written
    assert reader.vint(ByteSource([bytes.fromhex(written)])) == number


@given(st.integers(-HUGE - 1, HUGE) | st.integers(-200_000, 200_000))
def test_a_number_takes_its_own_bytes_and_no_more(number):
    source = ByteSource([vint(number) + b"next"])

    assert reader.vint(source) == number
    assert source.exactly(4) == b"next"


@pytest.mark.parametrize("written", AS_HADOOP_WRITES.values())
def test_half_a_number_is_none(written):
    with pytest.raises(Ended):
        reader.vint(ByteSource([bytes.fromhex(written)[:-1]]))


def test_a_log_that_was_written_shorter_than_announced_takes_nothing_of_the_next_container():
    short = record(NAME, utf("stderr") + utf("1000") + b"all there was\nError aggregating log file")

    assert read(tfile([], more=[short, record(*_as_record(NEXT))])) == [
        (NAME, "stderr", b"all there was\nError aggregating log file"),
        *flat([NEXT]),
    ]


def test_half_a_name_at_the_end_of_a_container_is_dropped_as_yarn_logs_does():
    half = record(NAME, value([("stderr", b"one\n")]) + b"\x00\x09half")

    assert read(tfile([], more=[half, record(*_as_record(NEXT))])) == [
        (NAME, "stderr", b"one\n"),
        *flat([NEXT]),
    ]


@pytest.mark.parametrize("length", ["", "x", "-1", "1.5", " 7", "\uff19", str(1 << 63), "9" * 40])
def test_logs_that_cannot_be_told_apart_are_given_as_one(length):
    odd = record(NAME, value([("stderr", b"one\n")]) + utf("stdout") + utf(length) + b"the rest")

    *first, unreadable = logs_of(Disk(tfile([], more=[odd])).file())

    assert [log.name for log in first] == ["stderr"]
    assert (unreadable.name, unreadable.length) == ("unreadable", None)


def test_what_cannot_be_told_apart_is_not_lost():
    odd = record(NAME, utf("stdout") + utf("x") + b"the rest")

    assert read(tfile([], more=[odd, record(*_as_record(NEXT))])) == [
        (NAME, "unreadable", b"the rest"),
        *flat([NEXT]),
    ]


def test_a_name_that_java_cannot_have_written_is_unreadable_too():
    odd = record(NAME, utf(b"\xff\xfe") + utf("1") + b"1")

    assert read(tfile([], more=[odd])) == [(NAME, "unreadable", b"\x00\x011" + b"1")]


def test_the_same_container_may_come_again():
    again = [container(1, stderr=b"one\n"), container(1, stderr=b"two\n")]

    assert read(tfile(again)) == flat(again)


def test_names_are_those_that_java_wrote():
    odd = record(NAME, utf(b"a\xc0\x80\xed\xa0\xbd\xed\xb8\x80") + utf("0"))

    assert read(tfile([], more=[odd])) == [(NAME, "a\0\U0001f600", b"")]


def test_names_may_be_as_long_as_those_of_files():
    name = "n" * 255

    assert read(tfile([], more=[record(NAME, value([(name, b"one\n")]))])) == [
        (NAME, name, b"one\n")
    ]


@pytest.mark.parametrize("length", [256, 0x7FFF, 0x8000, 0xFFFF])
def test_what_has_a_longer_name_is_shown_without_it(length):
    longer = record(NAME, value([("n" * length, b"one\n")]))

    assert read(tfile([], more=[longer])) == [(NAME, "unreadable", utf("4") + b"one\n")]


def test_a_file_without_blocks_has_no_logs():
    assert read(bcfile([])) == []


@pytest.mark.parametrize("algorithm", ["lzo", "zstd", "lz4"])
def test_a_compression_that_cannot_be_read_is_named(algorithm):
    assert f"compressed with '{algorithm}'" in broken(bcfile([b""], algorithm=algorithm))


def index_of(*blocks: tuple[int, int], count: int | None = None) -> bytes:
    numbers = b"".join(vint(offset) + vint(length) + vint(length) for offset, length in blocks)
    return vint(4) + b"none" + vint(len(blocks) if count is None else count) + numbers


@pytest.mark.parametrize(
    "index",
    [
        index_of((16, HUGE)),
        index_of((HUGE, HUGE)),
        index_of((-1, 8)),
        index_of((15, 8)),
        index_of((16, -1)),
        index_of((20, 4), (16, 4)),
        index_of((16, 8), (20, 8)),
        index_of(count=HUGE),
        index_of(count=-1),
        index_of(count=5),
        vint(HUGE),
        vint(-1),
        b"",
    ],
)
def test_an_index_with_blocks_that_cannot_be_is_broken(index):
    assert broken(bcfile([record("VERSION", b"1234")], index=index))


def meta_of(offset: int, length: int, name=b"data:BCFile.index") -> bytes:
    return vint(1) + vint(len(name)) + name + vint(4) + b"none" + vint(offset) + vint(length) * 2


@pytest.mark.parametrize(
    "meta",
    [
        meta_of(HUGE, HUGE),
        meta_of(-5, 10),
        meta_of(16, -1),
        meta_of(16, HUGE),
        meta_of(16, 4, b"data:other"),
        vint(HUGE),
        vint(-HUGE),
        vint(1) + vint(HUGE),
        vint(1) + vint(-1),
        b"\x80",
    ],
)
def test_a_list_of_meta_blocks_that_cannot_be_is_broken(meta):
    assert broken(bcfile([record("VERSION", b"1234")], meta=meta))


@pytest.mark.parametrize("offset", [-1, 0, 15, HUGE, -HUGE - 1, 60])
def test_a_list_of_meta_blocks_must_lie_in_the_file(offset):
    tail = struct.pack(">qhh", offset, 1, 0) + MAGIC

    assert "list of its meta blocks cannot be" in broken(MAGIC + b"\0" * 16 + tail)


def test_another_version_of_the_format_is_named():
    assert "its version is 2" in broken(bcfile([], major=2))


def test_a_block_must_end_before_the_index():
    block = record("VERSION", b"1234")

    assert "cannot be a block of it" in broken(bcfile([block], index=index_of((16, 500))))


@pytest.mark.parametrize("length", [16, 43])
def test_a_file_that_is_shorter_than_the_shortest_is_none(length):
    assert "no file of logs, or not complete" in broken((bytes(44) + MAGIC)[-length:])


@pytest.mark.parametrize("length", [HUGE, -1, 65_537])
def test_a_key_is_only_so_long(length):
    block = vint(length) + b"x" * 70_000

    assert f"key of a record cannot have {length} bytes" in broken(bcfile([block]))


def test_millions_of_blocks_are_refused_before_they_are_counted():
    index = index_of(*[(16, 0)] * 100_000)

    assert "it cannot have 100000 blocks" in broken(bcfile([], index=index))


@pytest.mark.parametrize(
    "block",
    [
        vint(HUGE),
        vint(-1),
        vint(0),
        vint(70_000) + b"x" * 70_000,
        vint(3) + utf(b"\xff"),
        vint(12) + utf("VERSION"),
        record(NAME, b"12345678")[:-1],
        record("VERSION", b"12345678")[:-1],
        vint(2 + len(NAME)) + utf(NAME),
        vint(2 + len(NAME)) + utf(NAME) + vint(-HUGE - 1) + value([("stderr", b"x")]),
        vint(2 + len(NAME)) + utf(NAME) + vint(-4) + b"1234",
    ],
)
def test_a_record_that_cannot_be_is_broken(block):
    assert broken(bcfile([block]))


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"no zlib stream",
        zlib.compress(record(*("VERSION", b"1")))[:-1],
        zlib.compress(b"")[:-4] + b"1234",
    ],
)
def test_damaged_gz_data_is_broken(stored):
    assert "gz data" in broken(bcfile([stored], algorithm="gz"))


def test_what_stands_after_the_gz_data_of_a_block_is_passed_over():
    blocks = [zlib.compress(record(*_as_record(each))) + b"more" for each in (NEXT, NEXT)]

    assert read(bcfile(blocks, algorithm="gz")) == flat([NEXT, NEXT])


def test_a_bomb_is_unpacked_only_as_far_as_it_is_read():
    bomb = zlib.compress(record(NAME, utf("stderr") + utf(str(32 << 20)) + bytes(32 << 20)), 9)
    logs = logs_of(Disk(bcfile([bomb], algorithm="gz")).file())

    assert len(next(next(logs).content)) <= 256 * 1024
    logs.close()


def test_a_bomb_in_the_index_is_broken():
    index = index_of((16, 0), count=1) + bytes(1 << 20)
    data = bcfile([b""], index=vint(-5) + index, algorithm="gz")

    assert "a name cannot have -5 bytes" in broken(data)


def _as_record(one) -> tuple[str, bytes]:
    name, logs = one
    return name, value(logs)
