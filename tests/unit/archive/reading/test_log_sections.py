from __future__ import annotations

import pytest

from tests.unit.saved_logs import LogInHdfs, a_file, opened, saved
from tracker_service.archive.reading import sections, selection
from tracker_service.archive.reading.selection import Selection

MIB = 1024**2
BIG = b"x" * 79 + b"\n"
HADOOP_26 = (
    b"\n\nContainer: container_1_01 on host_1\n"
    b"=====================================\n"
    b"LogType:stderr\nLog Upload Time:Sun Nov 22 04:12:46 +0000 2026\nLogLength:4\n"
    b"Log Contents:\none\n\n"
    b"LogType:stdout\nLog Upload Time:Sun Nov 22 04:12:46 +0000 2026\nLogLength:0\n"
    b"Log Contents:\n\n"
    b"\n\nContainer: container_1_02 on host_1\n"
    b"=====================================\n"
    b"LogType:stderr\nLog Upload Time:Sun Nov 22 04:12:46 +0000 2026\nLogLength:3\n"
    b"Log Contents:\ntwo\n"
)
HADOOP_27 = (
    b"\n\nContainer: container_1_01 on host_1\n"
    b"=====================================\n"
    b"LogType:stderr\nLog Upload Time:Sun Nov 22 04:12:46 +0000 2026\nLogLength:3\n"
    b"Log Contents:\noneEnd of LogType:stderr\n\n"
    b"LogType:stdout\nLog Upload Time:Sun Nov 22 04:12:46 +0000 2026\nLogLength:4\n"
    b"Log Contents:\ntwo\nEnd of LogType:stdout\n\n"
)
HADOOP_24 = (
    b"\n\nContainer: container_1_01 on host_1\n"
    b"=====================================\n"
    b"LogType: stderr\nLogLength: 4\nLog Contents:\none\n\n"
    b"LogType: stdout\nLogLength: 3\nLog Contents:\ntwo\n"
)


def every(text: bytes, piece_bytes: int = 64 * 1024) -> list[tuple[str, str, bytes]]:
    """Return container, name and content of each file in a log."""
    found = []
    for opened_section in sections.open_sections(saved(text, piece_bytes)):
        section, content = opened_section.section, b"".join(opened_section.pieces())
        assert text[section.offset :].startswith(content)
        found.append((section.container, section.file, content))
    return found


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 10_000])
def test_each_file_is_found_however_the_bytes_come(piece_bytes):
    contents = [b"one\n", b"", b"no end", b"\n", b"a\n\n\nb", bytes(range(256))]
    text = b"".join(a_file("container_1", f"log-{i}", each) for i, each in enumerate(contents))

    assert every(text, piece_bytes) == [
        ("container_1", f"log-{i}", each) for i, each in enumerate(contents)
    ]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (HADOOP_24, [("01", "stderr", b"one\n"), ("01", "stdout", b"two")]),
        (
            HADOOP_26,
            [("01", "stderr", b"one\n"), ("01", "stdout", b""), ("02", "stderr", b"two")],
        ),
        (HADOOP_27, [("01", "stderr", b"one"), ("01", "stdout", b"two\n")]),
    ],
)
def test_older_forms_of_yarn_logs_are_understood(text, files):
    assert every(text) == [(f"container_1_{number}", *rest) for number, *rest in files]


def test_what_looks_like_a_head_or_a_foot_within_the_announced_length_is_content():
    inner = a_file("container_2", "stderr", b"inner\n")

    assert every(a_file("container_1", "stderr", inner)) == [("container_1", "stderr", inner)]


@pytest.mark.parametrize("announced", [0, 3, 90, 110, 2 * MIB, 9 * MIB, 10**17])
@pytest.mark.parametrize("length", [100, 3 * MIB, 6 * MIB])
def test_a_wrong_length_does_not_hide_the_end_of_a_file(announced, length):
    """Secrets that were replaced have changed it."""
    content = (BIG * (length // 80 + 1))[:length]
    text = a_file("container_1", "stderr", content, announced) + a_file("container_2", "x", b"1\n")

    assert every(text) == [("container_1", "stderr", content), ("container_2", "x", b"1\n")]


def test_a_length_that_is_not_known_does_not_either():
    text = a_file("container_1", "stderr", b"one\n").replace(b"LogLength:4", b"LogLength:unknown")

    assert every(text + text) == [("container_1", "stderr", b"one\n")] * 2


def test_a_file_that_breaks_off_ends_where_the_next_one_begins():
    text = a_file("container_1", "stderr", b"one\n" * 1000)[:500]

    found = every(text + a_file("container_2", "stdout", b"two\n"))

    assert [each[:2] for each in found] == [("container_1", "stderr"), ("container_2", "stdout")]
    assert found[1][2] == b"two\n"


def test_a_log_that_breaks_off_ends_its_last_file():
    text = a_file("container_1", "stderr", b"one\n" * 1000)

    [found] = every(text[:500])

    assert text[:500].endswith(found[2])
    assert every(text[:30]) == []


@pytest.mark.parametrize("text", [b"", b"\n", b"no log at all\n", bytes(100_000)])
def test_what_is_no_log_has_no_file(text):
    assert every(text) == []


def test_big_files_are_passed_over_unread():
    content = BIG * (40 * MIB // 80)
    small = [a_file(f"container_{i}", "stderr", b"1\n2\n3") for i in range(3)]
    hdfs = LogInHdfs(a_file("container_8", "syslog", content).join(small))

    found = list(sections.files(opened(hdfs)))

    assert [(each.file, each.length, each.lines) for each in found] == [
        ("stderr", 5, 3),
        ("syslog", len(content), None),
        ("stderr", 5, 3),
        ("syslog", len(content), None),
        ("stderr", 5, 3),
    ]
    assert hdfs.sent < 2 * MIB
    assert hdfs.open == 0


def test_files_that_are_not_wanted_are_passed_over_too():
    text = a_file("container_1", "syslog", BIG * 100_000) + a_file("container_1", "stderr", b"1\n")
    hdfs = LogInHdfs(text + text)

    pieces = selection.read(opened(hdfs), Selection(file="stderr"))

    assert [piece for _, piece in pieces] == [b"1\n", b"1\n"]
    assert hdfs.sent < 2 * MIB


def test_a_reader_who_goes_leaves_nothing_open():
    hdfs = LogInHdfs(a_file("container_1", "syslog", BIG * 100_000))
    pieces = selection.read(opened(hdfs), Selection(by_file=True))
    next(pieces)

    pieces.close()

    assert hdfs.open == 0
    assert hdfs.sent < 8 * MIB
