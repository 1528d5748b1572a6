"""Find what is new in a log that is read whole again and again while it grows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from tracker_service.yarn_log.stream import SectionPart, SectionStream

_LONGEST_LINE = 64 * 1024  #: bytes; a longer one is taken in parts

File = tuple[str, str]  #: a container, and a file of it
Part = tuple[File, bytes]  #: some of the content of a file

_TITLE = re.compile(rb"==> (\S+?)/(.+) <==")


class News:
    """Yields what is new in a log each time it is read.

    Files of containers grow at their ends and may come in another order: it is remembered how much
    of each file was seen.
    """

    def __init__(self, container: str | None = None, file: str | None = None) -> None:
        """Prepare to read.

        Args:
            container, file: which the log is of, if it has nothing but the content of one file.
        """
        self._only: File | None = (container, file) if container and file else None
        self._seen: dict[File, int] = {}  # bytes
        self._last: File | None = None

    @property
    def is_any(self) -> bool:
        """Whether there was anything in the log."""
        return bool(self._seen)

    def of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what is new in a log, a title before each change of file."""
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
    """Yield the contents of files as they come.

    Args:
        only: the file that all is of.
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
    """Yield the contents of files in a log as `yarn logs` prints it."""
    stream = SectionStream()
    for piece in pieces:
        yield from map(_part, stream.of(piece))
    yield from map(_part, stream.rest())


def _part(part: SectionPart) -> Part:
    section = part.section
    return (section.container, section.file), part.block[part.start : part.end]


def _below_titles(pieces: Iterable[bytes]) -> Iterator[Part]:
    """Yield the contents of files that come below titles.

    The end of the line before a title is left out: it need not belong to the content.
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
    """Yield lines with their ends; a very long one in parts."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        yield from (line + b"\n" for line in whole)
        while len(held) > _LONGEST_LINE:
            yield held[:_LONGEST_LINE]
            held = held[_LONGEST_LINE:]
    if held:
        yield held
