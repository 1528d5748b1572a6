"""Find the new part of a log that grows and is read again and again from its beginning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from tracker_service.yarn_log.stream import SectionPart, SectionStream

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
        self._last: File | None = None

    @property
    def has_seen_any(self) -> bool:
        """Whether the log had any content."""
        return bool(self._seen)

    def new_in(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Read a log from its beginning; yield its new parts, with a title before another file."""
        lengths: dict[File, int] = {}
        for file, text in _contents(pieces, self._only):
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
    stream = SectionStream()
    for piece in pieces:
        yield from map(_part, stream.feed(piece))
    yield from map(_part, stream.finish())


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
