"""Limit how many logs and lists are sent at once, so that slow readers leave threads for others."""

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
    """Counts the long answers that this process sends: half of its threads a user, most for all.

    Args:
        threads: of this process; a client that reads a long answer holds one.
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
            own, in_all = self._reading[user], self._reading.total()
            if own >= self._per_user:
                raise _too_many(f"{own} logs and lists are being sent to you already: read these")
            if in_all >= self._in_all:
                raise _too_many(f"{in_all} logs and lists are being sent already: try again later")
            self._reading[user] += 1

    def _leave(self, user: str) -> None:
        with self._lock:
            self._reading[user] -= 1
            if not self._reading[user]:
                del self._reading[user]


def _too_many(text: str) -> TooManyRequests:
    return TooManyRequests(f"{text}.", retry_after_s=_RETRY_AFTER_S)
