from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cause_samples import CONTAINER, RULES, a_log, found, proper, scanned, text_of
from tracker_service.causes.findings import MOST_BYTES, Findings, Kind
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.log_levels import LogLevel

JAVA = """\
2026-11-22 04:12:46,123 ERROR [main] org.acme.Load: it failed
org.acme.LoadException: no table
\tat org.apache.hadoop.Tool.run(Tool.java:1)
\tat org.acme.Load.run(Load.java:17)
Caused by: java.io.IOException: no path
\tat java.base/java.io.Reader.read(Reader.java:2)
\tat org.acme.Reader.read(Reader.java:18)
\t... 2 more
Caused by: org.acme.DiskException: no disk
\t... 3 more
"""
PYTHON = """\
Traceback (most recent call last):
  File "load.py", line 31, in <module>
    main()
  File "load.py", line 17, in main
    raise BadRow(7)
__main__.BadRow: row 7
"""
HEADER = (
    "Container: container_9_0001_01_000001 on n_1\n====\nLogType:x\nLogLength:3\nLogContents:\n"
)


def many() -> bytes:
    return text_of(
        a_log("work begins\n" * 30 + PYTHON, "stderr"),
        a_log(f"{HEADER}abc\nEnd of LogType:stdout\n***\n\n{JAVA}", "stdout"),
        a_log("", "syslog"),
        a_log(f"1\n2\nERROR late\n{PYTHON}", "prelaunch.err"),
        a_log(JAVA.replace("\n", "\r\n") + "OutOfMemoryError without an end", "last"),
    )


def test_the_bytes_pass_as_they_came():
    pieces = [many()[:100], b"", many()[100:]]

    assert list(Scanner(RULES).of(pieces)) == pieces


@given(st.lists(st.integers(0, len(many())), max_size=12))
def test_the_findings_are_the_same_however_the_bytes_came(cuts):
    places = sorted({0, *cuts, len(many())})
    pieces = [many()[a:b] for a, b in pairwise(places)]

    assert scanned(pieces) == scanned(many())


def test_bytes_one_by_one_are_as_good_as_all_at_once():
    assert scanned(many()[i : i + 1] for i in range(len(many()))) == scanned(many())


def test_each_finding_says_where_it_stands():
    text = many()
    findings = scanned(text)

    assert findings.length == len(text)
    assert {line.file for line in findings.lines} == {"stderr", "prelaunch.err", "last"}
    for line in findings.lines:
        assert line.container == CONTAINER
        assert text[line.offset :].startswith(line.text.encode())
    [late] = [line for line in findings.lines if line.text == "ERROR late"]
    assert late.line == 3
    [last] = [line for line in findings.lines if line.text.startswith("OutOf")]
    assert last.line == 11


def test_the_deepest_cause_of_a_stack_trace_is_told_from_what_wraps_it():
    lines = found(JAVA)

    assert proper(lines) == [
        ("error", 1, Kind.LINE),
        ("java", 2, Kind.WRAPPER),
        ("java", 5, Kind.WRAPPER),
        ("java", 9, Kind.CAUSE),
    ]
    assert [line.depth for line in lines] == [0, 0, 1, 2]
    assert [line.is_last for line in lines] == [False, False, False, True]


def test_a_stack_trace_is_as_bad_as_the_line_before_it_says():
    warned = JAVA.replace("ERROR", "WARN")

    assert {line.level for line in found(JAVA)} == {LogLevel.ERROR}
    assert {line.level for line in found(warned)} == {LogLevel.WARN}


def test_a_frame_of_the_programs_own_is_kept():
    frames = {line.line: line.frame for line in found(JAVA)}

    assert frames[2] == "at org.acme.Load.run(Load.java:17)"
    assert frames[5] == "at org.acme.Reader.read(Reader.java:18)"


def test_a_traceback_is_known_by_its_last_line_whatever_that_says():
    [line] = [line for line in found(PYTHON) if line.rule]

    assert (line.text, line.line, line.kind) == ("__main__.BadRow: row 7", 6, Kind.TRACEBACK)
    assert line.frame == 'File "load.py", line 17, in main'


@pytest.mark.parametrize(
    "between",
    [
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    ],
)
def test_chained_tracebacks_have_each_their_last_line(between):
    second = PYTHON.replace("__main__.BadRow: row 7", "LoadError: no rows")
    lines = [line for line in found(f"{PYTHON}\n{between}\n\n{second}") if line.rule]

    assert [line.text for line in lines] == ["__main__.BadRow: row 7", "LoadError: no rows"]
    assert lines[0].depth == ("direct cause" in between)
    assert lines[1].is_last


def test_a_traceback_that_oozie_relays_is_read_without_its_prefix():
    relayed = "".join(f"Stdoutput {line}\n" for line in PYTHON.splitlines())

    [line] = [line for line in found(relayed, "stdout") if line.rule]

    assert line.text == "Stdoutput __main__.BadRow: row 7"
    assert line.groups == (("class", "__main__.BadRow"),)


