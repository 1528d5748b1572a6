"""Tell from the bytes that have come whether a request is whole; it is not read for that."""

from __future__ import annotations

import re
from enum import Enum

_LONGEST_HEAD = 64 * 1024  #: bytes; gunicorn refuses a longer one
_LONGEST_LINE = 4096  #: bytes before a chunk; gunicorn refuses a longer one
_HEAD_END = b"\r\n\r\n"
_HEADER = re.compile(
    rb"(?im)^(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$"
)
_HEALTH = re.compile(rb"(GET|HEAD) /(healthz|readyz|metrics|metrics/teraslice)[ ?]")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")


class Arrival(Enum):
    """How far a request has come."""

    WAITS = "waits"
    WHOLE = "whole"  #: or so wrong that gunicorn refuses it unread
    TOO_LONG = "too long"


class Arriving:
    """The bytes of one request that have come so far (RFC 9112, sections 6 and 7).

    Args:
        most: bytes of a body, without what separates its chunks.
    """

    def __init__(self, most: int) -> None:
        self.data = bytearray()
        self.has_head = False
        self.awaits_word = False  #: the client sends its body after `100 Continue`
        self._most, self._body = most, 0
        self._end: int | None = None  #: of the request; None: at the last chunk
        self._at = 0  #: what is before this place need not be looked at again

    @property
    def is_for_health(self) -> bool:
        """Whether a monitor asks."""
        return bool(_HEALTH.match(self.data))

    def take(self, piece: bytes) -> Arrival:
        """Take what has come next; tell how far the request is."""
        self.data += piece
        if not self.has_head:
            end = self.data.find(_HEAD_END, max(0, self._at - len(_HEAD_END)))
            if end < 0:
                self._at = len(self.data)
                return Arrival.WHOLE if self._at > _LONGEST_HEAD else Arrival.WAITS
            self._read_head(end + len(_HEAD_END))
        return self._of_chunks() if self._end is None else self._of_length(self._end)

    def _read_head(self, end: int) -> None:
        self.has_head, self._at, self._end = True, end, end
        for name, value in _HEADER.findall(self.data, 0, end):
            match name.lower():
                case b"expect":
                    self.awaits_word = value.lower() == b"100-continue"
                case b"transfer-encoding":
                    self._end = None if value.lower() == b"chunked" else end
                    return
                case _ if value.isdigit() and len(value) < 20:
                    self._end = end + int(value)

    def _of_length(self, end: int) -> Arrival:
        # By its length alone the application refuses a body that is too long.
        is_whole = len(self.data) >= end or end - self._at > self._most
        return Arrival.WHOLE if is_whole else Arrival.WAITS

    def _of_chunks(self) -> Arrival:
        while (line := self.data.find(b"\r\n", self._at, self._at + _LONGEST_LINE)) >= 0:
            chunk = _CHUNK.fullmatch(self.data, self._at, line)
            if chunk is None:
                return Arrival.WHOLE
            size = int(chunk[1], 16)
            if not size:
                return self._of_trailer(line)
            if self._body + size > self._most:
                return Arrival.TOO_LONG
            end = line + size + 4
            if end > len(self.data):
                return Arrival.WAITS
            self._at, self._body = end, self._body + size
        return Arrival.WHOLE if len(self.data) - self._at > _LONGEST_LINE else Arrival.WAITS

    def _of_trailer(self, line: int) -> Arrival:
        if self.data.find(_HEAD_END, line) >= 0 or len(self.data) - line > _LONGEST_LINE:
            return Arrival.WHOLE
        return Arrival.WAITS
