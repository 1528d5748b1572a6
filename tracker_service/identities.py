"""Who asks, and as whom the cluster is asked on their behalf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

import structlog

from tracker_service.domain.tasks import Wish, affinity
from tracker_service.errors import ConfigError, CredentialsRefused, NotAuthenticated
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import AccessPool
from tracker_service.store import credentials, tasks
from tracker_service.store.engine import Connection, Store
from tracker_service.store.jobs import KeptJob

log = structlog.get_logger()

VERDICT_LIFE = timedelta(seconds=60)
_NO_CREDENTIAL = "there is no stored credential; post the job again to go on"
_REFUSED = "the gateway refused the stored credential; post the job again with the right one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A verified user of the gateway, with the credential that proved it."""

    name: str  #: as the gateway's answer shows it, not as the caller wrote it
    credential: BasicCredential


class Identities:
    """Verifies callers at the gateway, and opens the cluster as them or, later, for them."""

    def __init__(
        self,
        store: Store,
        seal: credentials.Seal,
        pool: AccessPool[ClusterAccess],
        gateway_url: str,
        clock: Callable[[], datetime],
        service: BasicCredential | None = None,
    ) -> None:
        """Make the identities of one gateway.

        Args:
            service: asks about everybody's jobs; without one, each user's own credential does.
        """
        self._store, self._seal, self._pool = store, seal, pool
        self._gateway_url, self._clock = gateway_url, clock
        self._service = _Service(service) if service else None

    def verify(self, credential: BasicCredential) -> Caller:
        """Find out whose credential this is; an answer of the gateway holds for a minute.

        Raises:
            NotAuthenticated: the gateway refuses it.
            GatewayUnavailable: the gateway cannot say, so nobody gets in.
        """
        now = self._clock()
        fingerprint = self._seal.fingerprint(credential.user, credential.password)
        with self._store.read() as connection:
            known = credentials.verdict(connection, fingerprint, now)
        if known is None:
            known = self._ask_who(credential)
            with self._store.begin() as connection:
                credentials.keep_verdict(connection, fingerprint, known, now + VERDICT_LIFE)
        return Caller(name=known, credential=credential)

    def _ask_who(self, credential: BasicCredential) -> str:
        # A session that has a cookie would still be let in after the password was changed.
        self._pool.forget(credential)
        try:
            return self._pool.of(credential).hdfs.user()
        except CredentialsRefused as error:
            self._pool.forget(credential)
            raise NotAuthenticated(str(error)) from error

    def access(self, caller: Caller) -> ClusterAccess:
        """Open the cluster as the caller."""
        return self._pool.of(caller.credential)

    def track(
        self,
        connection: Connection,
        caller: Caller,
        wanted: Sequence[KeptJob],
        now: datetime,
        wish: Wish = Wish.OF_FAILURES,
    ) -> None:
        """Track jobs for a caller, and keep the credential, sealed, as long as there is work."""
        together = affinity(self.asked_as(caller.name), self._gateway_url)
        tasks.track(connection, caller.name, together, wanted, now, wish)
        if tasks.has_live(connection, caller.name):
            sealed = self._seal.close(caller.credential.user, caller.credential.password)
            credentials.keep(connection, caller.name, sealed, now)
            tasks.explain(connection, caller.name, None)

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
        if self._service is None:
            with self.acting_for(asked_as) as access:
                yield access
            return
        self._service.rest_over(self._clock())
        try:
            yield self._pool.of(self._service.credential)
        except CredentialsRefused:
            self._pool.forget(self._service.credential)
            self._service.refused(self._clock())
            raise
        self._service.accepted()

    @contextmanager
    def acting_for(self, owner: str) -> Iterator[ClusterAccess]:
        """Open the cluster with the credential that a user left, for the length of the block.

        Raises:
            CredentialsRefused: there is none, or the gateway refuses it. The user's tasks then say
                so, and the credential rests (see `credentials.RETRY_AFTER`).
        """
        now = self._clock()
        with self._store.read() as connection:
            kept = credentials.find(connection, [owner]).get(owner)
        if kept is None or not kept.may_be_used(now):
            self._explain(owner, kept, _NO_CREDENTIAL if kept is None else _REFUSED)
            raise CredentialsRefused(_NO_CREDENTIAL if kept is None else _REFUSED)
        try:
            access = self._pool.of(credential := BasicCredential(*self._seal.open(kept.sealed)))
            if kept.refusals:
                self._try_again(kept, access)
            yield access
        except ConfigError as error:
            self._explain(owner, kept, f"{error}; post the job again")
            raise CredentialsRefused(str(error)) from error
        except CredentialsRefused:
            self._pool.forget(credential)
            log.warning("credential_refused", user=owner, refusals=kept.refusals + 1)
            with self._store.begin() as connection:
                if credentials.refuse(connection, kept, now):
                    tasks.explain(connection, owner, _REFUSED)
            raise

    def _try_again(self, kept: credentials.KeptCredential, access: ClusterAccess) -> None:
        """Accept a credential again that the gateway takes; one cheap call tells."""
        access.hdfs.user()
        with self._store.begin() as connection:
            credentials.accept(connection, kept)
            tasks.explain(connection, kept.owner, None)

    def _explain(self, owner: str, kept: credentials.KeptCredential | None, reason: str) -> None:
        """Say why a user's tasks wait, unless a fresh credential has come meanwhile."""
        with self._store.begin() as connection:
            if credentials.find(connection, [owner]).get(owner) == kept:
                tasks.explain(connection, owner, reason)


class _Service:
    """The identity of the service itself, and until when it rests because it was refused."""

    def __init__(self, credential: BasicCredential) -> None:
        self.credential = credential
        self._refusals = 0
        self._retry_at: datetime | None = None
        self._lock = Lock()

    def rest_over(self, now: datetime) -> None:
        with self._lock:
            if self._retry_at and now < self._retry_at:
                raise CredentialsRefused(
                    f"the gateway refused gateway.polling_user {self.credential.user}; it is "
                    f"tried again at {self._retry_at:%H:%M} UTC, or after a restart"
                )

    def refused(self, now: datetime) -> None:
        with self._lock:
            if self._retry_at and now < self._retry_at:
                return  # several looks were under way
            pause = credentials.RETRY_AFTER[min(self._refusals, len(credentials.RETRY_AFTER) - 1)]
            self._refusals, self._retry_at = self._refusals + 1, now + pause
        log.error("polling_user_refused", user=self.credential.user, retry_at=str(now + pause))

    def accepted(self) -> None:
        with self._lock:
            self._refusals, self._retry_at = 0, None