def test_a_traceback_inside_of_a_java_exception_is_read():
    spark = f"org.apache.spark.api.python.PythonException: {PYTHON}\n\tat org.acme.X.y(X.java:1)\n"

    assert ("python", 6, Kind.TRACEBACK) in proper(found(spark))


def test_a_traceback_without_an_end_is_no_finding():
    assert proper(found(PYTHON.removesuffix("__main__.BadRow: row 7\n"))) == []


def test_what_comes_again_is_counted_and_the_last_one_told():
    lines = found("".join(f"{i} ERROR row {i}\nwork\n" for i in range(50)))

    [line] = [line for line in lines if line.rule]
    assert (line.times, line.line, line.text) == (50, 99, "49 ERROR row 49")


def test_of_several_containers_equal_lines_are_counted_together():
    logs = [a_log("ERROR no", container=f"container_1795577930939_0007_01_{i:06d}") for i in (1, 2)]

    [line] = [line for line in scanned(text_of(*logs)).lines if line.rule]

    assert (line.times, line.container[-6:]) == (2, "000002")


def test_the_last_words_of_a_program_are_kept_even_if_no_rule_knows_them():
    lines = found("one\ntwo\nthree\nSLF4J: ERROR\nfour\n\n2026 INFO ended\n")

    assert [(line.text, line.kind, line.line) for line in lines] == [
        ("two", Kind.TAIL, 2),
        ("three", Kind.TAIL, 3),
        ("four", Kind.TAIL, 5),
    ]


def test_the_last_words_of_a_script_stand_before_its_exit_code():
    said = "Stdoutput one\nStdoutput giving up\nExit code of the Shell command 7\nlauncher ends\n"

    lines = found(said, "stdout")

    assert [line.text for line in lines if line.kind is Kind.TAIL] == [
        "Stdoutput one",
        "Stdoutput giving up",
    ]
    assert dict(lines[-1].groups) == {"exit": "7"}


def test_what_every_launcher_prints_is_passed_over():
    dumped = "ERROR in the text of a script\n" * 3 + ">>> Invoking Main class now >>>\n"

    assert found(dumped + "SLF4J: ERROR no binder\n", "stdout") == ()
    assert found(JAVA, "directory.info") == ()
    assert proper(found(dumped + "ERROR it failed\n", "stdout")) == [("error", 5, Kind.LINE)]


# Headers


def logs_around(content: str, length: int | None) -> list[tuple[str, int, str]]:
    """Scan a log whose header tells a length, and one of the same application behind it."""
    text = text_of(a_log(content, "stdout", length=length), a_log("1\nERROR b\n", "syslog"))
    return [(line.file, line.line, line.text) for line in scanned(text).lines]


FAKE = f"{HEADER}abc\nEnd of LogType:x\n***\n\nERROR a\n"


def test_headers_inside_of_a_log_are_its_own_lines():
    assert logs_around(FAKE, len(FAKE)) == [("stdout", 10, "ERROR a"), ("syslog", 2, "ERROR b")]


@pytest.mark.parametrize("length", [0, 3, 17, 1000, 10**9, None])
def test_a_log_ends_where_the_next_begins_even_if_its_length_is_told_wrong(length):
    content = "one\nERROR a\nthree\n"

    assert logs_around(content, length) == [("stdout", 2, "ERROR a"), ("syslog", 2, "ERROR b")]


@pytest.mark.parametrize("more", [0, 5])
def test_a_log_keeps_logs_of_other_applications_that_it_relays_whatever_its_length(more):
    foreign = {"container": "container_1795577930939_0099_01_000001"}
    relayed = text_of(a_log("fine\n", "stdout", **foreign), a_log("fine\n", "stderr", **foreign))
    content = relayed.decode() + "ERROR a\n"

    assert logs_around(content, len(content) + more) == [
        ("stdout", content.count("\n"), "ERROR a"),
        ("syslog", 2, "ERROR b"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        # Hadoop 2.4 to 2.6
        "\n\nContainer: container_1_0001_01_000001 on n_1\n=====\nLogType: stdout\nLogLength: 4\n"
        "Log Contents:\nfine\nLogType: stderr\nLogLength: 11\nLog Contents:\none\nERROR a\n"
        "LogType: syslog\nLogLength: 0\nLog Contents:\n\n",
        # 2.7 to 2.9
        "\n\nContainer: container_1_0001_01_000001 on n_1\n=====\nLogType:stdout\n"
        "Log Upload Time:Sun Nov 22 04:12:46 +0000 2026\nLogLength:4\nLog Contents:\nfine\n"
        "End of LogType:stdout\n\nLogType:stderr\nLog Upload Time:Sun Nov 22 04:12:46 +0000 2026\n"
        "LogLength:11\nLog Contents:\none\nERROR a\nEnd of LogType:stderr\n",
        # 3.x, and with the spaces of its pages
        "Container: container_1_0001_01_000001 on n_1\nLogAggregationType: AGGREGATED\n=====\n"
        "Log Type: stderr\nLogLastModifiedTime:Sun Nov 22 04:12:46 +0000 2026\nLog Length: 11\n"
        "LogContents:\none\nERROR a\nEnd of LogType:stderr\n****\n\n",
    ],
)
def test_logs_of_other_versions_of_hadoop_are_read(text):
    [line] = [line for line in scanned(text.encode()).lines if line.rule]

    assert (line.container, line.file, line.line) == ("container_1_0001_01_000001", "stderr", 2)


