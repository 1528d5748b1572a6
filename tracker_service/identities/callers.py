"""Verify who calls: at the gateway, or offline by the signature of a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tracker_service.domain.users import NoUserNameError, UserNames, safe_user
from tracker_service.engine.keyed_locks import KeyedLocks
from tracker_service.errors import CredentialsRefused, NotAuthenticated
from tracker_service.identities.encryption import decrypt_credential, encrypt_credential, parts_of
from tracker_service.identities.failed_logins import FailedLogins
from tracker_service.identities.keys import KeyRing
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import (
    BasicCredential,
    Credential,
    OnBehalf,
    TokenCredential,
)
from tracker_service.sources.gateway import AccessPool
from tracker_service.sources.tokens import TokenKeys, expiry_of
from tracker_service.store import verified_callers
from tracker_service.store.database import Store
from tracker_service.store.verified_callers import VERIFIED_FOR

_NO_GATEWAY = "No gateway checks passwords here: come through the proxy that does, or with a token."


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A verified user of the gateway, with the credential that proved it."""

    name: str  #: as the gateway's answer shows it, not as the caller wrote it
    credential: Credential


class Callers:
    """Verifies the credentials of callers at the gateway; a verified caller is remembered a minute.

    Args:
        exchanges: exchange passwords for tokens of the gateway, and use these from then on.
        keys: verify tokens without asking the gateway.
        names: the rule for names that proxies and tokens give.
        is_on_behalf: the service acts for its callers with its own Kerberos login.
    """

    def __init__(
        self,
        store: Store,
        key_ring: KeyRing,
        pool: AccessPool[ClusterAccess],
        clock: Callable[[], datetime],
        *,
        exchanges: bool = False,
        keys: TokenKeys | None = None,
        names: UserNames = UserNames(),  # noqa: B008  # it is frozen
        is_on_behalf: bool = False,
    ) -> None:
        self._store, self._key_ring, self._pool, self._clock = store, key_ring, pool, clock
        self._exchanges, self._keys, self._is_on_behalf = exchanges, keys, is_on_behalf
        self._names = names
        self._failed_logins = FailedLogins(store, clock)
        self._locks = KeyedLocks()

    def verify(self, credential: BasicCredential | TokenCredential, peer: str = "") -> Caller:
        """Return the user of a credential.

        Args:
            peer: the address that the credential came from.

        Raises:
            NotAuthenticated: the gateway refuses it.
            TooManyRequests: it was refused so often that the next one has to wait.
            GatewayUnavailable: the gateway does not answer, so nobody gets in.
        """
        if isinstance(credential, TokenCredential):
            if self._keys:
                return self._caller(self._keys.checked(credential.token))
            self._refuse_expired(credential.token)
        if self._is_on_behalf:
            raise NotAuthenticated(_NO_GATEWAY)
        if isinstance(credential, BasicCredential):
            _refuse_odd(credential.user)
        fingerprint = self._key_ring.fingerprint(*parts_of(credential))
        # When an answer has expired, many requests may come at once: only the first asks.
        with self._locks.held(fingerprint):
            return self._known(credential, fingerprint) or self._ask(credential, fingerprint, peer)

    def named(self, user: str) -> Caller:
        """Return the caller that a trusted proxy has verified.

        Raises:
            NotAuthenticated: no user of this site can have the name.
        """
        try:
            name = self._names.of_proxy(user)
        except NoUserNameError as error:
            raise NotAuthenticated(f"The proxy names nobody: {error}.") from error
        return Caller(name=name, credential=OnBehalf(name))

    def _caller(self, token: TokenCredential) -> Caller:
        try:
            name = self._names.claimed(token.user)
        except NoUserNameError as error:
            raise NotAuthenticated(f"The token names nobody: {error}.") from error
        return Caller(name=name, credential=OnBehalf(name) if self._is_on_behalf else token)

    def _refuse_expired(self, token: str) -> None:
        expires_at = expiry_of(token)
        if expires_at and expires_at <= self._clock():
            raise NotAuthenticated("The token has expired: get another one from the gateway.")

    def _known(self, credential: Credential, fingerprint: str) -> Caller | None:
        with self._store.read() as connection:
            known = verified_callers.find(connection, fingerprint)
        if known is None or not known.is_valid(self._clock()):
            return None
        stands_for = (
            decrypt_credential(self._key_ring, known.sealed) if known.sealed else credential
        )
        return Caller(name=known.owner, credential=stands_for)

    def _ask(
        self, credential: BasicCredential | TokenCredential, fingerprint: str, peer: str
    ) -> Caller:
        # Anybody can write any name into a token.
        name = credential.user if isinstance(credential, BasicCredential) else None
        with self._store.read() as connection:
            was_verified = verified_callers.find(connection, fingerprint) is not None
        try:
            if was_verified:
                caller = self._who(credential)
            else:
                with self._failed_logins.counted(name, peer):
                    caller = self._who(credential)
        except NotAuthenticated:
            if was_verified:
                self._failed_logins.wrong(name)
                self._store.write(lambda c: verified_callers.drop(c, fingerprint))
            raise
        self._keep(fingerprint, credential, caller)
        return caller

    def _who(self, credential: BasicCredential | TokenCredential) -> Caller:
        # A session that has a cookie would still be let in after the password was changed.
        self._pool.forget(credential)
        try:
            access = self._pool.of(credential)
            if self._exchanges and isinstance(credential, BasicCredential):
                return self._caller(access.tokens.new())
            return Caller(name=access.hdfs.user(), credential=credential)
        except CredentialsRefused as error:
            raise NotAuthenticated(str(error)) from error
        finally:
            if self._exchanges and isinstance(credential, BasicCredential):
                self._pool.forget(credential)

    def _keep(self, fingerprint: str, credential: Credential, caller: Caller) -> None:
        is_exchanged = caller.credential is not credential
        verified = verified_callers.VerifiedCaller(
            owner=caller.name,
            expires_at=self._clock() + VERIFIED_FOR,
            sealed=encrypt_credential(self._key_ring, caller.credential) if is_exchanged else None,
        )
        self._store.write(lambda c: verified_callers.keep(c, fingerprint, verified))


def _refuse_odd(name: str) -> None:
    """Refuse what can be no user before the gateway is asked."""
    try:
        safe_user(name)
    except NoUserNameError as error:
        raise NotAuthenticated(str(error)) from error
