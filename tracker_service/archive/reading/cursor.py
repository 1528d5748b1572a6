"""Read a saved log from its beginning to its end, and skip unwanted parts."""

from __future__ import annotations

from collections.abc import Generator

from tracker_service.archive.reading.saved_log import SavedLog

_FIRST_REQUEST = 256 * 1024  #: bytes; each further request asks for four times as much
#: To go on so many bytes further, they are read and thrown away; another request takes longer.
NEAR_BYTES = 4 * 1024 * 1024
_MOST_BYTES = 512 * 1024  #: of one piece


class Cursor:
    """A place in a saved log. What it holds in memory is little more than `NEAR_BYTES`."""

    def __init__(self, log: SavedLog) -> None:
        self.log = log
        self._held, self._start = b"", 0
        self._end = 0  #: position of the first byte that is not held yet
        self._pieces: Generator[bytes, None, None] | None = None
        self._request = _FIRST_REQUEST

    @property
    def at(self) -> int:
        """Return the position of the next byte."""
        return self._end - len(self._held) + self._start

    @property
    def is_at_end(self) -> bool:
        """Tell whether no byte is left."""
        return self.at >= self.log.length

    def take(self, most: int) -> bytes:
        """Return the next bytes: at least one but at the end, and not more than asked for."""
        self._hold(1)
        piece = self._held[self._start : self._start + min(most, _MOST_BYTES)]
        self._start += len(piece)
        return piece

    def ahead(self, length: int) -> bytes:
        """Return the next bytes, fewer at the end of the log, and stay before them."""
        self._hold(length)
        return self._held[self._start : self._start + length]

    def peek(self, position: int, length: int) -> bytes:
        """Return bytes from a position further on, and stay here."""
        if position - self._end > NEAR_BYTES:
            return self.log.bytes_at(position, length)
        self._hold(position + length - self.at)
        start = self._start + position - self.at
        return self._held[start : start + length]

    def jump(self, position: int) -> None:
        """Go on at a position further on."""
        if position - self._end > NEAR_BYTES:
            self.close()
            self._held, self._start, self._end = b"", 0, position
            self._request = _FIRST_REQUEST
        while self.at < position:
            self.take(position - self.at)

    def close(self) -> None:
        """Close the log."""
        if self._pieces is not None:
            self._pieces.close()
            self._pieces = None

    def _hold(self, length: int) -> None:
        """Hold as many of the next bytes, or all that are left."""
        missing = length - (len(self._held) - self._start)
        if missing <= 0:
            return
        rest = self._held[self._start :]
        parts = [rest] if rest else []  # one piece alone is not copied
        while missing > 0 and (piece := self._next_piece()):
            parts.append(piece)
            self._end += len(piece)
            missing -= len(piece)
        self._held, self._start = b"".join(parts), 0

    def _next_piece(self) -> bytes:
        """Return the next bytes that come from HDFS; none at the end of the log."""
        while self._end < self.log.length:
            if self._pieces is None:
                length = min(self._request, self.log.length - self._end)
                self._pieces = self.log.read(self._end, length)
                self._request *= 4
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
            elif piece:
                return piece
        return b""