# Bounds

MIB = 1024**2


def test_what_is_kept_of_a_long_log_of_errors_is_small():
    words = ("alpha", "beta", "gamma", "delta")
    lines = [
        f"{i} ERROR {words[i % 4]} {words[i // 4 % 4]} {words[i // 16 % 4]} {'x' * (i % 900)}"
        for i in range(40_000)
    ]
    findings = scanned(text_of(a_log("\n".join([*lines, "OutOfMemoryError: the end"]), "syslog")))

    assert len(json.dumps(findings.as_json())) <= MOST_BYTES
    assert findings.lines[-1].rule == "memory"
    assert findings.lines[-1].line == 40_001


def test_a_word_in_the_middle_of_a_long_log_is_found():
    rows = "2026-11-22 04:12:46,123 INFO row after row\n" * 30_000
    lines = found(f"{rows}org.acme.LoadException: no table\n{rows}", "syslog")

    assert proper(lines) == [("java", 30_001, Kind.LINE)]


def test_a_line_that_never_ends_is_cut():
    long = "x" * MIB
    lines = found(f"{long}\nERROR a {long} ERROR b\nERROR c\n" + "work\n" * 1000, "syslog")

    assert [line.line for line in lines] == [2, 2, 3]
    assert all(len(line.text) <= 1000 for line in lines)


def test_findings_survive_as_json():
    findings = scanned(many())

    assert Findings.of_json(json.loads(json.dumps(findings.as_json()))) == findings


def test_a_log_that_is_no_log_has_no_findings():
    assert scanned(b"ERROR nothing of the kind\n").lines == ()
    assert scanned(b"") == Findings()


def test_findings_are_there_even_if_the_log_broke_off():
    scanner = Scanner(RULES)
    text = text_of(a_log("ERROR a\n"), a_log("ERROR b\n", "stdout"))

    def broken():
        yield text
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(scanner.of(broken()))

    assert len(scanner.findings.lines) == 2


# What is looked at in a flood of errors


def flooded(rows: int, *, first: str = "", last: str = "") -> str:
    """Return a log of nothing but errors."""
    all_bad = (
        f"2026-11-22 04:12:46,123 ERROR [main] org.acme.Load: {i} is bad" for i in range(rows)
    )
    return "\n".join([*filter(None, [first, *all_bad, last]), ""])


FIRST, LAST = "org.acme.FirstException: no table", "org.acme.LastException: no disk"


@pytest.mark.parametrize("rows", [300, 3_000, 3_500, 40_000])
def test_in_each_file_of_a_flood_of_errors_the_first_and_the_last_ones_are_found(rows):
    flood = text_of(*(a_log(flooded(20_000), f"flood-{i}") for i in range(3)))
    log = flooded(rows, first=FIRST, last=LAST)

    lines = scanned(flood + text_of(a_log(log, "syslog"))).lines

    told = {line.text: line.line for line in lines if line.file == "syslog"}
    assert (told[FIRST], told[LAST]) == (1, rows + 2)


def test_the_last_lines_of_a_flooded_file_are_found_wherever_a_block_ends():
    flood = text_of(a_log(flooded(25_000), "flood"))
    row, behind = "ERROR [main] org.acme.Load: it is bad again\n", f"{'y' * 250}\n" * 14
    for rows in range(0, 256 * 1024 // len(row), 60):
        log = f"{row * rows}{LAST}\n{behind}"

        lines = scanned(flood + text_of(a_log(log, "syslog"))).lines

        assert [line.line for line in lines if line.text == LAST] == [rows + 1]


def test_what_comes_behind_a_flood_of_errors_is_found():
    calm = "2026-11-22 04:12:46,123 INFO row after row\n" * 30_000

    lines = found(f"{flooded(20_000)}{calm}{LAST}\n{calm}", "syslog")

    assert ("java", 50_001, Kind.LINE) in proper(lines)


@pytest.mark.parametrize("row", ["\n", "ab\n", "2026-11-22 04:12:46,123 INFO row after row\n"])
def test_lines_are_numbered_rightly_however_long_they_are(row):
    count = 3 * MIB // len(row)

    [line] = proper(found(f"{row * count}{LAST}\n{row * count}", "syslog"))

    assert line == ("java", count + 1, Kind.LINE)
