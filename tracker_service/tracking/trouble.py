"""Tell once of what is no fault of a job: a service that is away, a failure of several users."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from tracker_service.domain.causes import Category
from tracker_service.store import conditions, failure_groups
from tracker_service.store.conditions import CLUSTER_TROUBLE
from tracker_service.store.database import Connection, Store

#: Causes that lie in the cluster as often as in a job.
_OF_THE_CLUSTER = (
    Category.DEPENDENCY_SERVICE,
    Category.DISK_OR_QUOTA,
    Category.NETWORK,
    Category.TIMEOUT,
    Category.PREEMPTED,
)
_PATIENCE_S = 20.0  #: a service that is back sooner is no trouble
_OVER_AFTER_S = 60.0  #: after no worker has seen a trouble for so long
_TOGETHER = timedelta(minutes=15)  #: failures of the same family within this time are one trouble
_USERS = 2  #: with such failures


class Outages:
    """The services behind the gateway that this process cannot reach now."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._lock = monotonic, Lock()
        self._since: dict[str, float] = {}

    def changed(self, service: str, is_open: bool) -> None:
        """Note that the circuit of a service was opened or closed."""
        with self._lock:
            if is_open:
                self._since.setdefault(service, self._monotonic())
            else:
                self._since.pop(service, None)

    def lasting(self) -> list[str]:
        """Return the services that have been away for a while."""
        now = self._monotonic()
        with self._lock:
            return sorted(name for name, at in self._since.items() if now - at >= _PATIENCE_S)


class Trouble:
    """Keeps the troubles of the cluster, as this worker sees them."""

    def __init__(self, store: Store, outages: Outages, clock: Callable[[], datetime]) -> None:
        self._store, self._outages, self._clock = store, outages, clock

    def look(self) -> None:
        """Note what lasts now, and end what no worker has seen for a while."""
        away = self._outages.lasting()
        with self._store.read() as connection:
            shared = failure_groups.of_several_users(
                connection, self._clock() - _TOGETHER, _OF_THE_CLUSTER, _USERS
            )
            is_known = bool(conditions.current(connection, CLUSTER_TROUBLE))
        if not (away or shared or is_known):
            return

        def note(connection: Connection) -> None:
            for service in away:
                summary = f"{service} does not answer: this is the cluster, not a job."
                data = {"service": service, "summary": summary}
                conditions.note(connection, CLUSTER_TROUBLE, service, data)
            for group in shared:
                facts = {
                    "fingerprint": group.fingerprint,
                    "category": group.category,
                    "summary": group.summary,
                    "users": group.users,
                }
                conditions.note(connection, CLUSTER_TROUBLE, group.fingerprint, facts)
            conditions.end_unseen(connection, CLUSTER_TROUBLE, _OVER_AFTER_S)

        self._store.write(note)
