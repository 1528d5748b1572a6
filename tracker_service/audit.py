"""Log each access to a saved log and each use of a stored credential, without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import structlog

from tracker_service.errors import TrackerError

log = structlog.get_logger()


class AuditedAction(StrEnum):
    """The actions that are audited."""

    READ_LOG = "read_log"
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
    except TrackerError as error:
        log.info("audit", action=action, user=user, **what, result=type(error).__name__)
        raise
    log.info("audit", action=action, user=user, **what, result="ok")
