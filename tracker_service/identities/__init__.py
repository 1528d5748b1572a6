"""Verify callers, and open the cluster as them or on their behalf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.leases import affinity
from tracker_service.identities.callers import Caller, Callers
from tracker_service.identities.kept import KeptCredentials
from tracker_service.identities.on_behalf import ActingService
from tracker_service.identities.service import ServiceIdentity
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.gateway import AccessPool
from tracker_service.store import tasks, track_tasks
from tracker_service.store.database import Connection
from tracker_service.store.jobs import KeptJob
from tracker_service.store.verified_callers import VERIFIED_FOR

__all__ = [
    "VERIFIED_FOR",
    "ActingService",
    "Caller",
    "Callers",
    "Identities",
    "KeptCredentials",
    "ServiceIdentity",
]


class Identities:
    """Opens the cluster as a caller now, and on behalf of a user later."""

    def __init__(
        self,
        callers: Callers,
        kept: KeptCredentials | ActingService,
        pool: AccessPool[ClusterAccess],
        gateway_url: str,
        service: ServiceIdentity | None = None,
    ) -> None:
        """Make the identities of one gateway.

        Args:
            service: the identity that asks about all jobs; without one, each user's own is used.
        """
        self.verify, self.named = callers.verify, callers.named
        self.acting_for = kept.acting_for
        self._kept, self._pool = kept, pool
        self._gateway_url, self._service = gateway_url, service

    def access(self, caller: Caller) -> ClusterAccess:
        """Open the cluster as the caller."""
        return self._pool.of(caller.credential)

    def track(
        self,
        connection: Connection,
        caller: Caller,
        wanted: Sequence[KeptJob],
        now: datetime,
        policy: CopyPolicy = CopyPolicy.OF_FAILURES,
    ) -> None:
        """Track jobs for a caller, and keep the credential, encrypted, while there is work."""
        together = affinity(self.asked_as(caller.name), self._gateway_url)
        track_tasks.track(connection, caller.name, together, wanted, now, policy)
        self.keep(connection, caller)

    def keep(self, connection: Connection, caller: Caller) -> Sequence[int] | None:
        """Keep the caller's credential if there is work on their behalf.

        Returns:
            the tasks that waited for it and go on now; None if there is no work.
        """
        if not tasks.has_live(connection, caller.name):
            return None
        return self._kept.keep(connection, caller.name, caller.credential)

    def asked_as(self, owner: str) -> str:
        """Return the name of the identity that asks Oozie about a user's jobs."""
        return self._service.credential.user if self._service else owner

    @contextmanager
    def polling(self, asked_as: str) -> Iterator[ClusterAccess]:
        """Open the cluster to ask about jobs, for the length of the block.

        Args:
            asked_as: as `asked_as` gives it.

        Raises:
            CredentialsRefused: as `acting_for`; the service's own credential rests likewise.
        """
        opened = self._service.opened() if self._service else self.acting_for(asked_as)
        with opened as access:
            yield access
