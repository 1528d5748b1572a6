"""Purge jobs that ended long ago from the database, in small steps."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import structlog

from tracker_service.store import purge
from tracker_service.store.database import Store
from tracker_service.store.purge import OldTask

log = structlog.get_logger()

_TASKS_AT_ONCE = 100  #: of one step, so that nobody waits long for its transaction


class Purge:
    """Removes ended tasks and their jobs after some time; saved logs and manifests stay in HDFS.

    Each step is a transaction of its own. Several workers may purge at once: what one has removed,
    the other no longer finds.
    """

    def __init__(self, store: Store, kept_for: timedelta) -> None:
        self._store, self._kept_s = store, kept_for.total_seconds()
        self._last: OldTask | None = None  # of an unfinished round

    def step(self) -> None:
        """Remove the next few tasks that ended too long ago; after the last, begin again."""
        with self._store.read() as connection:
            old = purge.old_tasks(connection, self._kept_s, self._last, _TASKS_AT_ONCE)
        if old and (
            removed := self._store.write(partial(purge.remove, kept_s=self._kept_s, old=old))
        ):
            log.info("jobs_purged", tasks=removed, until=old[-1].ended_at.isoformat())
        self._last = old[-1] if len(old) == _TASKS_AT_ONCE else None
