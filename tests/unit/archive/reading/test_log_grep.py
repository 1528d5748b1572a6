from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker_service.archive.reading.grep import Grep, GrepLine, search_for
from tracker_service.archive.reading.lines import Stretch
from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import BadInput

STDERR = Stretch(1000, 1, "container_1", "stderr")
KIB = 1024

JAVA = b"""\
2026-11-22 05:00:00,123 INFO [main] org.a.Main: begins
2026-11-22 05:00:01,000 ERROR [main] org.a.Main: it failed
java.lang.RuntimeException: Error in configuring object
\tat org.a.Main.run(Main.java:12)
\tat org.a.Main.main(Main.java:3)
Caused by: java.io.FileNotFoundException: /in/x (No such file)
with a message of two lines
\tat java.io.FileInputStream.open0(Native Method)
\t... 8 more
2026-11-22 05:00:02,000 INFO [main] org.a.Main: ends
"""
PYTHON = b"""\
INFO:root:begins
ERROR:root:it failed
Traceback (most recent call last):
  File "a.py", line 3, in <module>
    one()
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 5, in <module>
    raise ValueError("two")
ValueError: two
INFO:root:ends
"""
SPARK = b"""\
Traceback (most recent call last):
  File "job.py", line 9, in <module>
    df.count()
py4j.protocol.Py4JJavaError: An error occurred while calling o42.count.
: org.apache.spark.SparkException: Job aborted
\tat org.apache.spark.Scheduler.abort(Scheduler.scala:2)
done
"""


def found(
    text: bytes, pattern=None, level=None, context=0, limit=1000, size=10_000
) -> list[GrepLine]:
    """Return what is found in a text that comes in pieces of some size."""
    grep = Grep(search_for(pattern, level, context, limit), WorkBudget())
    pieces = ((STDERR, text[at : at + size]) for at in range(0, len(text), size))
    return [each for some in grep.of(pieces) for each in some]


def told(*search, **more) -> list[str]:
    """Return what is found as grep writes it."""
    lines, block = [], 1
    for each in found(*search, **more):
        lines += ["--"] * (each.block != block)
        block = each.block
        mark = ":" if each.is_hit else "-"
        lines.append(f"{each.line.number}{mark}{each.line.text.decode()}")
    return lines


def test_lines_are_found_with_their_number_and_place():
    [one, two] = found(b"a\nbc\nd\n\nbcc", "b.?c+")

    assert (one.line.number, one.line.text, one.line.offset) == (2, b"bc", 1002)
    assert (two.line.number, two.line.text, two.line.offset) == (5, b"bcc", 1008)
    assert one.is_hit
    assert two.is_hit
    assert one.block != two.block


def test_lines_around_come_once_and_blocks_that_touch_are_one():
    text = b"".join(b"%d\n" % number for number in range(1, 21))

    assert told(text, "^(5|8|15)$", context=1) == [
        *("4-4", "5:5", "6-6", "7-7", "8:8", "9-9"),
        *("--", "14-14", "15:15", "16-16"),
    ]


@pytest.mark.parametrize(
    "pattern",
    ["it failed", r"Main\.java:3", "Caused by", "two lines", "open0", r"8 more", "object"],
)
def test_a_line_of_a_java_trace_comes_with_the_whole_trace(pattern):
    lines = [line.partition(line[1:2])[2] for line in told(JAVA, pattern)]

    expected = [line.decode() for line in JAVA.splitlines()[1:9]]
    assert lines == expected


@pytest.mark.parametrize("pattern", ["KeyError", "one..$", "another", "line 5", "ValueError: two"])
def test_a_line_of_a_python_traceback_comes_with_those_that_led_to_it(pattern):
    lines = told(PYTHON, pattern)

    assert lines[0].endswith("ERROR:root:it failed")
    assert lines[-1].endswith("ValueError: two")
    assert len(lines) == 12


