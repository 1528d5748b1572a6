from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.unit.log_files import MODIFIED, NODE
from tracker_service.archive.formats.node_file import Log
from tracker_service.archive.formats.yarn_text import as_text

KIB = 1024


def a_log(name="stderr", *pieces: bytes, modified_at=MODIFIED, **more) -> Log:
    facts = {"container": "container_1", "length": sum(map(len, pieces)), **more}
    return Log(name=name, modified_at=modified_at, content=iter(pieces), **facts)


def text(*logs: Log) -> str:
    return b"".join(as_text(NODE, logs)).decode()


def test_a_log_stands_between_lines_that_say_whose_it_is():
    assert text(a_log("stderr", b"one\n", b"two")) == (
        "Container: container_1 on localhost_8041\n"
        "LogAggregationType: AGGREGATED\n"
        f"{'=' * 40}\n"
        "LogType:stderr\n"
        "LogLastModifiedTime:Sun Nov 22 04:12:46 +0000 2026\n"
        "LogLength:7\n"
        "LogContents:\n"
        "one\ntwo\n"
        "End of LogType:stderr\n"
        f"{'*' * 71}\n"
        "\n"
    )


def test_an_empty_log_has_an_empty_line():
    assert "LogLength:0\nLogContents:\n\nEnd of LogType:stderr\n" in text(a_log("stderr"))


def test_bytes_that_are_no_text_pass_unchanged():
    odd = bytes(range(256))

    assert odd in b"".join(as_text(NODE, [a_log("stderr", odd)]))


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (datetime(2026, 1, 5, 3, 4, 5, 999_000, UTC), "Mon Jan 05 03:04:05 +0000 2026"),
        (datetime(2026, 1, 5, 3, 4, 5, 0, timezone(timedelta(hours=5))), "Sun Jan 04 22:04:05"),
        (datetime(1970, 1, 1, tzinfo=UTC), "N/A\n"),
        (datetime(1969, 1, 1, tzinfo=UTC), "N/A\n"),
    ],
)
def test_times_are_those_of_utc_in_english(moment, told):
    assert f"LogLastModifiedTime:{told}" in text(a_log(modified_at=moment))


def test_names_are_as_long_as_java_counts_them():
    lines = text(a_log("log-ä-\U0001f600")).splitlines()

    assert lines[-3] == "End of LogType:log-ä-\U0001f600"
    assert len(lines[-2]) == len(lines[-3]) + 1 + 50


def test_half_a_character_is_a_question_mark_as_in_java():
    assert "LogType:log-?\n" in text(a_log("log-\ud83d"))


def test_small_pieces_are_put_together_and_large_ones_are_not_copied():
    large = bytes(100 * KIB)

    pieces = list(as_text(NODE, [a_log("stderr", *[b"x" * KIB] * 200, large, large)]))

    assert [len(p) >= 64 * KIB for p in pieces[:-1]] == [True] * (len(pieces) - 1)
    assert any(piece is large for piece in pieces)
