"""Give the engine the duty that removes expired records of callers."""

from __future__ import annotations

from tracker_service.engine.clock import Clock
from tracker_service.engine.duties import Duty
from tracker_service.store import failed_logins, rate_limits, verified_callers
from tracker_service.store.database import Connection, Store

_TIDY_S = 60


def duties(store: Store, clock: Clock) -> list[Duty]:
    """Return what every worker does for the records of callers."""

    def tidy(connection: Connection) -> None:
        verified_callers.forget_old(connection, clock())
        failed_logins.forget(connection, clock())
        rate_limits.forget(connection, clock())

    return [Duty(name="tidy_callers", every_s=_TIDY_S, run=lambda _: store.write(tidy))]
