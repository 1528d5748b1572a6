"""Who may report jobs to a ledger: networks, and named keys that are kept as hashes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from tracker_service.domain.ledger import EVERYTHING, Scope
from tracker_service.errors import NotAuthenticated

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterKey:
    """A key of a writer."""

    name: str  #: the user name in HTTP Basic
    sha256: str  #: of the secret, in hexadecimal digits
    ledger: str | None = None  #: the ledger that it opens; None: the one that the path names
    scope: Scope = EVERYTHING


@dataclass(frozen=True, slots=True)
class Writer:
    """A caller who may report jobs."""

    ledger: str | None = None
    scope: Scope = EVERYTHING


_ANYBODY = Writer()


def hash_of(secret: str) -> str:
    """Return the hash of a secret, as the settings have it."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Writers:
    """The writers whom the settings name."""

    def __init__(self, networks: Sequence[Network], keys: Sequence[WriterKey]) -> None:
        self._networks = networks
        self._by_name = {key.name: key for key in keys}
        self._by_hash = {key.sha256.lower(): key for key in keys}

    def writer(self, client: str, authorization: str | None) -> Writer:
        """Return who a caller is.

        Args:
            client: the address of the caller, empty for a Unix socket.
            authorization: the header of that name, with HTTP Basic (RFC 7617) or a bearer token
                (RFC 6750).

        Raises:
            NotAuthenticated: neither the address nor the key is that of a writer.
        """
        if authorization:
            return self._with_key(authorization)
        if self._is_near(client):
            return _ANYBODY
        raise NotAuthenticated("this address may not report jobs without a key: ledger.writers")

    def _with_key(self, authorization: str) -> Writer:
        kind, _, text = authorization.strip().partition(" ")
        name, secret = _name_and_secret(kind.lower(), text.strip())
        found = hash_of(secret)
        key = self._by_hash.get(found) if name is None else self._by_name.get(name)
        if key is None or not hmac.compare_digest(key.sha256.lower(), found):
            raise NotAuthenticated("the key of the writer is unknown or wrong")
        return Writer(key.ledger, key.scope)

    def _is_near(self, client: str) -> bool:
        if not client:  # a Unix socket: the permissions of its file decide who may connect
            return any(network.is_loopback for network in self._networks)
        address = _address(client)
        return address is not None and any(address in network for network in self._networks)


@lru_cache  # a writer reports often
def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address; None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped  # an IPv4 peer of a socket for both versions
    return address


def _name_and_secret(kind: str, text: str) -> tuple[str | None, str]:
    if kind == "bearer":
        return None, text
    try:
        name, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        name, secret = "", ""
    return name, secret
