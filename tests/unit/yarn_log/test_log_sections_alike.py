"""The sections that a stream finds are those that a reader finds by jumping."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.saved_logs import a_file, saved
from tracker_service.archive.reading.sections import open_sections
from tracker_service.yarn_log.grammar import AHEAD_BYTES, Window
from tracker_service.yarn_log.stream import SectionStream

pytestmark = pytest.mark.slow

OURS = [f"container_1795577930939_0007_01_{number:06d}" for number in (1, 2)]
FOREIGN = "container_e12_1795577930939_0008_01_000001"
BLOCK_BYTES = 4 * AHEAD_BYTES
FILLER = b"2026-11-22 04:12:46,123 INFO the nightly import has read row 4711\n"

Found = list[tuple[str, str, int, bytes]]  #: container, file, offset and content of each section


def jumped(text: bytes) -> Found:
    return [
        (opened.section.container, opened.section.file, opened.section.offset, content)
        for opened in open_sections(saved(text))
        for content in [b"".join(opened.pieces())]
    ]


def streamed(text: bytes, size: int, block_bytes: int = BLOCK_BYTES) -> Found:
    stream = SectionStream(block_bytes)
    found: Found = []
    is_open = False
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    for parts in (*map(stream.feed, pieces), stream.finish()):
        for part in parts:
            section = part.section
            if not is_open:
                found.append((section.container, section.file, section.offset, b""))
            content = part.block[part.start : part.end]
            assert text[part.offset + part.start :].startswith(content)
            found[-1] = (*found[-1][:3], found[-1][3] + content)
            is_open = not part.is_last
    assert not is_open
    assert stream.length == len(text)
    return found


def test_a_small_log_is_understood_alike():
    text = b"".join(a_file(OURS[0], name, b"one\n") for name in ("stderr", "stdout", "syslog"))

    assert [(file, content) for _, file, _, content in streamed(text, 7)] == [
        ("stderr", b"one\n"),
        ("stdout", b"one\n"),
        ("syslog", b"one\n"),
    ]
    assert streamed(text, 7) == jumped(text)


#: What a content may consist of: plain lines, long ones, and what looks like a head or a foot.
CONTENT_PARTS = st.one_of(
    st.sampled_from(
        [
            b"",
            b"\n",
            b"a line\n",
            b"no end",
            b"End of LogType:stderr",
            b"\nEnd of LogType:stderr\n",
            b"End of LogType:stderr\n" + b"*" * 71 + b"\n\n",
            b"End of LogType:stderrs\n",
            b"Container: c on h\n",
            b"LogType:stderr\n",
            b"\nLogType:x\nLogLength:3\nLogContents:\n",
            b"Log Type: x\nLog Length: 3\nLog Contents:\n",
            a_file(FOREIGN, "stderr", b"foreign\n"),
            a_file(FOREIGN, "stdout", b"foreign\n") + a_file(FOREIGN, "stderr", b""),
            b"x" * 5000,
            b"x" * 40_000 + b"\n",
        ]
    ),
    st.integers(1, 600).map(lambda lines: FILLER * lines),
    st.integers(1, AHEAD_BYTES).map(lambda length: b"y" * length + b"\n"),
)
CONTENTS = st.lists(CONTENT_PARTS, max_size=6).map(b"".join)
#: By how much the length in the head is wrong; None: it is not known.
ERRORS = st.one_of(st.just(0), st.integers(-200, 200), st.sampled_from([-9000, 9000, 10**12, None]))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Return a file of a container, perhaps damaged."""
    content = draw(CONTENTS)
    wrong = draw(ERRORS)
    announced = None if wrong is None else max(len(content) + wrong, 0)
    names = {
        "container": draw(st.sampled_from(OURS)),
        "name": draw(st.sampled_from(["stderr", "x"])),
    }
    form = draw(st.sampled_from(FORMS))
    text = form(content=content, announced=announced, **names)
    damage = draw(st.sampled_from([0, 0, 0, 1, 2, 3]))
    at = draw(st.integers(0, max(len(text) - 1, 0)))
    if damage == 1:  # a byte of the head is another one
        at = min(at, 250)
        return text[:at] + b"?" + text[at + 1 :]
    if damage == 2:  # it breaks off
        return text[:at]
    if damage == 3:  # a line of the head is missing
        lines = text.split(b"\n")
        del lines[at % min(len(lines), 8)]
        return b"\n".join(lines)
    return text


