"""Limit how many logs are sent at once, so that slow readers leave threads for others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from threading import Lock

from flask import Response

from tracker_service.domain.users import folded
from tracker_service.errors import TooManyRequests

_RETRY_AFTER_S = 2


class ReadLimits:
    """Counts the logs that this process sends: half of its threads for one user, most for all.

    Args:
        threads: of this process; a client that reads a log holds one.
    """

    def __init__(self, threads: int) -> None:
        self._per_user, self._in_all = max(1, threads // 2), max(1, threads - threads // 8)
        self._lock = Lock()
        self._reading: Counter[str] = Counter()

    def sent(self, user: str, answer: Callable[[], Response]) -> Response:
        """Return an answer that counts until it is sent or its reader has gone.

        Raises:
            TooManyRequests: as many are being sent as may be.
        """
        user = folded(user)
        self._enter(user)
        leave = partial(self._leave, user)
        try:
            response = answer()
        except BaseException:
            leave()
            raise
        response.call_on_close(leave)
        return response

    def _enter(self, user: str) -> None:
        with self._lock:
            own, all_of_them = self._reading[user], self._reading.total()
            if own >= self._per_user:
                text = f"{own} logs are being sent to you already: read them to their end first."
                raise TooManyRequests(text, retry_after_s=_RETRY_AFTER_S)
            if all_of_them >= self._in_all:
                text = f"{all_of_them} logs are being sent already: try again in a moment."
                raise TooManyRequests(text, retry_after_s=_RETRY_AFTER_S)
            self._reading[user] += 1

    def _leave(self, user: str) -> None:
        with self._lock:
            self._reading[user] -= 1
            if not self._reading[user]:
                del self._reading[user]
