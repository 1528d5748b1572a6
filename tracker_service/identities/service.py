"""The service's own identity, `gateway.polling_user`, which asks about all jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock

import structlog

from tracker_service.errors import CredentialsRefused
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import Credential
from tracker_service.sources.gateway import AccessPool
from tracker_service.store import credentials

log = structlog.get_logger()


class ServiceIdentity:
    """Opens the cluster as the service; after a refusal its credential is not used for a while."""

    def __init__(
        self,
        pool: AccessPool[ClusterAccess],
        credential: Credential,
        clock: Callable[[], datetime],
    ) -> None:
        self.credential = credential
        self._pool, self._clock = pool, clock
        self._refusals = 0
        self._retry_at: datetime | None = None
        self._lock = Lock()

    @contextmanager
    def opened(self) -> Iterator[ClusterAccess]:
        """Open the cluster for the length of the block.

        Raises:
            CredentialsRefused: the gateway refuses the credential, or did so lately.
        """
        self._refuse_while_resting()
        try:
            yield self._pool.of(self.credential)
        except CredentialsRefused:
            self._pool.forget(self.credential)
            self._refused()
            raise
        self._accepted()

    def _refuse_while_resting(self) -> None:
        with self._lock:
            if self._rests(self._clock()):
                raise CredentialsRefused(
                    f"the gateway refused gateway.polling_user {self.credential.user}; it is "
                    f"tried again at {self._retry_at:%H:%M} UTC, or after a restart"
                )

    def _rests(self, now: datetime) -> bool:
        if self._retry_at is None:
            return False
        return not credentials.has_rested(self._refusals, self._retry_at, now)

    def _refused(self) -> None:
        now = self._clock()
        with self._lock:
            if self._rests(now):
                return  # another request was refused first
            self._refusals += 1
            pause = credentials.pause_after(self._refusals)
            self._retry_at = now + pause
        log.error("polling_user_refused", user=self.credential.user, retry_at=str(now + pause))

    def _accepted(self) -> None:
        with self._lock:
            self._refusals, self._retry_at = 0, None
