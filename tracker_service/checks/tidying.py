"""Add up the runs by the hour, and remove those that are too old."""

from __future__ import annotations

from datetime import timedelta

from tracker_service.engine.duties import Duty
from tracker_service.store import checks
from tracker_service.store.database import Store

_EVERY_S = 60.0
_HOURS_KEPT = timedelta(days=31)
_AT_ONCE = 20_000  #: runs that one transaction removes


class Tidying:
    """What keeps the history short."""

    def __init__(self, store: Store, kept_for: timedelta) -> None:
        self._store, self._kept_s = store, kept_for.total_seconds()

    def duty(self) -> Duty:
        """Return the duty."""
        return Duty(name="tidy_checks", every_s=_EVERY_S, run=lambda _: self.tidy())

    def tidy(self) -> None:
        """Add up the hours that are over first, so that no run is removed uncounted."""
        self._store.write(checks.sum_hours)
        while self._prune() >= _AT_ONCE:
            pass

    def _prune(self) -> int:
        hours_s = _HOURS_KEPT.total_seconds()
        return self._store.write(lambda c: checks.prune(c, self._kept_s, hours_s, _AT_ONCE))
