"""Encrypt credentials for the database, and decrypt them."""

from __future__ import annotations

from datetime import datetime

from tracker_service.identities.keys import KeyRing
from tracker_service.sources.credentials import (
    BasicCredential,
    Credential,
    OnBehalf,
    TokenCredential,
)


def parts_of(credential: Credential) -> tuple[str, ...]:
    """Return the parts of a credential that are kept.

    Raises:
        TypeError: the service acts for the user, so there is nothing to keep.
    """
    if isinstance(credential, BasicCredential):
        return credential.user, credential.password
    if isinstance(credential, OnBehalf):
        raise TypeError("there is nothing to keep of a user for whom the service acts")
    expires_at = credential.expires_at.isoformat() if credential.expires_at else ""
    return credential.user, credential.token, expires_at


def encrypt_credential(key_ring: KeyRing, credential: Credential) -> bytes:
    """Return an encrypted credential."""
    return key_ring.encrypt(*parts_of(credential))


def decrypt_credential(key_ring: KeyRing, encrypted: bytes) -> Credential:
    """Return the credential that `encrypt_credential` encrypted.

    Raises:
        ConfigError: it was encrypted with another key.
    """
    user, secret, *expires_at = key_ring.decrypt(encrypted)
    if not expires_at:
        return BasicCredential(user, secret)
    instant = datetime.fromisoformat(expires_at[0]) if expires_at[0] else None
    return TokenCredential(user, secret, instant)
