"""Act for users with the service's own Kerberos login; no credential of theirs is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import Credential, OnBehalf
from tracker_service.sources.gateway import AccessPool
from tracker_service.store.database import Connection


class ActingService:
    """The service as a proxy user of the cluster, acting for users.

    See https://hadoop.apache.org/docs/r3.3.6/hadoop-project-dist/hadoop-common/Superusers.html
    """

    def __init__(self, pool: AccessPool[ClusterAccess]) -> None:
        self._pool = pool

    def keep(self, connection: Connection, owner: str, credential: Credential) -> Sequence[int]:
        """Keep nothing: the service needs no credential of a user. No task ever waits for one."""
        return ()

    @contextmanager
    def acting_for(self, owner: str) -> Iterator[ClusterAccess]:
        """Open the cluster as a user, for the length of the block."""
        yield self._pool.of(OnBehalf(owner))
