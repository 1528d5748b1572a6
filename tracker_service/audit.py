"""Log who reads, copies and removes logs, who was refused, and each use of a stored credential."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum

import structlog

log = structlog.get_logger()


class AuditedAction(StrEnum):
    """The actions that are audited."""

    LOG_IN = "log_in"  #: only what is refused
    READ_LOG = "read_log"
    COPY_LOG = "copy_log"
    REMOVE_LOG = "remove_log"
    USE_CREDENTIAL = "use_credential"


@contextmanager
def audited(action: AuditedAction, user: str, **what: object) -> Iterator[None]:
    """Log an action after the block has succeeded or was refused.

    Args:
        user: with whose rights the action is done.
        what: further facts of the line, such as job and applications.
    """
    try:
        yield
    except Exception as error:
        note(action, user, type(error).__name__, **what)
        raise
    note(action, user, "ok", **what)


def note(action: AuditedAction, user: str, result: str, **what: object) -> None:
    """Log an action whose result is known."""
    log.info("audit", action=action, user=user, **what, result=result)


class AuditedPieces(Iterator[bytes]):
    """Pieces of a log, whose first one, or the error in its place, writes the line."""

    def __init__(self, pieces: Iterable[bytes], line: AbstractContextManager[None]) -> None:
        self._pieces, self._left = pieces, iter(pieces)
        self._line: AbstractContextManager[None] | None = line

    def __next__(self) -> bytes:
        line, self._line = self._line, None
        with line or nullcontext():
            piece = next(self._left, None)
        if piece is None:
            raise StopIteration
        return piece

    def close(self) -> None:
        """Close what the pieces come from; nobody may have read any, as after HEAD."""
        line, self._line = self._line, None
        with line or nullcontext():
            if close := getattr(self._pieces, "close", None):
                close()
