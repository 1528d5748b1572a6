"""Put credentials into the form in which they are kept, and back."""

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
    """Return what there is to keep of a credential."""
    if isinstance(credential, BasicCredential):
        return credential.user, credential.password
    if isinstance(credential, OnBehalf):
        raise TypeError("there is nothing to keep of a user for whom the service acts")
    expires_at = credential.expires_at.isoformat() if credential.expires_at else ""
    return credential.user, credential.token, expires_at


def encrypt_credential(key_ring: KeyRing, credential: Credential) -> bytes:
    """Return a credential in a form that only the key can read."""
    return key_ring.encrypt(*parts_of(credential))


def decrypt_credential(key_ring: KeyRing, kept: bytes) -> Credential:
    """Return a credential that was sealed.

    Raises:
        ConfigError: it was encrypted with another key.
    """
    user, secret, *expires_at = key_ring.decrypt(kept)
    if not expires_at:
        return BasicCredential(user, secret)
    instant = datetime.fromisoformat(expires_at[0]) if expires_at[0] else None
    return TokenCredential(user, secret, instant)
