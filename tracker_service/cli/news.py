"""Find the new part of a log that grows and is read again and again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from tracker_service.yarn_log.stream import SectionPart, SectionStream

_MOST_NAMED = 40  #: files, so that all fit into one request line
_LONGEST_LINE = 64 * 1024  #: bytes; a longer line is split

File = tuple[str, str]  #: a container, and a file of it
Part = tuple[File, bytes]  #: a file, and a part of its content

_TITLE = re.compile(rb"==> (\S+?)/(.+) <==")


class News:
    """Remembers how much of each file of a log was seen, and yields the rest.

    Between two readings, files grow at their ends, and their order may change.
    """

    def __init__(self, container: str | None = None, file: str | None = None) -> None:
        """Prepare to read.

        Args:
            container, file: name the only file, if the log is the content of one file.
        """
        self._only: File | None = (container, file) if container and file else None
        self._seen: dict[File, int] = {}  # bytes
        self._whole: set[File] = set()  # of which as many bytes came as were announced
        self._last: File | None = None

    @property
    def has_seen_any(self) -> bool:
        """Whether the log had any content."""
        return bool(self._seen)

    def new_in(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Read a log from its beginning; yield its new parts, with a title before another file."""
        return self._new_in(_contents(pieces, self._only), {})

    def new_in_live(self, pieces: Iterable[bytes], seen: Mapping[File, int]) -> Iterator[bytes]:
        """Read what is written of a running application; yield its new parts.

        Args:
            seen: what `have_all_of` returned before; the pieces go on from there.
        """
        return self._new_in(self._live_parts(pieces, seen), seen)

    def have_all_of(self) -> Mapping[File, int]:
        """Return the bytes that were seen of files, for those of which the log goes on after them.

        Files whose text has another length than the file are left out: they are read again.
        """
        longest = sorted(self._whole, key=lambda file: -self._seen[file])
        return {file: self._seen[file] for file in longest[:_MOST_NAMED]}

    def _live_parts(self, pieces: Iterable[bytes], seen: Mapping[File, int]) -> Iterator[Part]:
        came: Counter[File] = Counter(seen)
        announced: dict[File, int] = {}
        for part in _section_parts(pieces):
            file, text = _part(part)
            came[file] += len(text)
            if part.section.announced_end is not None:
                length = part.section.announced_end - part.section.offset
                announced[file] = seen.get(file, 0) + length
            yield file, text
        self._whole |= {file for file, length in announced.items() if came[file] == length > 0}
        self._whole -= {file for file, length in announced.items() if came[file] != length}

    def _new_in(self, parts: Iterable[Part], seen: Mapping[File, int]) -> Iterator[bytes]:
        lengths = dict(seen)
        for file, text in parts:
            start = lengths.get(file, 0)
            lengths[file] = start + len(text)
            new = text[max(0, self._seen.get(file, 0) - start) :]
            if new:
                yield self._title(file) + new
                self._seen[file] = lengths[file]

    def _title(self, file: File) -> bytes:
        if file == self._last or self._only:
            return b""
        before, self._last = self._last, file
        return b"\n" * bool(before) + f"==> {file[0]}/{file[1]} <==\n".encode()


def _contents(pieces: Iterable[bytes], only: File | None) -> Iterator[Part]:
    """Yield parts of the files in a log.

    Args:
        only: the file, if the log is the content of one file.
    """
    if only:
        yield from ((only, piece) for piece in pieces)
        return
    beginning, rest = b"", iter(pieces)
    while b"\n" not in beginning and (piece := next(rest, b"")):
        beginning += piece
    all_pieces = chain([beginning], rest)
    if beginning.startswith(b"==> "):
        yield from _below_titles(all_pieces)
    else:
        yield from _in_sections(all_pieces)


def _in_sections(pieces: Iterable[bytes]) -> Iterator[Part]:
    """Yield parts of the files in a log in the form of `yarn logs`."""
    yield from map(_part, _section_parts(pieces))


def _section_parts(pieces: Iterable[bytes]) -> Iterator[SectionPart]:
    stream = SectionStream()
    for piece in pieces:
        yield from stream.feed(piece)
    yield from stream.finish()


def _part(part: SectionPart) -> Part:
    section = part.section
    return (section.container, section.file), part.block[part.start : part.end]


def _below_titles(pieces: Iterable[bytes]) -> Iterator[Part]:
    """Yield parts of files that follow titles.

    The end of line before a title is left out, because it may not belong to the content.
    """
    file: File = ("", "")
    line_end = b""
    for line in _lines(pieces):
        if title := _TITLE.fullmatch(line.rstrip(b"\r\n")):
            file, line_end = (_text(title[1]), _text(title[2])), b""
        else:
            text = line.removesuffix(b"\n")
            yield file, line_end + text
            line_end = line[len(text) :]
    if line_end:
        yield file, line_end


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; a very long line is split."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        yield from (line + b"\n" for line in whole)
        while len(held) > _LONGEST_LINE:
            yield held[:_LONGEST_LINE]
            held = held[_LONGEST_LINE:]
    if held:
        yield held
