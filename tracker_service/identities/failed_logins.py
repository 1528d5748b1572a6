"""Limit wrong credentials per user name, so that the directory locks nobody out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock

from tracker_service.errors import GatewayUnavailable, TooManyRequests
from tracker_service.store import failed_logins
from tracker_service.store.database import Store

_KEPT_NAMES = 10_000  #: names without a try left that one process remembers


class FailedLogins:
    """Counts the wrong credentials of each user name, over all processes.

    Directories lock an account after some wrong passwords. This service passes on at most three
    a minute for each name. A credential that was right lately is not counted until the gateway
    refuses it, so that somebody else's guesses do not keep a verified user out.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._none_left: dict[str, datetime] = {}  #: by name: when the next try is free
        self._lock = Lock()

    @contextmanager
    def counted(self, user: str) -> Iterator[None]:
        """Count one wrong try, unless the block succeeds or the gateway does not answer.

        Raises:
            TooManyRequests: there were three wrong ones in the last minute; says how long to wait.
        """
        attempt = self._taken(_name(user), user)
        try:
            yield
        except GatewayUnavailable:
            self._give_back(attempt)
            raise
        self._give_back(attempt)

    def wrong(self, user: str) -> None:
        """Count a credential that was right lately and is refused now."""
        self._store.write(lambda c: failed_logins.take(c, _name(user), self._clock()))

    def _taken(self, name: str, user: str) -> failed_logins.LoginAttempt:
        now = self._clock()
        with self._lock:
            free_at = self._none_left.get(name)
        # No attempt is free later than twice its life, unless the clock was set back.
        if free_at is None or not now < free_at <= now + 2 * failed_logins.LIFE:
            found = self._store.write(lambda c: failed_logins.take(c, name, now))
            if isinstance(found, failed_logins.LoginAttempt):
                return found
            self._remember(name, free_at := found, now)
        seconds = max(1, math.ceil((free_at - now).total_seconds()))
        raise TooManyRequests(
            f"There were {failed_logins.MAX_PER_MINUTE} wrong credentials of {user[:64]} within a "
            f"minute: wait {seconds} s, then send the right ones.",
            retry_after_s=seconds,
        )

    def _remember(self, name: str, free_at: datetime, now: datetime) -> None:
        with self._lock:
            if len(self._none_left) >= _KEPT_NAMES:
                self._none_left = {n: at for n, at in self._none_left.items() if at > now}
            if len(self._none_left) < _KEPT_NAMES:
                self._none_left[name] = free_at

    def _give_back(self, attempt: failed_logins.LoginAttempt) -> None:
        self._store.write(lambda connection: failed_logins.give_back(connection, attempt))


def _name(user: str) -> str:
    """Return the key of a user's count: a hash, without case, because LDAP ignores case."""
    return hashlib.sha256(user.lower().encode()).hexdigest()