def hadoop_3(container: str, name: str, content: bytes, announced: int | None) -> bytes:
    text = a_file(container, name, content, announced or 0)
    return text if announced is not None else text.replace(b"LogLength:0", b"LogLength:unknown", 1)


def hadoop_27(container: str, name: str, content: bytes, announced: int | None) -> bytes:
    length = b"unknown" if announced is None else b"%d" % announced
    title = b"\n\nContainer: %b on h\n====\n" % container.encode()
    facts = (name.encode(), length, content, name.encode())
    return title + b"LogType:%b\nLogLength:%b\nLog Contents:\n%bEnd of LogType:%b\n" % facts


def hadoop_24(container: str, name: str, content: bytes, announced: int | None) -> bytes:
    length = b"unknown" if announced is None else b"%d" % announced
    facts = (name.encode(), length, content)
    return b"LogType: %b\nLogLength: %b\nLog Contents:\n%b\n" % facts


FORMS = [hadoop_3, hadoop_3, hadoop_27, hadoop_24]


class Log(bytes):
    """A log that is shown shortened if a test fails."""

    def __repr__(self) -> str:
        text = self.replace(FILLER, b"~").replace(b"x" * 100, b"_").replace(b"y" * 100, b"_")
        return f"{len(self)} bytes: {text[:5000]!r}"


LOGS = st.lists(files(), max_size=5).map(b"".join).map(Log)


def holds_its_own_log(text: bytes) -> bool:
    """Tell whether a content, whose length is right, holds a log of its own application."""
    whole = Window(b"\n" + text, -1, is_last=True)
    for opened in open_sections(saved(text)):
        section, end = opened.section, opened.pass_over()[0]
        if end == section.announced_end and whole.find_end(section, section.offset + 1, end + 1):
            return True
    return False


@settings(max_examples=200, deadline=None)
@given(text=LOGS, size=st.sampled_from([1000, 4096, 10_007, 10**7]), ends=st.booleans())
def test_a_stream_finds_the_same_sections_as_jumping(text, size, ends):
    text = Log(text.rstrip(b"\n") if ends else text)
    assume(not holds_its_own_log(text))

    assert streamed(text, size) == jumped(text)
    assert streamed(text, size, 256 * 1024) == jumped(text)


@pytest.mark.parametrize(("lines", "is_alike"), [(10, True), (1000, False)])
def test_only_what_is_longer_than_a_block_and_holds_its_own_log_ends_too_early(lines, is_alike):
    """A stream has to decide before it comes to where the length says that the content ends."""
    inner = a_file(OURS[0], "stderr", b"inner\n") + a_file(OURS[1], "stdout", b"inner\n")
    content = inner + FILLER * lines
    text = a_file(OURS[0], "stderr", content)

    assert [each[-1] for each in jumped(text)] == [content]
    assert (streamed(text, 4096) == jumped(text)) is is_alike


@pytest.mark.parametrize("wrong", [0, 50, -50, None])
@pytest.mark.parametrize("relayed", [b"", a_file(FOREIGN, "stderr", b"foreign\n") + b"more\n"])
def test_the_sections_are_the_same_wherever_a_block_ends(wrong, relayed):
    edge = BLOCK_BYTES - AHEAD_BYTES
    for length in range(edge - 700, edge + 10):
        content = b"a line\n" * (length // 7) + b"y" * (length % 7) + b"\n" + relayed
        announced = None if wrong is None else len(content) + wrong
        text = hadoop_3(OURS[0], "stderr", content, announced)
        text += a_file(OURS[1], "x", FILLER * 200)

        assert streamed(text, len(text)) == jumped(text)
