"""What can be asked for of one saved log over HTTP."""

from __future__ import annotations

import gzip
import json
import zlib
from itertools import islice

import pytest

from tests.unit.calls import SAM, assert_problem, get, post, save_copies
from tests.unit.fakes import APP_1, job
from tests.unit.saved_logs import LogInHdfs, a_file, opened
from tracker_service.api import log_reading
from tracker_service.api.schemas.queries import LogQuery
from tracker_service.domain.copies import CopyStatus
from tracker_service.errors import AccessDenied, GatewayUnavailable

LOG = f"/api/job/{job(1)}/logs/{APP_1[12:]}"
PATH = f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"


STDERR = b"ERROR one\nINFO two\nERROR three\n"
STDOUT = b"out 1\nout 2"
TEXT = a_file("container_1_01", "stderr", STDERR) + a_file("container_1_01", "stdout", STDOUT)


@pytest.fixture
def hdfs(client, oozie, store, fake_cluster):
    """The home of guest, with the log of the only application of a job."""
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    fake_cluster.homes["guest"].files[PATH] = TEXT
    return fake_cluster.homes["guest"]


def test_a_log_is_given_whole_and_says_that_ranges_of_it_can_be_asked_for(client, hdfs):
    answer = get(client, LOG)

    assert (answer.status_code, answer.data) == (200, TEXT)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.content_length == len(TEXT)
    assert answer.headers["ETag"].startswith('"')
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        ("10-", 10, len(TEXT)),
        ("10-99999", 10, len(TEXT)),
        ("-7", len(TEXT) - 7, len(TEXT)),
        ("-99999", 0, len(TEXT)),
    ],
)
def test_a_range_is_read_from_hdfs_and_nothing_else_is(client, hdfs, asked, start, stop):
    answer = get(client, LOG, headers={"Range": f"bytes={asked}", "Accept-Encoding": "gzip"})

    assert (answer.status_code, answer.data) == (206, TEXT[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(TEXT)}"
    assert answer.content_length == stop - start
    assert "Content-Encoding" not in answer.headers
    assert hdfs.ranges == [(PATH, start, stop - start)]


@pytest.mark.parametrize("asked", [f"{len(TEXT)}-", "99999-100000", "-0"])
def test_a_range_without_any_byte_is_refused_with_the_length_of_the_log(client, hdfs, asked):
    answer = get(client, LOG, headers={"Range": f"bytes={asked}"})

    assert f"has {len(TEXT)} bytes" in assert_problem(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{len(TEXT)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=5-2", "nonsense"])
def test_what_is_no_single_range_of_bytes_is_passed_over(client, hdfs, asked):
    answer = get(client, LOG, headers={"Range": asked})

    assert (answer.status_code, answer.data) == (200, TEXT)


def test_a_range_of_another_version_of_the_log_is_not_given(client, hdfs):
    tag = get(client, LOG).headers["ETag"]
    asked = {"Range": "bytes=0-3", "If-Range": tag}
    assert get(client, LOG, headers=asked).status_code == 206

    hdfs.files[PATH] = TEXT + b"more\n"

    answer = get(client, LOG, headers=asked)
    assert (answer.status_code, answer.data) == (200, TEXT + b"more\n")
    assert answer.headers["ETag"] != tag


def test_who_has_this_version_already_is_told_so(client, hdfs):
    tag = get(client, LOG).headers["ETag"]

    same = get(client, LOG, headers={"If-None-Match": tag})
    other = get(client, LOG, headers={"If-Match": '"another"', "Range": "bytes=0-3"})

    assert (same.status_code, same.data) == (304, b"")
    assert_problem(other, 412)
    assert get(client, LOG, headers={"If-Match": tag}).data == TEXT


def test_who_takes_gzip_gets_gzip(client, hdfs):
    plain, packed = get(client, LOG), get(client, LOG, headers={"Accept-Encoding": "gzip, br"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert "Content-Length" not in packed.headers
    assert packed.headers["ETag"] != plain.headers["ETag"]  # these bytes are others
    assert gzip.decompress(packed.data) == TEXT


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "gzip;q=0.1, identity"])
def test_who_does_not_want_gzip_gets_the_log_as_it_is(client, hdfs, accepted):
    answer = get(client, LOG, headers={"Accept-Encoding": accepted})

    assert (answer.data, answer.headers.get("Content-Encoding")) == (TEXT, None)


def test_the_logs_of_all_applications_come_as_gzip_too(client, hdfs):
    answer = get(client, f"/api/job/{job(1)}/logs", headers={"Accept-Encoding": "gzip"})

    assert gzip.decompress(answer.data) == TEXT


def test_head_tells_the_length_and_passes_over_a_range(client, hdfs):
    answer = client.head(LOG, auth=("guest", "guest-password"), headers={"Range": "bytes=0-3"})

    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.content_length == len(TEXT)


def test_an_empty_log_has_no_range(client, hdfs):
    hdfs.files[PATH] = b""

    assert (get(client, LOG).status_code, get(client, LOG).data) == (200, b"")
    assert_problem(get(client, LOG, headers={"Range": "bytes=0-"}), 416)


def test_the_last_lines_are_those_of_the_log_as_it_lies(client, hdfs):
    answer = get(client, f"{LOG}?tail=4")

    assert answer.data == b"out 2\nEnd of LogType:stdout\n" + b"*" * 71 + b"\n\n"
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["X-Accel-Buffering"] == "no"


def test_lines_can_be_chosen_by_number(client, hdfs):
    lines = TEXT.splitlines(keepends=True)

    assert get(client, f"{LOG}?from=3&lines=2").data == b"".join(lines[2:4])
    assert get(client, f"{LOG}?lines=2").data == b"".join(lines[:2])
    assert get(client, f"{LOG}?from=5").data == b"".join(lines[4:])
    assert get(client, f"{LOG}?from=5000").data == b""


def test_a_file_of_one_container_is_given_byte_for_byte(client, hdfs):
    assert get(client, f"{LOG}?container=container_1_01&file=stdout").data == STDOUT


def test_several_files_are_told_apart_by_a_line_before_each(client, hdfs):
    assert get(client, f"{LOG}?container=container_1_01").data == (
        b"==> container_1_01/stderr <==\n" + STDERR + b"==> container_1_01/stdout <==\n" + STDOUT
    )
    assert get(client, f"{LOG}?file=stdout").data == b"==> container_1_01/stdout <==\n" + STDOUT


def test_a_file_whose_last_line_has_no_end_does_not_run_into_the_next_title(client, hdfs):
    hdfs.files[PATH] = a_file("container_1", "a", b"no end") + a_file("container_1", "b", b"")

    assert get(client, f"{LOG}?container=container_1").data == (
        b"==> container_1/a <==\nno end\n==> container_1/b <==\n"
    )


def test_lines_are_those_of_what_is_chosen(client, hdfs):
    one = f"{LOG}?container=container_1_01&file=stderr"

    assert get(client, f"{one}&tail=2").data == b"INFO two\nERROR three\n"
    assert get(client, f"{one}&from=2&lines=1").data == b"INFO two\n"
    assert get(client, f"{LOG}?container=container_1_01&tail=3").data == (
        b"==> container_1_01/stderr <==\nERROR three\n==> container_1_01/stdout <==\n" + STDOUT
    )


def test_programs_get_each_line_with_its_place(client, hdfs):
    answer = get(client, f"{LOG}?container=container_1_01&from=3&lines=2&format=json")

    assert answer.content_type == "application/x-ndjson"
    [first, second, end] = [json.loads(line) for line in answer.data.splitlines()]
    assert first == {
        "container": "container_1_01",
        "file": "stderr",
        "line": 3,
        "offset": TEXT.index(b"ERROR three"),
        "length": len(b"ERROR three"),
        "text": "ERROR three",
    }
    assert (second["file"], second["line"], second["text"]) == ("stdout", 1, "out 1")
    assert end == {"end": True}


def test_the_place_of_a_line_is_where_a_range_of_the_log_has_it(client, hdfs):
    answer = get(client, f"{LOG}?tail=2&format=json")

    for line in map(json.loads, answer.data.splitlines()[:-1]):
        first, last = line["offset"], line["offset"] + line["length"] - 1
        ranged = get(client, LOG, headers={"Range": f"bytes={first}-{last}"})
        assert ranged.text == line["text"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("tail=1&from=2", "send either"),
        ("tail=1&lines=2", "send either"),
        ("tail=0", "tail"),
        ("tail=100001", "tail"),
        ("from=0", "from"),
        ("lines=-1", "lines"),
        ("container=1", "container"),
        ("file=", "file"),
        ("format=xml", "format"),
        ("first=1", "no such parameter"),
        ("context=3", "send grep or level"),
        ("limit=3&tail=5", "send grep or level"),
        ("grep=", "grep"),
        ("grep=a(b", "missing )"),
        ("grep=%5CA", "not taken"),
        (f"grep={'x' * 1001}", "grep"),
        ("grep=x&context=51", "context"),
        ("grep=x&limit=0", "limit"),
        ("level=LOUD", "level"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(client, hdfs, query, told):
    assert told in assert_problem(get(client, f"{LOG}?{query}"), 400)


@pytest.mark.parametrize(
    "query", ["file=nothing", "file=nothing&tail=5", "container=container_9", "file=x&format=json"]
)
def test_a_file_that_is_not_in_the_log_is_not_found(client, hdfs, query):
    assert "/files" in assert_problem(get(client, f"{LOG}?{query}"), 404)


def test_parts_of_several_logs_cannot_be_asked_for_at_once(client, hdfs):
    told = assert_problem(get(client, f"/api/job/{job(1)}/logs?tail=5&format=json"), 400)

    assert "format, tail: ask for one application's log" in told


@pytest.mark.parametrize("query", ["", "?tail=5", "?file=stderr", "?tail=1&format=json"])
def test_why_a_log_cannot_be_read_is_told_before_anything_is_sent(client, hdfs, query):
    hdfs.troubles[PATH] = AccessDenied("not yours")
    assert "not yours" in assert_problem(get(client, LOG + query), 403)

    hdfs.troubles[PATH] = GatewayUnavailable("away")
    assert_problem(get(client, LOG + query), 503)

    hdfs.troubles.clear()
    del hdfs.files[PATH]
    assert "no longer there" in assert_problem(get(client, LOG + query), 404)


def test_lines_are_searched_in_every_file_and_told_as_grep_does(client, hdfs):
    answer = get(client, f"{LOG}?grep=%5Bt1%5D$&context=1")

    assert answer.text == ("container_1_01/stdout:1:out 1\ncontainer_1_01/stdout-2-out 2\n")
    assert get(client, f"{LOG}?level=ERROR").text == (
        "container_1_01/stderr:1:ERROR one\n--\ncontainer_1_01/stderr:3:ERROR three\n"
    )
    assert get(client, f"{LOG}?grep=o&level=ERROR&file=stderr").text == (
        "container_1_01/stderr:1:ERROR one\n"
    )


def test_what_stands_between_files_is_not_searched(client, hdfs):
    assert get(client, f"{LOG}?grep=LogType").text == ""


def test_that_more_lines_would_be_found_is_told(client, hdfs):
    answer = get(client, f"{LOG}?grep=o&limit=2")

    *_, last = answer.text.splitlines()
    assert last == "-- There is more: these are the first 2 lines that are found."
    *_, end = get(client, f"{LOG}?grep=o&limit=2&format=json").data.splitlines()
    assert json.loads(end) == {"end": True, "hits": 2, "more": True}


def test_programs_get_each_line_that_is_found_with_its_place(client, hdfs):
    answer = get(client, f"{LOG}?grep=three&context=1&format=json")

    assert answer.content_type == "application/x-ndjson"
    [before, hit, end] = [json.loads(line) for line in answer.data.splitlines()]
    assert (before["text"], before["hit"], before["block"]) == ("INFO two", False, 1)
    assert hit == {
        "container": "container_1_01",
        "file": "stderr",
        "line": 3,
        "offset": TEXT.index(b"ERROR three"),
        "length": 11,
        "text": "ERROR three",
        "hit": True,
        "block": 1,
    }
    assert end == {"end": True, "hits": 1, "more": False}


def test_a_search_within_chosen_lines_keeps_their_numbers(client, hdfs):
    chosen = f"{LOG}?file=stderr&from=2&lines=2&grep=o"

    assert get(client, chosen).text == "container_1_01/stderr:2:INFO two\n"


def test_lines_before_which_nothing_was_read_have_a_place_and_no_number(client, hdfs):
    place = TEXT.index(b"ERROR three")

    found = get(client, f"{LOG}?tail=3&grep=ERROR")

    assert found.text == f"container_1_01/stderr:@{place}:ERROR three\n"
    line = json.loads(get(client, f"{LOG}?tail=3&grep=ERROR&format=json").data.splitlines()[0])
    assert (line["line"], line["offset"]) == (None, place)


def test_what_is_found_can_be_read_packed_before_the_rest_is_searched(client, hdfs):
    hdfs.files[PATH] = a_file("container_1", "x", b"one\n" + b"x\n" * 2**20 + b"one\n" * 9)
    asked = {"Accept-Encoding": "gzip"}

    answer = client.get(f"{LOG}?grep=one", auth=("guest", "guest-password"), headers=asked)

    pieces = iter(answer.response)
    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(next(pieces)) == b"container_1/x:1:one\n"
    rest = b"".join(map(unpacker.decompress, pieces))
    assert (rest.count(b":one\n"), unpacker.eof) == (9, True)
    answer.close()


def test_the_files_of_a_log_are_listed(client, hdfs):
    answer = get(client, f"{LOG}/files")

    assert answer.json == {
        "path": PATH,
        "bytes": len(TEXT),
        "files": [
            {
                "container": "container_1_01",
                "file": "stderr",
                "offset": TEXT.index(STDERR),
                "length": len(STDERR),
                "lines": 3,
            },
            {
                "container": "container_1_01",
                "file": "stdout",
                "offset": TEXT.index(STDOUT),
                "length": len(STDOUT),
                "lines": 2,
            },
        ],
    }
    hdfs.files[PATH] = b"no log\n"
    assert get(client, f"{LOG}/files").json["files"] == []
    del hdfs.files[PATH]
    assert_problem(get(client, f"{LOG}/files"), 404)


def test_nobody_reads_the_log_of_another(client, hdfs):
    for rest in ("", "/files", "?grep=x", "?tail=1"):
        assert_problem(get(client, LOG + rest, SAM), 404)


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
@pytest.mark.parametrize("taken", [0, 1])
@pytest.mark.parametrize("query", [{}, {"tail": 50_000}, {"grep": "x"}, {"format": "json"}])
def test_a_reader_who_goes_leaves_nothing_open_in_hdfs(client, query, taken, accepted):
    hdfs = LogInHdfs(a_file("container_1", "x", b"a line with an x\n" * 2**20))
    with client.application.test_request_context(headers={"Accept-Encoding": accepted}):
        answer = log_reading.answer(opened(hdfs), LogQuery(**query))
        pieces = iter(answer.response)
        assert len([*islice(pieces, taken)]) == taken

        answer.close()

    del pieces
    assert hdfs.open == 0
