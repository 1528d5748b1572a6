from __future__ import annotations

import tracemalloc
from collections.abc import Generator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.log_files import (
    ALL_SAMPLES,
    APP,
    MARKER,
    NODE,
    Disk,
    Sample,
    bcfile,
    container,
    flat,
    held,
    ifile,
    record,
    sample,
    tfile,
    value,
)
from tracker_service.archive.formats.node_file import NodeFile
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.archive.formats.yarn_text import as_text
from tracker_service.errors import GatewayUnavailable, LogFileBroken

MIB = 1024 * 1024
TWO = [container(1, stderr=b"one\n", stdout=b""), container(2, stderr=b"two\n")]

FORMATS = pytest.mark.parametrize("write", [tfile, ifile])
ALGORITHMS = pytest.mark.parametrize("algorithm", ["none", "gz"])


def text(files: Iterable[NodeFile]) -> bytes:
    return b"".join(piece for f in files for piece in as_text(f.name, logs_of(f)))


@pytest.mark.parametrize("recorded", ALL_SAMPLES, ids=str)
def test_the_text_is_the_one_that_yarn_logs_printed(recorded: Sample):
    assert text(file for _, file in recorded.disks()) == recorded.text


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize("recorded", [s for s in ALL_SAMPLES if s.name == "odd"], ids=str)
def test_it_does_not_matter_where_the_gateway_cuts_the_bytes(recorded: Sample, piece: int):
    for disk, file in recorded.disks():
        disk.piece = piece
        assert text([file]) == recorded.text


names = st.text(
    st.characters(codec="utf-8", max_codepoint=0xFFFF, exclude_characters="\0"),
    min_size=1,
    max_size=8,
)
contents = st.binary(max_size=300) | st.binary(max_size=9).map(lambda part: part * 99)
containers = st.lists(
    st.tuples(st.uuids().map(str), st.lists(st.tuples(names, contents), max_size=5)),
    max_size=8,
)


@given(
    containers,
    st.sampled_from(["none", "gz"]),
    st.integers(1, 400),
    st.integers(1, 400),
    st.integers(1, 500),
)
def test_whatever_a_node_manager_writes_as_tfile_is_read(logs, algorithm, block, chunk, piece):
    data = tfile(logs, algorithm=algorithm, block=block, chunk=chunk)

    assert held(logs_of(Disk(data, piece).file())) == flat(logs)


@given(containers, st.sampled_from(["none", "gz"]), st.integers(1, 500))
def test_whatever_a_node_manager_writes_as_ifile_is_read(logs, algorithm, piece):
    found = held(logs_of(Disk(ifile(logs, algorithm=algorithm), piece).file()))

    for name, _ in logs:
        assert [f for f in found if f[0] == name] == flat([c for c in logs if c[0] == name])
    assert len(found) == len(flat(logs))


FUZZED = [(s, n) for s in ("tfile", "tfile-gz", "ifile", "ifile-gz") for n in ("odd", "empty")]


@given(
    st.sampled_from([*FUZZED, ("tfile-rolled", "rolled"), ("ifile-rolled", "rolled")]),
    st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.sampled_from(["change", "cut", "insert"]),
)
def test_damage_ends_in_one_kind_of_error_or_in_text(which, places, damage):
    disk, file = list(sample(*which).disks())[-1]
    data = bytearray(disk.data)
    for place, byte in places:
        # One half of the places is in the last 1 % to 30 %, where the indexes are.
        at = int(len(data) * place) if place >= 0 else len(data) + int(len(data) * place**3 * 0.3)
        at = min(at, len(data) - 1)
        if damage == "change":
            data[at] = byte
        elif damage == "insert":
            data.insert(at, byte)
        else:
            del data[at : at + byte]
    damaged = Disk(bytes(data)).file(name=file.name, application=file.application)

    size, told = 0, file.name
    try:
        for piece in as_text(NODE, logs_of(damaged)):
            size += len(piece)
    except LogFileBroken as error:
        told = str(error)

    assert told.startswith(file.name)
    assert size < 200_000


@FORMATS
@ALGORITHMS
def test_a_file_that_is_cut_anywhere_is_broken(write, algorithm):
    data = write(TWO, algorithm=algorithm)

    for length in range(len(data)):
        with pytest.raises(LogFileBroken, match=rf"^{NODE}: "):
            held(logs_of(Disk(data[:length]).file()))


