"""A saved log that is open for reading at any place."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakSet

from tracker_service.domain.work_budget import WorkBudget
from tracker_service.sources.webhdfs import WebHdfs

_LONGEST_S = 6 * 3600.0  #: of one reader; 20 GiB at 1 MiB/s


@dataclass(frozen=True, slots=True)
class SavedLog:
    """One saved log, as it lay in HDFS when it was opened."""

    hdfs: WebHdfs
    path: str
    length: int  #: in bytes
    version: str  #: another one for other bytes: short, printable ASCII
    #: of all that is read of it for one answer
    budget: WorkBudget = field(
        default_factory=partial(WorkBudget, wall_s=_LONGEST_S), compare=False, repr=False
    )
    _open: WeakSet[Generator[bytes, None, None]] = field(
        default_factory=WeakSet, compare=False, repr=False
    )

    def read(self, offset: int, length: int) -> Generator[bytes, None, None]:
        """Yield the bytes from an offset on, in pieces.

        Raises:
            AccessDenied, PathNotFound: with the first piece.
            GatewayUnavailable: also at the end, if fewer bytes came than were asked for.
            TooMuchWork, WorkerStops: the reader has spent its budget; this process ends.
        """
        pieces = self.hdfs.read_range(self.path, offset, length)
        self._open.add(pieces)
        return self._charged(pieces)

    def _charged(self, pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
        with closing(pieces):
            while (piece := self.budget.waited_for(pieces)) is not None:
                self.budget.charge_read(len(piece))
                yield piece

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
