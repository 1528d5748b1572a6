from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.saved_logs import LogInHdfs, a_file, opened, saved
from tracker_service.archive.reading import selection
from tracker_service.archive.reading.lines import Stretch, as_lines, between
from tracker_service.archive.reading.selection import Selection

MIB = 1024**2
CONTENTS = st.lists(st.sampled_from([b"a\n", b"", b"bb", b"\n", b"c\nd"]), max_size=6)


def read(text: bytes, **choice) -> bytes:
    return b"".join(piece for _, piece in selection.read(saved(text, 1000), Selection(**choice)))


def lines_of(text: bytes) -> list[bytes]:
    """Return lines with their ends; unlike `splitlines` only at line feeds."""
    return [line + b"\n" for line in text.split(b"\n")[:-1]] + [text.split(b"\n")[-1]] * (
        not text.endswith(b"\n") and text != b""
    )


@pytest.mark.parametrize("wanted", [1, 2, 5000, 9999, 10_000, 10_001, 100_000])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_last_lines_are_found_from_the_end(wanted, end):
    rng = random.Random(wanted)
    text = b"\n".join(b"x" * rng.randrange(200) for _ in range(9999)) + b"\nlast" + end

    assert read(text, tail=wanted) == b"".join(lines_of(text)[-wanted:])


def test_few_bytes_are_read_for_the_last_lines_of_a_big_log():
    hdfs = LogInHdfs(b"a line of some length\n" * MIB)

    pieces = [piece for _, piece in selection.read(opened(hdfs), Selection(tail=1000))]

    assert b"".join(pieces) == b"a line of some length\n" * 1000
    assert hdfs.sent == 256 * 1024
    assert len(hdfs.ranges) == 1


def test_last_lines_that_are_very_long_come_in_pieces_of_bounded_size():
    text = b"first\n" + b"x" * 20 * MIB + b"\n" + b"y" * MIB

    pieces = [piece for _, piece in selection.read(saved(text), Selection(tail=2))]

    assert b"".join(pieces) == text[6:]
    assert max(map(len, pieces)) < MIB


@pytest.mark.parametrize("text", [b"", b"\n", b"one", b"\n\n"])
def test_a_log_with_few_lines_is_given_whole(text):
    assert read(text, tail=5) == text


@given(contents=CONTENTS, wanted=st.integers(1, 8))
def test_the_last_lines_of_files_are_counted_over_all_of_them(contents, wanted):
    text = b"".join(a_file("container_1", f"f{i}", each) for i, each in enumerate(contents))
    expected = [line for each in contents for line in lines_of(each)][-wanted:]

    if contents:
        assert read(text, tail=wanted, by_file=True) == b"".join(expected)


@given(
    contents=CONTENTS,
    first=st.integers(1, 8),
    count=st.none() | st.integers(1, 8),
    size=st.integers(1, 4),
)
def test_lines_are_counted_over_all_stretches(contents, first, count, size):
    offsets = [1000 * number for number in range(len(contents))]
    stretches = [Stretch(offset, 1, "c", str(offset)) for offset in offsets]
    numbered = [
        (stretch.file, number, line)
        for stretch, each in zip(stretches, contents, strict=True)
        for number, line in enumerate(lines_of(each), 1)
    ]
    pieces = (
        (stretch, each[at : at + size])
        for stretch, each in zip(stretches, contents, strict=True)
        for at in range(0, len(each) or 1, size)
    )

    found = [line for some in as_lines(between(pieces, first, count)) for line in some]

    stop = None if count is None else first - 1 + count
    expected = numbered[first - 1 : stop]
    assert [(e.stretch.file, e.number, e.text) for e in found] == [
        (file, number, line.removesuffix(b"\n")) for file, number, line in expected
    ]
    for each in found:
        content = contents[offsets.index(int(each.stretch.file))]
        start = each.offset - int(each.stretch.file)
        assert content[start : start + len(each.text)] == each.text


def test_nothing_is_read_beyond_the_last_line_that_is_wanted():
    hdfs = LogInHdfs(b"line\n" * MIB)

    pieces = selection.read(opened(hdfs), Selection(first=3, lines=2))

    assert b"".join(piece for _, piece in pieces) == b"line\n" * 2
    assert hdfs.sent <= 64 * 1024
    assert hdfs.open == 0


def test_a_long_line_is_given_to_programs_in_parts_of_one_number():
    text = b"one\n" + b"x" * 200_000 + b"\ntwo\n"

    lines = [e for some in as_lines(selection.read(saved(text), Selection())) for e in some]

    assert [line.number for line in lines] == [1, 2, 2, 2, 2, 3]
    assert b"".join(line.text for line in lines) == text.replace(b"\n", b"")
    assert all(text[e.offset : e.offset + len(e.text)] == e.text for e in lines)
