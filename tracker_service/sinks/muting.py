"""Mute families of failures: by their users, or by the link in a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tracker_service.errors import ConfigError, NoSuchLink
from tracker_service.identities.keys import KeyRing
from tracker_service.store import deliveries, muted_families
from tracker_service.store.database import Connection, Store

BY_LINK = timedelta(hours=24)  #: how long a family is muted by the link in a message
_LINK_LASTS = timedelta(days=7)
_PURPOSE = "mute"


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteLink:
    """What a link in a message mutes."""

    owner: str  #: whose messages; empty for those of the site
    fingerprint: str


class Muting:
    """Mutes families of failures for a while."""

    def __init__(self, store: Store, key_ring: KeyRing, clock: Callable[[], datetime]) -> None:
        self._store, self._key_ring, self._clock = store, key_ring, clock

    def mute(self, owner: str, fingerprint: str, length: timedelta, muted_by: str) -> datetime:
        """Send an owner no message of a family for a while; return until when.

        What waits to be sent is not sent either.
        """
        until = self._clock() + length

        def change(connection: Connection) -> None:
            muted_families.mute(connection, owner, fingerprint, until, muted_by)
            deliveries.mute(connection, owner, fingerprint)

        self._store.write(change)
        return until

    def unmute(self, owner: str, fingerprint: str) -> None:
        """Send an owner messages of a family again."""
        self._store.write(lambda c: muted_families.unmute(c, owner, fingerprint))

    def path(self, owner: str, fingerprint: str) -> str:
        """Return the path of a link that mutes a family; whoever has it may."""
        ends_at = self._clock() + _LINK_LASTS
        token = self._key_ring.encrypt(_PURPOSE, owner, fingerprint, ends_at.isoformat())
        return f"/api/mute/{token.decode()}"

    def read(self, token: str) -> MuteLink:
        """Return what a link mutes.

        Raises:
            NoSuchLink: this service has not made it, or it is too old.
        """
        try:
            purpose, *values = self._key_ring.decrypt(token.encode())
        except (ConfigError, ValueError) as error:
            raise NoSuchLink from error
        if purpose != _PURPOSE or len(values) != 3:
            raise NoSuchLink
        owner, fingerprint, ends_at = values
        if datetime.fromisoformat(ends_at) < self._clock():
            raise NoSuchLink
        return MuteLink(owner=owner, fingerprint=fingerprint)

    def mute_by(self, link: MuteLink) -> datetime:
        """Mute what a link names; return until when."""
        return self.mute(link.owner, link.fingerprint, BY_LINK, "the link in a message")
