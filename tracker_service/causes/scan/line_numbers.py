"""Count the lines of a file while it streams by, but only if their numbers are needed."""

from __future__ import annotations

from collections import deque

_MOST_WAITING = 4  #: parts of a file that are held until it is known whether anybody asks
_SHORT = 4096  #: bytes
_SPARSE = 32  #: bytes of a line, on average


class LineNumbers:
    """Knows the numbers of one file's lines, if it is asked in their order.

    In most files no number is needed, and in a short one no line is counted then.
    """

    def __init__(self) -> None:
        self._lines = 0  #: before the parts that wait
        self._waiting: deque[tuple[bytes, int, int]] = deque()
        self._block, self._at = b"", 0  #: what is behind is not counted

    def enter(self, block: bytes, start: int) -> None:
        """Go on in a block in which the next part of the file begins."""
        self._block, self._at = block, start

    def of(self, start: int) -> int:
        """Return the number of the line that begins at a place in the block, from 1."""
        while self._waiting:
            self._count_oldest()
        if start - self._at > _SHORT:
            self._lines += newlines(self._block, self._at, start)
        else:
            self._lines += self._block.count(b"\n", self._at, start)
        self._at = start
        return self._lines + 1

    def leave(self, end: int) -> None:
        """Pass by the rest of what the block has of the file."""
        self._waiting.append((self._block, self._at, end))
        self._block, self._at = b"", 0
        if len(self._waiting) > _MOST_WAITING:
            self._count_oldest()

    def _count_oldest(self) -> None:
        self._lines += newlines(*self._waiting.popleft())


def newlines(block: bytes, start: int, end: int) -> int:
    """Return how many lines end between two places.

    To take out what is counted goes from one to the next with the C library's `memchr`, and is
    several times as fast as `count`, which looks at each byte; but not where lines are short.
    """
    if block.count(b"\n", start, min(start + _SHORT, end)) * _SPARSE > _SHORT:
        return block.count(b"\n", start, end)
    part = block[start:end]
    return len(part) - len(part.replace(b"\n", b""))
