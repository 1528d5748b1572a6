"""Limit the requests of one user, so that nobody takes more than a fair share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from tracker_service.errors import TooManyRequests
from tracker_service.store import rate_limits
from tracker_service.store.database import Store

REQUESTS, NOTIFICATIONS = "requests", "notifications"
_ADVICE = {
    REQUESTS: "Many jobs can be posted with one request, and /api/jobs/tracking tells about all "
    "of them.",
    NOTIFICATIONS: "Nothing is lost: the jobs are asked about as usual.",
}
_BLOCKS_PER_MINUTE = 60
_BLOCK_LIFE = timedelta(seconds=10)
_KEPT_BLOCKS = 10_000


class RateLimit:
    """Limits the requests of one sort that a user makes in a minute, over all processes.

    Each process takes requests from the database in small blocks, so that a request seldom waits
    for the database. The rest of a block is lost after 10 s.
    """

    def __init__(
        self, store: Store, per_minute: int, clock: Callable[[], datetime], of: str = REQUESTS
    ) -> None:
        self._store, self._per_minute, self._clock = store, per_minute, clock
        self._of = of
        self._block = max(1, per_minute // _BLOCKS_PER_MINUTE)
        self._blocks: dict[str, tuple[int, datetime]] = {}
        self._lock = Lock()

    def spend(self, owner: str) -> None:
        """Spend one request of a user.

        Raises:
            TooManyRequests: none is left; says in how many seconds there is one.
        """
        now = self._clock()
        if self._spend_of_block(owner, now):
            return
        account = self._account(owner)
        taken, wait = self._store.write(
            lambda connection: rate_limits.take(
                connection, account, now, self._per_minute, self._block
            )
        )
        if not taken:
            seconds = math.ceil(wait.total_seconds())
            raise TooManyRequests(
                f"{owner} has made more than {self._per_minute} {self._of} in a minute: wait "
                f"{seconds} s. {_ADVICE[self._of]}",
                retry_after_s=seconds,
            )
        with self._lock:
            self._blocks[owner] = (taken - 1, now + _BLOCK_LIFE)
            if len(self._blocks) > _KEPT_BLOCKS:
                self._blocks = {o: b for o, b in self._blocks.items() if b[1] > now}

    def _account(self, owner: str) -> str:
        """Return the key of the count: the user for requests, else a hash, which always fits."""
        if self._of == REQUESTS:
            return owner
        return hashlib.sha256(f"{self._of} {owner}".encode()).hexdigest()

    def _spend_of_block(self, owner: str, now: datetime) -> bool:
        with self._lock:
            left, until = self._blocks.get(owner, (0, now))
            if left <= 0 or until <= now:
                return False
            self._blocks[owner] = (left - 1, until)
            return True