@pytest.mark.parametrize("pattern", ["line 9", "Py4JJavaError", "Job aborted", "abort\\("])
def test_a_python_traceback_goes_on_in_the_java_trace_below(pattern):
    lines = told(SPARK, pattern)

    assert lines[-1].endswith("Scheduler.scala:2)")
    if pattern in ("line 9", "Py4JJavaError"):
        assert lines[0] == "1-Traceback (most recent call last):"


def test_traces_of_two_errors_are_told_apart():
    lines = told(JAVA + JAVA, "Caused by")

    assert [line for line in lines if ":Caused by" in line or line == "--"] == [
        "6:Caused by: java.io.FileNotFoundException: /in/x (No such file)",
        "--",
        "16:Caused by: java.io.FileNotFoundException: /in/x (No such file)",
    ]


@pytest.mark.parametrize("text", [JAVA, PYTHON])
def test_lines_of_a_level_and_above_come_with_their_traces(text):
    lines = told(text, level="WARN")

    assert [line for line in lines if ":" in line.partition("it failed")[0][:3]][:1] == lines[:1]
    assert lines[0].startswith("2:")
    assert not [line for line in lines if "begins" in line or "ends" in line]
    assert len(lines) == text.count(b"\n") - 2


@pytest.mark.parametrize(
    ("level", "numbers"),
    [
        ("TRACE", [1, 2, 3, 4, 5, 6]),
        ("INFO", [3, 4, 5, 6]),
        ("WARN", [4, 5, 6]),
        ("WARNING", [4, 5, 6]),
        ("ERROR", [5, 6]),
        ("FATAL", [6]),
        ("CRITICAL", [6]),
    ],
)
def test_levels_are_those_of_log4j_and_python(level, numbers):
    text = (
        b"26/11/22 05:00:00 TRACE a: 1\n[main] DEBUG a - ERROR in words\nINFO:root:3\n"
        b"05:00:00.1 [x] WARNING  a\n<ERROR> a\n2026-11-22 - a - CRITICAL - b\n"
        b"no level; ERRORS, Level.ERROR, error, /tmp/ERROR\n"
    )

    assert [each.line.number for each in found(text, level=level)] == numbers


def test_a_search_in_one_level_also_looks_into_the_traces_of_its_lines():
    assert len(told(JAVA, "FileNotFound", "ERROR")) == 8
    assert told(JAVA, "FileNotFound", "FATAL") == []
    assert told(JAVA, "begins", "ERROR") == []


def test_no_more_lines_are_found_than_wanted_and_that_there_are_more_is_known():
    text = b"x\n" * 1000

    def search(limit: int) -> tuple[int, bool]:
        grep = Grep(search_for("x", None, 0, limit), WorkBudget())
        assert sum(len(some) for some in grep.of(iter([(STDERR, text)]))) == limit
        return grep.hits, grep.has_more

    assert search(999) == (999, True)
    assert search(1000) == (1000, False)


def test_what_is_found_first_comes_before_the_rest_is_read():
    def pieces():
        yield STDERR, b"here\n" + b"x\n" * 500 * KIB
        raise AssertionError("this was too early")

    grep = Grep(search_for("here", None, 0, 9), WorkBudget())
    assert next(grep.of(pieces()))[0].line.text == b"here"


def test_files_are_searched_each_by_itself():
    other = Stretch(5000, 1, "container_1", "stdout")
    grep = Grep(search_for("x", None, 2, 9), WorkBudget())

    lines = [
        line for some in grep.of(iter([(STDERR, b"1\nx"), (other, b"x\n2\n")])) for line in some
    ]

    assert [(each.line.stretch.file, each.line.number, each.is_hit) for each in lines] == [
        ("stderr", 1, False),
        ("stderr", 2, True),
        ("stdout", 1, True),
        ("stdout", 2, False),
    ]


@pytest.mark.parametrize("pattern", ["^$", "$", "x*", "^", r"\b", r"\s?$", "(?i)X"])
@pytest.mark.parametrize("text", [b"", b"\n", b"x", b"x\n", b"x\n\n", b"\nx"])
def test_patterns_that_match_nothing_much_find_whole_lines(pattern, text):
    lines = text.split(b"\n")[: -1 if text.endswith(b"\n") else None] if text else []
    expected = [n for n, line in enumerate(lines, 1) if re.search(pattern.encode(), line)]

    assert [each.line.number for each in found(text, pattern)] == expected


