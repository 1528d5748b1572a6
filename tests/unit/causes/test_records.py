from __future__ import annotations

import pytest

from tracker_service.causes.scan.records import LONGEST_LINE, cut, is_more, level_of, words_of
from tracker_service.domain.log_levels import LogLevel


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (b"26/11/30 10:00:02 ERROR Load: no rows", LogLevel.ERROR),
        (b"2026-11-30 10:00:02 [warning] no rows", LogLevel.WARN),
        (b'time=10:00 level=error msg="no rows"', LogLevel.ERROR),
        (b"F1130 10:00:02.101234    4711 main.go:55] no rows", LogLevel.ERROR),
        (b"I1130 10:00:02.101234    4711 main.go:40] start", LogLevel.INFO),
        (b"Warning message:", LogLevel.WARN),
        (b"com.acme.LoadException: no rows", None),
        (b"INFO TaskAttemptImpl: Diagnostics report from attempt_1: Error: no rows", None),
    ],
)
def test_the_level_of_a_line_is_read_in_the_layout_of_any_logger(line, level):
    assert level_of(line) is level


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"\x1b[32m10:00\x1b[0m [\x1b[31mERROR\x1b[0m] no rows", b"10:00 [ERROR] no rows"),
        (b'{"level":"error","msg":"no rows"}', b"ERROR: no rows"),
        (
            b'{"severity":"ERROR","message":"load",'
            b'"stack_trace":"a.B: x\\n\\tat c\\nCaused by: d.E: y"}',
            b"ERROR: load: d.E: y",
        ),
        (b'{"no level": 1}', b'{"no level": 1}'),
        (b"{ not JSON", b"{ not JSON"),
    ],
)
def test_colours_and_json_do_not_hide_the_words(line, words):
    assert words_of(line) == words


def test_a_message_may_stand_on_the_next_line():
    line = b"com.acme.PriceException:"

    assert words_of(line, [b"3 prices are below zero"]) == line + b" 3 prices are below zero"
    assert words_of(line, [b"\tat com.acme.Main.main(Main.java:9)"]) == line
    assert words_of(line, [b"10:00 INFO next record"]) == line


def test_the_deepest_cause_at_the_end_of_a_long_line_is_looked_at():
    line = b"Vertex failed: " + b" at a.B.c(B.java:1)" * 1000 + b" Caused by: d.E: no file"

    assert cut(line).startswith(b"Vertex failed")
    assert cut(line).endswith(b"Caused by: d.E: no file")
    assert len(cut(line)) <= LONGEST_LINE


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"\tat a.B.c(B.java:1)", True),
        (b"Caused by: a.B", True),
        (b"com.acme.LoadException: no rows", True),
        (b"com.acme.Load$Failed: no rows", True),
        (b"Traceback (most recent call last):", True),
        (b"26/11/30 10:00:02 ERROR Load: no rows", False),
        (b"load ended", False),
    ],
)
def test_lines_of_a_stack_trace_belong_to_the_record_above(line, expected):
    assert is_more(line) is expected
