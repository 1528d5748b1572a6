"""Prune old events, their deliveries and removed subscriptions, in small steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from tracker_service.store import events, muted_families, subscriptions
from tracker_service.store.database import Connection, Store

_EVENTS_AT_ONCE = 1000  #: of one step, so that nobody waits long for its transaction


class Pruning:
    """Removes what is too old. Several workers may prune at once."""

    def __init__(self, store: Store, kept_for: timedelta, clock: Callable[[], datetime]) -> None:
        self._store, self._kept_s, self._clock = store, kept_for.total_seconds(), clock

    def step(self) -> None:
        """Remove some of the oldest events, if they are too old."""
        with self._store.read() as connection:
            if not events.any_older(connection, self._kept_s):
                return
        self._store.write(partial(events.prune, kept_s=self._kept_s, limit=_EVENTS_AT_ONCE))

    def tidy(self) -> None:
        """Remove what subscriptions and muted families have left behind."""
        self._store.write(self._tidy)

    def _tidy(self, connection: Connection) -> None:
        muted_families.forget_over(connection, self._clock())
        subscriptions.forget_removed(connection, self._kept_s)
