"""Take hints from Oozie's notifications: with a token, that says for whom they come.

Whoever calls is not known, so nothing of what is said is believed: a notification can but advance
the next look at a job that the owner of the token tracks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from tracker_service.domain.jobs import JobId
from tracker_service.errors import NoSuchToken, NotAllowed
from tracker_service.identities.keys import KeyRing
from tracker_service.store import hints, notify_tokens
from tracker_service.store.database import Store
from tracker_service.store.notify_tokens import KeptNotifyToken

log = structlog.get_logger()

TOKENS_PER_USER = 10
_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that was just made, with what is told this once only."""

    kept: KeptNotifyToken
    token: str


class Notifications:
    """Makes and revokes tokens, and turns notifications that come with one into hints."""

    def __init__(self, store: Store, key_ring: KeyRing, clock: Callable[[], datetime]) -> None:
        self._store, self._key_ring, self._clock = store, key_ring, clock

    def new_token(self, owner: str) -> NewToken:
        """Make a token for a user.

        Raises:
            NotAllowed: the user has as many as one may have.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        kept = KeptNotifyToken(
            fingerprint=self._key_ring.token_fingerprints(token)[0],
            owner=owner,
            created_at=self._clock(),
            used_at=None,
        )
        with self._store.begin() as connection:
            if not notify_tokens.add(connection, kept, TOKENS_PER_USER):
                raise NotAllowed(
                    f"{owner} has {TOKENS_PER_USER} notification tokens, as many as one user may "
                    "have: use one of them, or revoke one first."
                )
        log.info("notify_token_made", user=owner, id=kept.id)
        return NewToken(kept=kept, token=token)

    def tokens(self, owner: str) -> list[KeptNotifyToken]:
        """Return what is known of a user's tokens."""
        with self._store.read() as connection:
            return notify_tokens.of_owner(connection, owner)

    def revoke(self, owner: str, token_id: str) -> None:
        """Let a token be worth nothing from now on.

        Raises:
            NoSuchToken: the user has none with this id.
        """
        with self._store.begin() as connection:
            if not notify_tokens.revoke(connection, owner, token_id):
                raise NoSuchToken(f"{owner} has no notification token {token_id}.")
        log.info("notify_token_revoked", user=owner, id=token_id)

    def owner(self, token: str) -> str:
        """Return for whom notifications with a token come.

        Raises:
            NoSuchToken: nobody has it.
        """
        with self._store.read() as connection:
            found = notify_tokens.find(connection, self._key_ring.token_fingerprints(token))
        if found is None:
            raise NoSuchToken
        now = self._clock()
        if notify_tokens.wants_note(found, now):
            with self._store.begin() as connection:
                notify_tokens.note_use(connection, found, now)
        return found.owner

    def hint(self, owner: str, job_id: JobId) -> bool:
        """Let a job be looked at soon, if this user tracks it.

        Returns:
            False if the user does not.
        """
        with self._store.read() as connection:
            meant = hints.open_to(connection, owner, job_id)
        # One that is there already has not been taken, so the look at the job is still to come.
        new = [task_id for task_id, is_hinted in meant.items() if not is_hinted]
        if new:
            with self._store.begin() as connection:
                hints.give(connection, new, self._clock())
        return bool(meant)
