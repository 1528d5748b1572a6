"""Saved logs read in parts, on both clusters: what comes is what lies in HDFS."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from tests.acceptance.service import RunningService
from tests.stands import Stand, access

pytestmark = pytest.mark.slow

PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture
def saved(stand: Stand, service: RunningService) -> tuple[str, dict[str, Any]]:
    """The address of the only log of a job that has failed, and its copy; no test changes them."""
    return log_of(service, service.saved_job(stand, "java"))


def log_of(service: RunningService, job: str) -> tuple[str, dict[str, Any]]:
    """Return the address of the log of a job, once it is saved, and its copy."""
    copies = service.wait_saved(job)
    application, copy = max(copies.items(), key=lambda each: each[1]["bytes"])
    return f"job/{job}/logs/{application}", copy


def objects(answer: requests.Response) -> list[dict[str, Any]]:
    """Return the lines of an answer for programs, without its end."""
    assert answer.status_code == 200, answer.text
    *lines, end = [json.loads(line) for line in answer.content.splitlines()]
    assert end["end"] is True
    return lines


def test_parts_of_a_log_are_those_of_the_whole(
    stand: Stand, service: RunningService, saved: tuple[str, dict[str, Any]]
) -> None:
    url, copy = saved
    whole = b"".join(access(stand).hdfs.read(copy["path"]))

    plain, packed = service.get(url, headers=PLAIN), service.get(url)
    assert plain.content == packed.content == whole
    assert plain.headers["Content-Length"] == str(len(whole))
    assert packed.headers["Content-Encoding"] == "gzip"

    for asked, part in {"100-199": whole[100:200], "-77": whole[-77:], "9-": whole[9:]}.items():
        ranged = service.get(url, headers={"Range": f"bytes={asked}"})
        assert (ranged.status_code, ranged.content) == (206, part)
    tag = {"Range": "bytes=0-9", "If-Range": plain.headers["ETag"]}
    assert service.get(url, headers=tag).content == whole[:10]
    assert service.get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416

    lines = whole.splitlines(keepends=True)
    assert service.get(f"{url}?tail=20").content == b"".join(lines[-20:])
    assert service.get(f"{url}?from=5&lines=7").content == b"".join(lines[4:11])


def test_each_file_of_each_container_is_found_and_given_byte_for_byte(
    stand: Stand, service: RunningService, saved: tuple[str, dict[str, Any]]
) -> None:
    url, copy = saved
    whole = b"".join(access(stand).hdfs.read(copy["path"]))

    listed = service.get(f"{url}/files").json()

    assert (listed["path"], listed["bytes"]) == (copy["path"], len(whole))
    heads = re.findall(rb"^LogType:(.+)\n(?:Log.+\n)*?LogLength:(\d+)\nLogContents:", whole, re.M)
    assert [(each["file"].encode(), b"%d" % each["length"]) for each in listed["files"]] == heads
    assert "stderr" in {each["file"] for each in listed["files"]}
    for each in listed["files"]:
        content = whole[each["offset"] : each["offset"] + each["length"]]
        chosen = f"{url}?container={each['container']}&file={each['file']}"
        assert service.get(chosen).content == content
        assert len(content.splitlines()) == each["lines"]
        assert service.get(f"{chosen}&tail=2").content == b"".join(
            content.splitlines(keepends=True)[-2:]
        )


def test_what_is_searched_for_is_found_in_all_files_with_its_stack_trace(
    stand: Stand, service: RunningService, saved: tuple[str, dict[str, Any]]
) -> None:
    url, copy = saved
    whole = b"".join(access(stand).hdfs.read(copy["path"]))
    expected = [
        (each["file"], number)
        for each in service.get(f"{url}/files").json()["files"]
        for number, line in enumerate(
            whole[each["offset"] : each["offset"] + each["length"]].split(b"\n"), 1
        )
        if re.search(rb"(?i)exception", line)
    ]
    assert expected

    found = objects(service.get(f"{url}?grep=(?i)exception&format=json&limit=100000"))

    assert [(line["file"], line["line"]) for line in found if line["hit"]] == expected
    assert any("\tat " in line["text"] for line in found if not line["hit"])
    for line in found[:20]:
        last = line["offset"] + line["length"] - 1
        ranged = service.get(url, headers={"Range": f"bytes={line['offset']}-{last}"})
        assert not line["text"] or ranged.content.decode() == line["text"]
    text = service.get(f"{url}?grep=(?i)exception&limit=1").text
    assert re.match(r"container_\w+/\S+:\d+:", text) or re.match(r"container_\w+/\S+-\d+-", text)


def test_a_big_log_is_read_from_its_end_and_from_its_middle(
    stand: Stand, service: RunningService
) -> None:
    job = stand.start("fail")
    service.track(job)
    url, copy = log_of(service, job)
    lines = [b"%07d INFO a line of the log\n" % number for number in range(1, 600_001)]
    lines[400_000] = b"0400001 ERROR here\n"
    content = b"".join(lines)
    head = b"LogType:stdout\nLogLength:%d\nLogContents:\n" % len(content)
    text = b"Container: container_1_02 on host_1\n" + head + content + b"\nEnd of LogType:stdout\n"
    pieces = (text[at : at + 2**20] for at in range(0, len(text), 2**20))
    access(stand).hdfs.write_pieces(copy["path"], pieces)

    assert (
        service.get(f"{url}?tail=1002").content.splitlines()[0] == b"0599001 INFO a line of the log"
    )
    assert service.get(f"{url}?file=stdout&tail=1").content.splitlines()[1:] == [lines[-1].rstrip()]
    assert service.get(f"{url}?from=500004&lines=1").content == lines[499_999]
    [hit] = objects(service.get(f"{url}?level=ERROR&format=json"))
    assert (hit["line"], hit["text"], hit["file"]) == (400_001, "0400001 ERROR here", "stdout")
    middle = {"Range": f"bytes={hit['offset']}-{hit['offset'] + 99}"}
    assert service.get(url, headers=middle).content.startswith(b"0400001 ERROR here\n")
    [listed] = service.get(f"{url}/files").json()["files"]
    assert (listed["length"], listed["lines"]) == (len(content), None)


def test_parts_of_a_log_are_for_those_who_may_read_it(
    service: RunningService, saved: tuple[str, dict[str, Any]]
) -> None:
    url, _ = saved
    for rest in ("", "?tail=5", "?grep=x", "/files"):
        assert service.get(url + rest, user="sam").status_code == 404
    wrong = service.get(f"{url}?grep=a(b")
    assert (wrong.status_code, "missing )" in wrong.json()["message"]) == (400, True)
