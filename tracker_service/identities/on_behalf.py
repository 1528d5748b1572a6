"""Act for users as the service itself, with nothing of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import Credential, OnBehalf
from tracker_service.sources.gateway import AccessPool
from tracker_service.store.database import Connection


class ActingService:
    """The service, which the cluster lets act for users (`hadoop.proxyuser`, `doAs`)."""

    def __init__(self, pool: AccessPool[ClusterAccess]) -> None:
        self._pool = pool

    def keep(self, connection: Connection, owner: str, credential: Credential) -> Sequence[int]:
        """Keep nothing, because nothing of the user is needed, so that nothing waits for it."""
        return ()

    @contextmanager
    def acting_for(self, owner: str) -> Iterator[ClusterAccess]:
        """Open the cluster as a user, for the length of the block."""
        yield self._pool.of(OnBehalf(owner))
