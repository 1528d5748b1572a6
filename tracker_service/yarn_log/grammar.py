"""Find where the files of containers begin and end in the text that `yarn logs` prints.

Hadoop 3 writes this for each file of a container:

    Container: container_1529519049029_0001_01_000001 on node1_8041
    LogAggregationType: AGGREGATED
    ===============================================================
    LogType:stderr
    LogLastModifiedTime:Sun Nov 22 04:12:46 +0000 2026
    LogLength:12
    LogContents:
    twelve bytes
    End of LogType:stderr
    ***********************************************************************

The lines before the content are its head; the first three of them are the title. The lines after
the content are its foot. Hadoop 2 writes one title for all files of a container and puts spaces in
other places; before 2.7 it writes no foot.

The content of a file ends by these rules:

1. It ends where its length says, if a foot of the file, the next head or the end of the log follows
   there. The length is wrong if secrets in the content were masked, or if the content broke off.
2. Otherwise it ends at the first foot of the file after which the same application goes on or the
   log ends, or at the first head with a title of the same application, if that comes first.
3. From the place that its length gives, it also ends at any other foot of the file and at any head.
   If the length is unknown, this holds for the whole content.

By rules 2 and 3, a foot or a head of another application ends nothing, because a program may print
the log of an application that it has started.

Two readers follow these rules: `stream` reads a log as it arrives, `archive.reading.sections` jumps
over contents. They differ in one thing. A stream does not yet know whether the length of a content
is right, so it applies rule 2 before rule 1 as long as the content is longer than a block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from tracker_service.regex import exact, literal, text_of

FOOT = b"End of LogType:"
#: Bytes: the longest head, or foot with the next head, that is recognised.
AHEAD_BYTES = 4096

#: A head without its title, with the end of line before it.
_FACTS = exact(
    rb"\nLog ?Type: ?([^\r\n]+)\r?\n"
    rb"(?:Log ?(?:Last ?Modified|Upload) ?Time: ?[^\n]*\n)?"
    rb"(?:Log ?Length: ?([^\n]*)\n)?"
    rb"Log ?Contents: ?\r?\n"
)
#: After a content that broke off, a title may stand in the middle of a line.
_TITLE_BEGINS = b"Container: "
_TITLE = re.compile(
    rb"Container: ([^ \n]+) on [^\n]*\n(?:LogAggregationType:[^\n]*\n)?(?:=+\r?\n)?"
)
_ANY_TITLE = literal(_TITLE_BEGINS)
_LAST_OF_HEAD = b"Contents:"
_FOOT = literal(FOOT)
#: A foot after the name of the file. YARN adds a sentence while a container runs.
_REST_OF_FOOT = exact(rb"(?:\.This log file [^\n]*)?\r?(?:\n\**(?:\r?\n){0,4})?")
#: The beginning of the next head, after a content without a foot.
_NEXT = exact(rb"\n{1,4}(?:Log ?Type: ?|Container: [^ \n]+ on )[^\s]")
_APPLICATION = re.compile(rb"container_(?:e[0-9]+_)?([0-9]+_[0-9]+)_")


class _Head(NamedTuple):
    """A head that was found in a window."""

    begin: int  #: of the title, or of the first line if it has no title
    end: int
    container: bytes  #: empty without a title
    file: bytes
    length: bytes  #: as the head has it; empty if it has none


class Section(NamedTuple):
    """A file of a container in a log, as its head describes it."""

    container: str
    file: str
    offset: int  #: of the content in the log
    announced_end: int | None  #: end of the content in the log, if the length in the head is right
    foot: bytes  #: the text with which its foot begins


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a log in memory.

    Its first byte is the one before the part, and tells whether a line begins with the part. Before
    the first line of a log it is an end of line.
    """

    text: bytes
    offset: int  #: of the first byte in the log
    is_last: bool  #: the log ends here

    def cut(self, start: int) -> int:
        """Return the position up to which heads and feet can be recognised.

        The rest belongs to the next window. A line begins at this position, unless the line is
        longer than the window. It never lies within a head, nor between a foot and the end of line
        before it.
        """
        if self.is_last:
            return len(self.text)
        most = len(self.text) - AHEAD_BYTES
        stop = self.text.rfind(b"\n", start, most) + 1
        if stop <= start + 1:
            return most
        if self.text.find(_LAST_OF_HEAD, stop, stop + AHEAD_BYTES) >= 0:
            head = self._head(max(stop - AHEAD_BYTES, start), stop)
            while head and head.end < stop:
                head = self._head(head.end, stop)
            if head and head.end > stop:
                return head.begin
        return stop - self.text.startswith(FOOT, stop)

    def next_section(self, start: int, stop: int, container: str) -> Section | None:
        """Return the section of the first head that begins between two positions.

        Args:
            container: the container of the section before. Up to Hadoop 2.9, a head without a title
                belongs to the same container.
        """
        head = self._head(start, stop)
        if head is None:
            return None
        length, offset = head.length.strip(), self.offset + head.end
        is_known = length.isdigit() and len(length) < 19
        return Section(
            container=text_of(head.container) or container,
            file=text_of(head.file),
            offset=offset,
            announced_end=offset + int(length) if is_known else None,
            foot=FOOT + head.file,
        )

    def is_end(self, section: Section, at: int) -> bool:
        """Tell whether the content of a section may end at this position (rule 1)."""
        return (
            self.text.startswith((section.foot, b"\n" + section.foot), at)
            or _NEXT.match(self.text, at, min(at + AHEAD_BYTES, len(self.text))) is not None
            or self._is_blank(at, at + AHEAD_BYTES)
        )

    def find_end(self, section: Section, start: int, stop: int) -> int | None:
        """Return where a content ends between two positions by rules 2 and 3."""
        late = start  #: rule 3 holds from this position on
        if section.announced_end is not None:
            late = max(section.announced_end - self.offset, start)
        foot = self._find_foot(section, start, stop, late)
        head = self._find_head(section, start, stop if foot is None else foot, late)
        return foot if head is None else head

    def _find_foot(self, section: Section, start: int, stop: int, late: int) -> int | None:
        """Return where the content ends before its foot; the end of line there is the foot's."""
        at = start
        while found := _FOOT.search(self.text, at, min(stop + len(FOOT) - 1, len(self.text))):
            at = found.end()
            if self._is_foot(section, found.start(), late):
                has_line = found.start() > start and self.text[found.start() - 1] == ord("\n")
                return found.start() - has_line
        return None

    def _is_foot(self, section: Section, at: int, late: int) -> bool:
        if not self.text.startswith(section.foot, at):
            return False
        name_end, limit = at + len(section.foot), at + AHEAD_BYTES
        rest = _REST_OF_FOOT.match(self.text, name_end, min(limit, len(self.text)))
        end = rest.end() if rest else name_end
        if self._is_blank(end, limit):
            return True
        if end == name_end:  # this is the foot of a file with a longer name
            return False
        head = self._head(end, end + 1)
        if head is None or head.end > limit:
            return at >= late
        return _may_follow(section, head, is_late=at >= late)

    def _find_head(self, section: Section, start: int, stop: int, late: int) -> int | None:
        if late >= stop and not _ANY_TITLE.search(self.text, start, min(stop + 10, len(self.text))):
            return None  # by rule 2, a head without a title ends nothing
        at = start
        while head := self._head(at, stop):
            if _may_follow(section, head, is_late=head.begin >= late):
                return head.begin
            at = head.end
        return None

    def _head(self, start: int, stop: int) -> _Head | None:
        """Return the first head that begins between two positions."""
        at = start - 1
        while found := _FACTS.search(self.text, at, min(stop + AHEAD_BYTES, len(self.text))):
            line = found.start() + 1
            begin = self.text.rfind(_TITLE_BEGINS, max(start, line - AHEAD_BYTES), line)
            title = _TITLE.fullmatch(self.text, begin, line) if begin >= 0 else None
            if title is None:
                begin = line
            if begin >= stop:
                return None
            if found.end() - begin <= AHEAD_BYTES:
                container = title[1] if title else b""
                return _Head(begin, found.end(), container, found[1], found[2] or b"")
            at = line
        return None

    def _is_blank(self, at: int, limit: int) -> bool:
        """Tell whether the log ends before a limit with nothing but blank lines."""
        return self.is_last and len(self.text) <= limit and not self.text[at:].strip()


def _may_follow(section: Section, head: _Head, *, is_late: bool) -> bool:
    """Tell whether a head ends a section: by rule 3 if it is late, otherwise by rule 2."""
    current, following = _application(section.container.encode()), _application(head.container)
    if current and following:
        return current == following
    return is_late or (bool(head.container) and current == following)


def _application(container: bytes) -> bytes | None:
    found = _APPLICATION.match(container)
    return found[1] if found else None
