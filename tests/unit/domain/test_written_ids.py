"""Ids as people and tools write them."""

from __future__ import annotations

import codecs
import time
from contextlib import suppress

import pytest

from tracker_service.domain.written_ids import UnreadableIdsError, decoded, read_ids

A = "0000001-261122041514971-oozie-prod-W"
B = "0000002-261122041514971-oozie-prod-W"
C = "0000003-261122041514971-oozie-prod-C"
RANDOM = "cb3383ec-4003-471d-9e4e-2e0-oozie-test-W"


def texts(text: str, **more: bool) -> list[str]:
    return [written.text for written in read_ids(text, **more)]


@pytest.mark.parametrize(
    "text",
    [
        f"{A}\n{B}\n",
        f"{A}\r\n\r\n\t{B}",
        f"{A} {B}",
        f"{A},{B}",
        f"{A}, {B},",
        f"{A};{B};",
        f"{A}\t{B}",
        f"{A}|{B}",
        f'"{A}"\n"{B}"',
        f"'{A}', '{B}'",
        f"['{A}', '{B}']",
        f"`{A}` `{B}`",
        f"\u201c{A}\u201d \u201e{B}\u201c",
        f"\u00ab{A}\u00bb\u3001{B}",
        f"job: {A}\njob: {B}",
        f"job:{A} job: {B}",
        f"Job ID : {A}\nWorkflow ID: {B}",
        f"id={A}&id={B}",
        f"# of the night\n{A}\n  # and of the day\n{B} # at noon\n// done",
        f"#{C}\n{A}\n{B}",
        f"- {A}\n* {B}",
        f"job_id\n{A}\n{B}",
        f"{A}\r\n{B}\r\n\x1a\0",
        f"\ufeff{A}\n\ufeff{B}",
        f"\u200b{A[:8]}\u200b{A[8:]}\u00ad\n{B}\u2060",
        f"{A.replace('-', chr(0x2011))}\u00a0{B.replace('-', chr(0x2013))}",
        f"\u202a{A}\u202c\n{B}\u200f",
    ],
)
def test_ids_are_read_whatever_stands_between_and_around_them(text):
    assert texts(text) == [A, B]
    assert texts(text, in_prose=True) == [A, B]


def test_ids_of_the_random_generator_are_ids():
    assert texts(f"{RANDOM}\n{RANDOM[:-1]}C@3 {RANDOM}@work {RANDOM[:-1]}B") == [
        RANDOM,
        f"{RANDOM[:-1]}C@3",
        f"{RANDOM}@work",
        f"{RANDOM[:-1]}B",
    ]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"{A}@load", [A]),
        (f"{A}@:start:", [A]),
        (f"{C}@12", [f"{C}@12"]),
        (f"{C}@1-3", [f"{C}@1", f"{C}@2", f"{C}@3"]),
        (f"{C}@1-2,7,{B}", [f"{C}@1", f"{C}@2", f"{C}@7", B]),
        (f"{C}@1,0000002-261122041514971-oozie-prod-W", [f"{C}@1", B]),
    ],
)
def test_an_action_of_a_workflow_means_it_and_one_of_a_coordinator_itself(text, ids):
    assert [written.id for written in read_ids(text)] == ids


@pytest.mark.parametrize(
    "text",
    [
        A + B,
        RANDOM + B,
        B + RANDOM,
        f"{A}@load{B}",
        f"{C}@1{B}",
        f"job: {A}job: {B}",
        f"{A}# of the day{B}",
        f"{A} # of the day{B}",
    ],
)
@pytest.mark.parametrize("in_prose", [False, True])
def test_lines_that_were_joined_are_refused_with_a_word_about_the_cause(text, in_prose):
    with pytest.raises(UnreadableIdsError, match="--data-binary"):
        read_ids(text, in_prose=in_prose)


@pytest.mark.parametrize(
    "text",
    [
        f"{C}@0",
        f"{C}@3-1",
        f"{C}@1-101",
        f"{C}@",
        f"{C}@x",
        f"{A}@12",
        f"{A[:-1]}B@load",
        f"{A[:-1]}w",
        A[1:],
        f"{A}/{B}",
        "x",
    ],
)
def test_what_is_no_id_is_refused(text):
    with pytest.raises(UnreadableIdsError):
        read_ids(f"{A}\n{text}\n{B}")


def test_what_nobody_sees_in_a_wrong_id_is_shown_as_an_escape():
    with pytest.raises(UnreadableIdsError, match=r"x\\x1b\[31m$"):
        read_ids("x\x1b[31m")


def test_all_of_few_wrong_ids_are_named_and_the_number_of_many():
    with pytest.raises(UnreadableIdsError, match=r"x0, .*x19 and 5 more$") as refusal:
        read_ids("\n".join([A, *(f"x{number}" for number in range(25))]))

    assert A not in str(refusal.value)


def test_in_prose_other_words_are_left_out_but_not_what_resembles_an_id():
    assert texts(
        f"Error: E0501\n(the job {A}, see hdfs://nn/oozie/{B}/job.xml).", in_prose=True
    ) == [
        A,
        B,
    ]
    with pytest.raises(UnreadableIdsError, match=A[1:]):
        read_ids(f"job: {A[1:]}", in_prose=True)


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (A.encode("utf-8-sig"), None),
        (A.encode("utf-8-sig"), "utf-8"),
        (A.encode("utf-16"), None),
        (A.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + A.encode("utf-16-be"), "utf-8"),
        (A.encode("utf-16-le"), None),
        (A.encode("utf-16-be"), None),
        (A.encode("utf-16-le"), "utf-16"),
        (A.encode("utf-16-le"), "UTF-16LE"),
        (A.encode("utf-32"), None),
        (codecs.BOM_UTF16_LE + A.encode(), None),
        (f"# für\n{A}".encode("latin-1"), "iso-8859-1"),
        (f"# für\n{A}\xa0".encode("cp1252"), None),
        (A.encode(), "us-ascii"),
        (A.encode("cp037"), "IBM037"),
    ],
)
def test_ids_are_read_in_the_charset_that_the_bytes_or_their_sender_show(body, charset):
    assert texts(decoded(body, charset)) == [A]


@pytest.mark.parametrize("charset", ["klingon", "hex", "rot13", "idna", "unicode_escape", "zlib"])
def test_what_is_no_charset_is_refused(charset):
    with pytest.raises(LookupError):
        decoded(A.encode(), charset)


@pytest.mark.parametrize(
    "part",
    [
        "id ",
        "id",
        "\n",
        " ",
        "- ",
        "#",
        " #",
        ",1",
        "0",
        "0-",
        "a" * 8 + "-",
        f"{A}@",
        f"{C}@1,",
        A,
    ],
)
def test_no_text_takes_long_to_read(part):
    text = f"{C}@1{part * (2**20 // len(part))}"
    began = time.process_time()

    with suppress(UnreadableIdsError):
        read_ids(text)

    assert time.process_time() - began < 60  # a millisecond, or hours