@pytest.mark.parametrize("pattern", [r"x\s+y", "x[^a]y", r"x\ny", r"(?s)x.y", r"\Dy"])
def test_nothing_is_found_across_two_lines(pattern):
    assert found(b"x\ny\n", pattern) == []


LINES = st.lists(
    st.sampled_from(
        [b"one", b"two ERROR x", b"", b"\tat a.B(c)", b"java.lang.E: x", b"  File", b"z" * 3000]
    ),
    max_size=400,
)


@given(lines=LINES, size=st.integers(1, 300_000), seed=st.integers(0, 9), context=st.integers(0, 3))
def test_what_is_found_does_not_depend_on_how_the_bytes_come(lines, size, seed, context):
    text = b"\n".join(random.Random(seed).choices([*lines, b"filler"], k=3 * len(lines) + 1))
    hits = [n for n, line in enumerate(text.split(b"\n"), 1) if b"ERROR" in line]

    whole = found(text, "ERROR", context=context, size=len(text) + 1)
    in_pieces = found(text, "ERROR", context=context, size=size)

    assert whole == in_pieces
    assert [each.line.number for each in whole if each.is_hit] == hits
    for each in whole:
        start = each.line.offset - STDERR.offset
        assert text[start : start + len(each.line.text)] == each.line.text
    numbers = [each.line.number for each in whole if each.line.number is not None]
    assert len(numbers) == len(whole)
    assert numbers == sorted(set(numbers))


def test_a_search_over_many_windows_finds_and_counts_every_line():
    rng = random.Random(7)
    lines = [bytes(rng.choices(b"abc ", k=rng.randrange(200))) for _ in range(40_000)]
    text = b"\n".join(lines)
    expected = [n for n, line in enumerate(lines, 1) if re.search(rb"(ab){3}", line)]

    every = found(text, "(ab){3}", size=70_001, limit=10**5, context=2)

    assert [each.line.number for each in every if each.is_hit] == expected
    assert every == found(text, "(ab){3}", size=10**7, limit=10**5, context=2)
    assert len(expected) > 100


@pytest.mark.parametrize("size", [10_000, 300_000])
def test_a_line_without_end_is_searched_in_bounded_memory_and_given_in_parts(size):
    text = b"begin\n" + b"x" * 4_000_000 + b"needle" + b"y" * 3_000_000 + b"\nend needle\n"

    every = found(text, "needle", size=size)

    assert [each.line.number for each in every if each.is_hit] == [2, 3]
    assert all(len(each.line.text) <= 64 * KIB for each in every)
    assert sum(len(each.line.text) for each in every) < 400 * KIB


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a(b", r"missing \)"),
        ("a)", "unexpected"),
        (")(", "unexpected"),
        ("(?=x)", "invalid"),
        (r"(a)\1", "invalid escape"),
        ("[z-a]", "range"),
        ("x{1001}", "repetition"),
        ("((x{100}){10}){10}", "."),
        (r"\Aa", "not taken"),
        (r"a\z", "not taken"),
        (r"a\Cb", "not taken"),
        ("(?-m)^a", "not taken"),
        ("(?i-ms:^a)", "not taken"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason(pattern, reason):
    with pytest.raises(BadInput, match=reason):
        search_for(pattern, None, 0, 1)


@pytest.mark.parametrize(
    "pattern", [r"\\A", r"[\\A]", r"\Q\A\E", r"[(?-m]", r"\(?-m", "(?-s)a", "é"]
)
def test_what_only_looks_like_it_is_taken(pattern):
    search_for(pattern, None, 0, 1)


def test_a_pattern_that_would_take_other_engines_for_ever_takes_no_time():
    text = b"a" * 50_000 + b"\n"

    assert found(text, "(a*)*b") == []
