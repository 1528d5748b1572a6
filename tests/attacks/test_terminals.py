"""Texts of others that would control a terminal, forge a line or break a database."""

from __future__ import annotations

import io

import pytest
import structlog

from tracker_service.cli.options import CannotTell
from tracker_service.cli.paint import painted
from tracker_service.logging import processors
from tracker_service.sources.bodies import json_object
from tracker_service.sources.plain_values import number_of, text_of
from tracker_service.sources.webhdfs import _file_status
from tracker_service.sources.yarn import _user

ODD = ["\x1b[2J", "\r", "\a", "\x9b31m", "\x85", "\u2028", "\u202e", "\n", "\0", "\ud800"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("form", ["console", "json"])
def test_no_line_of_the_log_has_it_raw(odd, form, row):
    written = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(written), processors=processors(form))

    log.warning("request", path=f"/api/{odd}/x")

    line = written.getvalue().removesuffix("\n")
    assert line.isprintable()
    row("terminals", f"{odd!r} in our log ({form})", "escaped")


@pytest.mark.parametrize("odd", [odd for odd in ODD if odd != "\n"])
def test_no_error_and_no_log_on_a_terminal_has_it_raw(odd):
    assert odd not in CannotTell(f"the job {odd} is away").format_message()
    shown = b"".join(painted([f"a{odd}b\n".encode("utf-8", "replace")], in_colour=False))
    assert shown.decode().removesuffix("\n").isprintable()


@pytest.mark.parametrize("odd", [r"\u001b", r"\ud800", r"\u0000", r"\u202e", "\x1b", "\x85"])
def test_what_the_cluster_says_is_plain(odd):
    assert json_object(f'{{"name": ["a{odd}b"]}}'.encode()) == {"name": ["a?b"]}


def test_json_of_any_depth_is_no_answer_or_harmless(row):
    json_object(b'{"a":' * 3000 + b"1" + b"}" * 3000)
    json_object(b'{"a\\u001b":' + b"[" * 900 + b"]" * 900 + b"}")
    row("bodies", "JSON 3,000 deep", "harmless")


BEYOND: list[object] = [2**70, -1, "9" * 5000, "NaN", 1e300]


@pytest.mark.parametrize("value", BEYOND)
def test_numbers_beyond_all_are_refused(value):
    with pytest.raises(ValueError, match="is no count"):
        number_of(value)


def test_numbers_and_texts_are_read():
    numbers: list[object] = [None, "", 7, "7"]
    texts: list[object] = [None, ["a"], {}, 7, "a"]

    assert [number_of(value) for value in numbers] == [0, 0, 7, 7]
    assert [text_of(value) for value in texts] == [None, None, None, "7", "a"]


@pytest.mark.parametrize("name", ["../../user/alice/private", "a/b", "", "\x1b", ["alice"], "-rf"])
def test_the_owner_that_yarn_names_is_a_user_or_unknown(name, row):
    assert _user(name) == ""
    assert _user("alice") == "alice"
    row("lies", f"YARN names the owner {name!r}", "unknown")


@pytest.mark.parametrize(
    ("key", "value"),
    [("length", 2**70), ("length", -1), ("modificationTime", 1e300), ("length", [1])],
)
def test_a_file_has_a_length_and_a_time_or_is_not_believed(key, value):
    status = {"type": "FILE", "length": 5, "owner": "alice", "permission": "600"}

    with pytest.raises(ValueError, match="is no count"):
        _file_status("a.log", status | {"modificationTime": 0, key: value})


@pytest.mark.parametrize("name", ["..", "../../alice/a.log", "/etc/passwd"])
def test_a_listing_names_files_of_its_directory_alone(name):
    with pytest.raises(ValueError, match="is no name of a file"):
        _file_status(name, {})
