"""Let few wrong credentials of one user name reach the gateway, so that nobody is locked out."""

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

_KEPT_NAMES = 10_000  #: that are known to have none left, in one process


class FailedLogins:
    """Counts the wrong credentials of each user name, over all processes.

    Directories lock users out after some wrong passwords: through this service at most three in
    any minute come there. What was right lately is not counted before it is found to be wrong, so
    that somebody else's tries keep no verified user out.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._none_left: dict[str, datetime] = {}  #: until when
        self._lock = Lock()

    @contextmanager
    def counted(self, user: str) -> Iterator[None]:
        """Count one try, unless the block finds that it was none: right, or not answered.

        Raises:
            TooManyRequests: there were three wrong ones in the last minute; says how long to wait.
        """
        mine = self._taken(_name(user), user)
        try:
            yield
        except GatewayUnavailable:
            self._give_back(mine)
            raise
        self._give_back(mine)

    def wrong(self, user: str) -> None:
        """Count what was right lately and is wrong now."""
        with self._store.begin() as connection:
            failed_logins.take(connection, _name(user), self._clock())

    def _taken(self, name: str, user: str) -> failed_logins.LoginAttempt:
        now = self._clock()
        with self._lock:
            free_at = self._none_left.get(name)
        if free_at is None or free_at <= now:
            with self._store.begin() as connection:
                found = failed_logins.take(connection, name, now)
            if isinstance(found, failed_logins.LoginAttempt):
                return found
            self._remember(name, free_at := found, now)
        seconds = max(1, math.ceil((free_at - now).total_seconds()))
        raise TooManyRequests(
            f"There were {failed_logins.MOST} wrong credentials of {user[:64]} within a minute: "
            f"wait {seconds} s, then send the right ones.",
            retry_after_s=seconds,
        )

    def _remember(self, name: str, free_at: datetime, now: datetime) -> None:
        with self._lock:
            if len(self._none_left) >= _KEPT_NAMES:
                self._none_left = {n: at for n, at in self._none_left.items() if at > now}
            if len(self._none_left) < _KEPT_NAMES:
                self._none_left[name] = free_at

    def _give_back(self, mine: failed_logins.LoginAttempt) -> None:
        with self._store.begin() as connection:
            failed_logins.give_back(connection, mine)


def _name(user: str) -> str:
    """Return under which name a user's tries are counted: LDAP compares without case."""
    return hashlib.sha256(user.lower().encode()).hexdigest()
