"""Read numbers and texts from a stream of byte pieces, with as few copies as possible."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable, Iterator

from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import LogFileBroken

_FED_BYTES = 64 * 1024  #: to zlib at once: what it leaves over is copied again and again
MOST_NAME_BYTES = 255  #: of a file on a node manager, and so of a log
_MOST_BYTES = 256 * 1024  #: out of zlib at once, however well the data is compressed


class Ended(LogFileBroken):
    """The bytes end too early."""


class Misread(LogFileBroken):
    """These bytes are not what was expected here."""


class UnknownCompression(LogFileBroken):
    """This file is whole, but cannot be unpacked here."""


class ByteSource:
    """Hands out the bytes of some pieces in order."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._piece, self._at = iter(pieces), b"", 0

    def some(self, most: int) -> bytes:
        """Return at least one of the next bytes and at most so many; none at the end."""
        if most <= 0:
            return b""
        while self._at >= len(self._piece):
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._piece, self._at = piece, 0
        found = self._piece[self._at : self._at + most]
        self._at += len(found)
        if self._at == len(self._piece):
            self._piece, self._at = b"", 0
        return found

    def exactly(self, length: int) -> bytes:
        """Return the next bytes, all of them held in memory.

        Raises:
            Ended: there are fewer.
        """
        found = self.some(length)
        if len(found) == length:
            return found
        parts, missing = [found], length - len(found)
        while missing:
            found = self.some(missing)
            if not found:
                raise Ended(f"ends {missing} bytes too early")
            parts.append(found)
            missing -= len(found)
        return b"".join(parts)

    def number(self, length: int) -> int:
        """Return a signed big-endian number of so many bytes."""
        return int.from_bytes(self.exactly(length), "big", signed=True)

    def utf(self) -> str:
        """Return a text as java.io.DataInput.readUTF reads it: at most 64 KiB.

        Raises:
            Ended, Misread: there is none.
        """
        return modified_utf8(self.exactly(self.number(2) & 0xFFFF))


class Portion(Iterator[bytes]):
    """The next bytes of a source, up to a length, in pieces; fewer where the source ends."""

    def __init__(self, source: ByteSource, length: int) -> None:
        self._source, self.left = source, length

    def __next__(self) -> bytes:
        piece = self._source.some(self.left)
        if not piece:
            raise StopIteration
        self.left -= len(piece)
        return piece

    def skip(self) -> None:
        """Pass over what is left."""
        for _ in self:
            pass


def modified_utf8(data: bytes) -> str:
    """Return the text that Java wrote as modified UTF-8.

    In it a zero byte is two bytes, and a character beyond 16 bits a pair of surrogates; see
    https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/io/DataInput.html

    Raises:
        Misread: it is none.
    """
    try:
        if data.isascii():
            return data.decode("ascii")
        text = data.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    except UnicodeError as error:
        raise Misread(f"{data[:40]!r} is no text of Java") from error


def decoded(algorithm: str, pieces: Iterator[bytes], budget: WorkBudget) -> Iterator[bytes]:
    """Return what was compressed with one of Hadoop's algorithms, in pieces of bounded size.

    Follows org.apache.hadoop.io.file.tfile.Compression: `gz` is one zlib stream, without the
    header of gzip.

    Raises:
        UnknownCompression: the algorithm is not known here.
        LogFileBroken: while it is read, the data is damaged.
        TooMuchWork: while it is read, it unpacks to more than the budget has.
    """
    if algorithm == "none":
        return pieces
    if algorithm == "gz":
        return _inflated(pieces, budget)
    raise UnknownCompression(
        f"it is compressed with {algorithm[:40]!r}; only none and gz can be read"
    )


def _inflated(pieces: Iterator[bytes], budget: WorkBudget) -> Generator[bytes, None, None]:
    inflater = zlib.decompressobj()
    try:
        for piece in pieces:
            for start in range(0, len(piece), _FED_BYTES):
                for unpacked in _inflate(inflater, piece[start : start + _FED_BYTES]):
                    budget.charge_unpacked(len(unpacked))
                    yield unpacked
            if inflater.eof:
                return
    except zlib.error as error:
        raise LogFileBroken(f"damaged gz data: {error}") from error
    raise LogFileBroken("the gz data ends too early")


def _inflate(inflater: zlib._Decompress, data: bytes) -> Generator[bytes, None, None]:
    while data and not inflater.eof:
        found = inflater.decompress(data, _MOST_BYTES)
        data = inflater.unconsumed_tail
        if found:
            yield found
