"""The file of a node with aggregated logs, and the logs that its readers find in it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import LogFileBroken


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """The aggregated logs of one application from one node."""

    name: str  #: host and port of the node, for example `localhost_8041`
    application: str
    length: int  #: in bytes
    modified_at: datetime

    #: Yields the bytes from an offset on, so many, in pieces of any size. It may raise
    #: GatewayUnavailable, which passes through all readers, and is closed after use.
    read: Callable[[int, int], Generator[bytes, None, None]]

    budget: WorkBudget = field(default_factory=WorkBudget)  #: of all that is read for one copy

    def pieces(self, offset: int, length: int) -> Generator[bytes, None, None]:
        """Yield the bytes from an offset on, exactly so many.

        Raises:
            LogFileBroken: at the end, if there are fewer.
        """
        if not length:
            return
        left = length
        with closing(self.read(offset, length)) as pieces:
            for piece in pieces:  # to the end also when all is there: so the connection is kept
                if left:
                    yield piece[:left]
                elif piece:
                    return
                left = max(left - len(piece), 0)
        if left:
            raise LogFileBroken(f"{left} bytes are missing of {length} from byte {offset} on")

    def part(self, offset: int, length: int) -> bytes:
        """Return the bytes from an offset on, exactly so many, in memory.

        Raises:
            LogFileBroken: there are fewer.
        """
        return b"".join(self.pieces(offset, length))


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One log of one container."""

    container: str
    name: str  #: for example `stderr`
    length: int | None  #: in bytes, as announced; None where it is not known
    modified_at: datetime

    #: At most `length` bytes, fewer where fewer were written. To be read before the next log is
    #: asked for; what was not read then is passed over.
    content: Iterator[bytes]
