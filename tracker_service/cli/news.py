"""Find out what is new in a log that is read whole again and again while it grows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_LONGEST_LINE = 64 * 1024  #: bytes; a longer one is taken in parts

File = tuple[str, str]  #: a container, and a file of it
Part = tuple[File, bytes]  #: some of the content of a file

_CONTAINER = re.compile(rb"Container: (\S+) on ")
_NAME = re.compile(rb"Log ?Type: ?(.+?)\s*$")
_BEGIN = re.compile(rb"Log ?Contents: ?$")
_TITLE = re.compile(rb"==> (\S+?)/(.+) <==")


class News:
    """Tells what of a log was not told before, whole logs being read again and again.

    Files of containers grow at their ends and may come in another order: how much of each was told
    is remembered.
    """

    def __init__(self, container: str | None = None, file: str | None = None) -> None:
        """Prepare to read.

        Args:
            container, file: which the log is of, if it has nothing but the content of one file.
        """
        self._only: File | None = (container, file) if container and file else None
        self._told: dict[File, int] = {}  # bytes
        self._last: File | None = None

    @property
    def has_told(self) -> bool:
        """Whether anything was told."""
        return bool(self._told)

    def of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what is new in a log, a title before each change of file."""
        seen: dict[File, int] = {}
        for file, text in _contents(pieces, self._only):
            start, seen[file] = seen.get(file, 0), seen.get(file, 0) + len(text)
            new = text[max(0, self._told.get(file, 0) - start) :]
            if new:
                yield self._title(file) + new
                self._told[file] = seen[file]

    def _title(self, file: File) -> bytes:
        if file == self._last or self._only:
            return b""
        before, self._last = self._last, file
        return b"\n" * bool(before) + f"==> {file[0]}/{file[1]} <==\n".encode()


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


class _Parser:
    """Finds the contents of files in a log, as `yarn logs` prints them or below titles."""

    def __init__(self) -> None:
        self._container = self._name = ""
        self._inside: File | None = None
        self._foot, self._end = b"", b""  # the end of a line belongs to the foot if that comes next

    def take(self, line: bytes) -> Part | None:
        """Return what a line adds to the content of a file."""
        bare = line.rstrip(b"\r\n")
        if titled := _TITLE.fullmatch(bare):
            self._begin((_text(titled[1]), _text(titled[2])), b"")
        elif self._inside and self._foot and bare == self._foot:
            self._inside = None
        elif self._inside:
            text = line.removesuffix(b"\n")
            before, self._end = self._end, line[len(text) :]
            return self._inside, before + text
        else:
            self._take_head(bare)
        return None

    def rest(self) -> Part | None:
        """Return what the last line has added."""
        return (self._inside, self._end) if self._inside and self._end else None

    def _take_head(self, bare: bytes) -> None:
        if found := _CONTAINER.match(bare):
            self._container = _text(found[1])
        elif found := _NAME.match(bare):
            self._name = _text(found[1])
        elif _BEGIN.match(bare):
            self._begin((self._container, self._name), f"End of LogType:{self._name}".encode())

    def _begin(self, file: File, foot: bytes) -> None:
        self._inside, self._foot, self._end = file, foot, b""


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _contents(pieces: Iterable[bytes], only: File | None) -> Iterator[Part]:
    """Yield the contents of files as they come.

    Args:
        only: the file that all is of.
    """
    if only:
        yield from ((only, piece) for piece in pieces)
        return
    parser = _Parser()
    for line in _lines(pieces):
        if part := parser.take(line):
            yield part
    if part := parser.rest():
        yield part