@FORMATS
def test_a_file_that_has_become_shorter_is_broken(write):
    data = write(TWO)

    with pytest.raises(LogFileBroken, match=f"{NODE}: 9 bytes are missing"):
        held(logs_of(Disk(data[:-9]).file(length=len(data))))


def test_an_empty_file_is_broken():
    with pytest.raises(LogFileBroken, match=f"{NODE}: 0 of its 0 bytes are valid"):
        next(logs_of(Disk(b"").file()))


def test_a_file_of_another_kind_is_broken():
    with pytest.raises(LogFileBroken, match="no file of logs, or not complete"):
        next(logs_of(Disk(b"PAR1" * 100).file()))


def test_an_ifile_of_another_application_is_not_taken_for_one_of_this():
    with pytest.raises(LogFileBroken, match="no file of logs"):
        next(logs_of(Disk(ifile(TWO)).file(application=APP + "7")))


@FORMATS
def test_a_small_file_is_read_with_one_request(write):
    disk = Disk(write([container(n, stderr=b"x" * 1000, stdout=b"y") for n in range(30)]))

    held(logs_of(disk.file()))

    assert disk.reads == [(0, len(disk.data))]
    assert disk.closed == 1


@FORMATS
def test_a_large_file_is_read_with_one_request_for_its_end_and_one_for_the_rest(write):
    logs = [container(1, stderr=b"x" * 9 * MIB, stdout=b"y" * MIB)]
    disk = Disk(write(logs))

    assert held(logs_of(disk.file())) == flat(logs)

    tail, rest = disk.reads
    assert tail == (len(disk.data) - 256 * 1024, 256 * 1024)
    assert rest[0] == {tfile: 16, ifile: len(MARKER)}[write]
    assert rest[1] >= 10 * MIB
    assert disk.closed == 2


@FORMATS
@ALGORITHMS
def test_of_a_large_file_only_a_few_pieces_are_held(write, algorithm, monkeypatch):
    disk = Disk(write([container(1, stderr=b"0123456789abcdef" * (MIB * 3))], algorithm=algorithm))
    monkeypatch.setattr("tracker_service.archive.formats.node_logs._SMALL_BYTES", 16 * 1024)
    monkeypatch.setattr("tracker_service.archive.formats.node_logs._TAIL_BYTES", 16 * 1024)
    tracemalloc.start()

    size = sum(map(len, as_text(NODE, logs_of(disk.file()))))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 48 * MIB
    assert peak < 2 * MIB


@FORMATS
@ALGORITHMS
def test_what_is_not_read_of_a_log_is_passed_over(write, algorithm):
    logs = [container(1, stderr=b"1" * 5000, stdout=b"2" * 5000, syslog=b"3" * 5000)]
    found = []

    for log in logs_of(Disk(write(logs, algorithm=algorithm), piece=700).file()):
        found.append((log.name, next(log.content)[:1]))
        assert isinstance(log.content, Generator)
        log.content.close()

    assert found == [("stderr", b"1"), ("stdout", b"2"), ("syslog", b"3")]


@FORMATS
def test_who_reads_no_further_lets_go_of_the_file(write):
    disk = Disk(write([container(1, stderr=b"x" * 10 * MIB)]))
    logs = logs_of(disk.file())
    next(next(logs).content)

    logs.close()

    assert disk.closed == len(disk.reads) == 2


@FORMATS
@pytest.mark.parametrize("good_reads", [0, 1])
def test_an_outage_of_the_gateway_is_no_damage(write, good_reads):
    disk = Disk(write([container(1, stderr=b"x" * 10 * MIB)]))

    def read(offset, length):
        if len(disk.reads) == good_reads:
            yield b"x"
            raise GatewayUnavailable("the stream broke off")
        yield from disk.read(offset, length)

    with pytest.raises(GatewayUnavailable, match=r"^the stream broke off$"):
        held(logs_of(disk.file(read=read)))


def test_the_text_before_the_damage_is_given():
    good = record("container_1", value([("stderr", b"good\n")]))
    text = as_text(NODE, logs_of(Disk(bcfile([good, b"damage"])).file()))

    assert b"good\n" in next(text)
    with pytest.raises(LogFileBroken):
        next(text)
