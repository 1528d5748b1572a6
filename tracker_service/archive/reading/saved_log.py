"""A saved log that is open for reading at any place."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from weakref import WeakSet

from tracker_service.sources.webhdfs import WebHdfs


@dataclass(frozen=True, slots=True)
class SavedLog:
    """One saved log, as it lay in HDFS when it was opened."""

    hdfs: WebHdfs
    path: str
    length: int  #: in bytes
    version: str  #: another one for other bytes: short, printable ASCII
    _open: WeakSet[Generator[bytes, None, None]] = field(
        default_factory=WeakSet, compare=False, repr=False
    )

    def read(self, offset: int, length: int) -> Generator[bytes, None, None]:
        """Yield the bytes from an offset on, in pieces.

        Raises:
            AccessDenied, PathNotFound: with the first piece.
            GatewayUnavailable: also at the end, if fewer bytes came than were asked for.
        """
        pieces = self.hdfs.read_range(self.path, offset, length)
        self._open.add(pieces)
        return pieces

    def close(self) -> None:
        """Close all that is still open in HDFS.

        Generators that read from others are no help: since Python 3.12, closing one does not close
        the others at once.
        """
        for pieces in list(self._open):
            pieces.close()

    def bytes_at(self, offset: int, length: int) -> bytes:
        """Return so many bytes from an offset on, fewer at the end of the log."""
        with closing(self.read(offset, min(length, self.length - offset))) as pieces:
            return b"".join(pieces)
