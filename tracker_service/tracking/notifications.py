"""Turn Oozie's notifications into hints; a token in the URL identifies the user.

The caller is not verified, so the tracker believes nothing else in a notification. It only checks
a job sooner, and only one that the owner of the token tracks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from tracker_service.domain.jobs import JobId, JobType, coordinator_of, type_of
from tracker_service.errors import NoSuchToken, NotAllowed
from tracker_service.identities.keys import KeyRing
from tracker_service.store import children, hints, notify_tokens
from tracker_service.store.database import Store
from tracker_service.store.notify_tokens import KeptNotifyToken

log = structlog.get_logger()

TOKENS_PER_USER = 10
_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A new token; only now is the token itself shown."""

    kept: KeptNotifyToken
    token: str


class Notifications:
    """Makes and revokes notification tokens, and turns notifications with a token into hints."""

    def __init__(self, store: Store, key_ring: KeyRing, clock: Callable[[], datetime]) -> None:
        self._store, self._key_ring, self._clock = store, key_ring, clock

    def new_token(self, owner: str) -> NewToken:
        """Make a token for a user.

        Raises:
            NotAllowed: the user has `TOKENS_PER_USER` tokens.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        kept = KeptNotifyToken(
            fingerprint=self._key_ring.token_fingerprints(token)[0],
            owner=owner,
            created_at=self._clock(),
            used_at=None,
        )
        if not self._store.write(lambda c: notify_tokens.add(c, kept, TOKENS_PER_USER)):
            raise NotAllowed(
                f"{owner} has {TOKENS_PER_USER} notification tokens, as many as one user may "
                "have: use one of them, or revoke one first."
            )
        log.info("notify_token_made", user=owner, id=kept.id)
        return NewToken(kept=kept, token=token)

    def tokens(self, owner: str) -> list[KeptNotifyToken]:
        """Return a user's tokens, without their secret parts."""
        with self._store.read() as connection:
            return notify_tokens.of_owner(connection, owner)

    def revoke(self, owner: str, token_id: str) -> None:
        """Revoke a token: notifications with it are refused from now on.

        Raises:
            NoSuchToken: the user has no token with this id.
        """
        if not self._store.write(lambda c: notify_tokens.revoke(c, owner, token_id)):
            raise NoSuchToken(f"{owner} has no notification token {token_id}.")
        log.info("notify_token_revoked", user=owner, id=token_id)

    def owner(self, token: str) -> str:
        """Return the user who owns a token.

        Raises:
            NoSuchToken: there is no such token.
        """
        with self._store.read() as connection:
            found = notify_tokens.find(connection, self._key_ring.token_fingerprints(token))
        if found is None:
            raise NoSuchToken
        now = self._clock()
        if notify_tokens.wants_note(found, now):
            self._store.write(lambda connection: notify_tokens.note_use(connection, found, now))
        return found.owner

    def hint(self, owner: str, job_id: JobId) -> bool:
        """Have a job checked soon, if this user tracks it.

        Args:
            job_id: of an action of a coordinator, its coordinator and its workflow are checked too.

        Returns:
            whether the user tracks the job.
        """
        with self._store.read() as connection:
            ids = [job_id]
            if type_of(job_id) == JobType.COORDINATOR_ACTION:
                ids += [coordinator_of(job_id), *children.statuses(connection, owner, job_id)]
            hinted = dict[int, bool]()
            for each in ids:
                hinted |= hints.tasks_to_hint(connection, owner, each)
        # A task that has a hint needs no other: its job will be checked.
        new = [task_id for task_id, is_hinted in hinted.items() if not is_hinted]
        if new:
            self._store.write(lambda connection: hints.add(connection, new, self._clock()))
        return bool(hinted)
