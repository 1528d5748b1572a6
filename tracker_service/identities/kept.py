"""Keep users' credentials, encrypted, and open the cluster with them on their behalf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

import structlog

from tracker_service.audit import AuditedAction, audited
from tracker_service.domain.events import Event, EventType
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import WAITS_FOR_CREDENTIAL, TaskReason
from tracker_service.errors import ConfigError, CredentialsRefused, GatewayError, RouteClosed
from tracker_service.identities.encryption import decrypt_credential, encrypt_credential
from tracker_service.identities.keys import KeyRing
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import Credential, TokenCredential
from tracker_service.sources.gateway import AccessPool
from tracker_service.store import credentials, events, hints, tasks
from tracker_service.store.credentials import KeptCredential
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

_WAITS = "waiting-for-credentials"  #: as users know it
_REMEDY = "post the job again, or run `tracker login`"
_NONE = Reason(TaskReason.NO_CREDENTIAL, f"{_WAITS}: there is no stored credential; {_REMEDY}")
_REFUSED = Reason(
    TaskReason.CREDENTIAL_REFUSED,
    f"{_WAITS}: the gateway refused the stored credential; {_REMEDY}, with the right one",
)
_EXPIRED = Reason(
    TaskReason.CREDENTIAL_EXPIRED, f"{_WAITS}: the stored token has expired; {_REMEDY}"
)


class KeptCredentials:
    """The encrypted credentials of users, each kept while there is work for its user."""

    def __init__(
        self,
        store: Store,
        key_ring: KeyRing,
        pool: AccessPool[ClusterAccess],
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._key_ring, self._pool, self._clock = store, key_ring, pool, clock

    def keep(self, connection: Connection, owner: str, credential: Credential) -> Sequence[int]:
        """Keep a fresh credential of a user.

        Returns:
            the tasks that waited for a credential and go on at once.
        """
        now = self._clock()
        credentials.keep(connection, owner, encrypt_credential(self._key_ring, credential), now)
        waiting = tasks.waiting(connection, owner, WAITS_FOR_CREDENTIAL)
        hints.add(connection, waiting, now)
        tasks.clear_reason(connection, owner)
        return waiting

    @contextmanager
    def acting_for(self, owner: str) -> Iterator[ClusterAccess]:
        """Open the cluster with the credential that a user left, for the length of the block.

        Raises:
            CredentialsRefused: there is none, or it is refused or has expired. The user's tasks
                then say so, and the credential rests (see `credentials.RETRY_AFTER`).
        """
        kept, credential = self._usable(owner)
        try:
            access = self._pool.of(credential)
            with audited(AuditedAction.USE_CREDENTIAL, owner):
                if kept.refusals:
                    self._try_again(kept, access)
                yield access
        except CredentialsRefused:
            self._pool.forget(credential)
            log.warning("credential_refused", user=owner, refusals=kept.refusals + 1)
            self._store.write(lambda connection: self._refuse(connection, kept))
            raise

    def _refuse(self, connection: Connection, kept: KeptCredential) -> None:
        if credentials.refuse(connection, kept, self._clock()):
            self._let_wait(connection, kept.owner, kept, _REFUSED)

    def _let_wait(
        self,
        connection: Connection,
        owner: str,
        kept: KeptCredential | None,
        reason: Reason[TaskReason],
    ) -> None:
        """Say why a user's tasks wait, and tell the user once for each credential."""
        if tasks.explain(connection, owner, reason):
            since = kept.kept_at.isoformat() if kept else f"{self._clock():%F}"
            told = Event(
                id=str(uuid5(NAMESPACE_URL, "\n".join((reason.code, owner, since)))),
                type=EventType.WAITS_FOR_CREDENTIALS,
                subject=owner,
                time=self._clock(),
                owner=owner,
                data={"user": owner, "code": reason.code, "reason": reason.text},
            )
            events.append(connection, told)

    def _usable(self, owner: str) -> tuple[KeptCredential, Credential]:
        """Return the credential of a user.

        Raises:
            CredentialsRefused: there is none that may be used now.
        """
        now = self._clock()
        with self._store.read() as connection:
            kept = credentials.find(connection, [owner]).get(owner)
        if kept is None or not kept.may_be_used(now):
            raise self._explained(owner, kept, _NONE if kept is None else _REFUSED)
        try:
            credential = decrypt_credential(self._key_ring, kept.sealed)
        except ConfigError as error:
            text = f"{_WAITS}: {error}; {_REMEDY}"
            unreadable = Reason(TaskReason.CREDENTIAL_UNREADABLE, text)
            raise self._explained(owner, kept, unreadable) from error
        if not isinstance(credential, TokenCredential) or credential.expires_at is None:
            return kept, credential
        if credential.expires_at <= now:
            raise self._explained(owner, kept, _EXPIRED)
        if now - kept.kept_at < (credential.expires_at - kept.kept_at) / 2:
            return kept, credential
        return self._renewed(kept, credential)

    def _renewed(
        self, kept: KeptCredential, token: TokenCredential
    ) -> tuple[KeptCredential, Credential]:
        """Return a fresh token in place of one that is half through; where none is given, itself.

        It is asked for once: the next time when half of the time that is left is over.
        """
        try:
            fresh = self._pool.of(token).tokens.new()
        except (GatewayError, RouteClosed) as error:
            log.info("token_not_renewed", user=kept.owner, reason=str(error))
            fresh = token
        sealed = encrypt_credential(self._key_ring, fresh)
        renewed = self._store.write(lambda c: credentials.renew(c, kept, sealed, self._clock()))
        if fresh is not token:
            self._pool.forget(token)
        return renewed or kept, fresh

    def _try_again(self, kept: KeptCredential, access: ClusterAccess) -> None:
        """Accept a credential again that the gateway takes; one cheap call tells."""
        access.hdfs.user()
        self._store.write(lambda connection: _accept(connection, kept))

    def _explained(
        self, owner: str, kept: KeptCredential | None, reason: Reason[TaskReason]
    ) -> CredentialsRefused:
        """Say why a user's tasks wait, unless a fresh credential has come meanwhile."""

        def explain(connection: Connection) -> None:
            if credentials.find(connection, [owner]).get(owner) == kept:
                self._let_wait(connection, owner, kept, reason)

        self._store.write(explain)
        return CredentialsRefused(reason.text)


def _accept(connection: Connection, kept: KeptCredential) -> None:
    credentials.accept(connection, kept)
    tasks.clear_reason(connection, kept.owner)
