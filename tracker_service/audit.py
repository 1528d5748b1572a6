"""One line for each access to a log and each use of a stored credential; never with a secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import structlog

from tracker_service.errors import TrackerError

log = structlog.get_logger()


class AuditedAction(StrEnum):
    """What is audited."""

    READ_LOG = "read_log"
    REMOVE_LOG = "remove_log"
    USE_CREDENTIAL = "use_credential"


@contextmanager
def audited(action: AuditedAction, user: str, **what: object) -> Iterator[None]:
    """Write a line once the block has opened what it is about, or was refused.

    Args:
        user: whose right it is that counts.
        what: job, application and the like.
    """
    try:
        yield
    except TrackerError as error:
        log.info("audit", action=action, user=user, **what, result=type(error).__name__)
        raise
    log.info("audit", action=action, user=user, **what, result="ok")
