"""Limit wrong credentials per user name, per peer and over all, so that nobody is locked out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from threading import Lock

from tracker_service.domain.users import folded
from tracker_service.errors import GatewayUnavailable, TooManyRequests
from tracker_service.store import failed_logins
from tracker_service.store.database import Connection, Store
from tracker_service.store.failed_logins import LoginAttempt

_KEPT_NAMES = 10_000  #: names without a try left that one process remembers
_PER_PEER, _IN_ALL = 30, 300  #: in a minute, whatever names they are for
_OF_ONE_CLIENT = 64  #: bits of an IPv6 address; a client chooses the others (RFC 4291, section 2.5)


@dataclass(frozen=True, slots=True)
class _Count:
    """Attempts that are counted together."""

    key: str
    most: int
    of: str  #: for people


class FailedLogins:
    """Counts the wrong credentials of each user name, of each peer and of all, over all processes.

    Directories lock an account after some wrong passwords. This service passes on at most three
    a minute for each name, however it is spelled. A peer whose guesses have spent them leaves one
    more to a peer that has not guessed, so that the user gets in. A token has no name until it is
    verified. A credential that was right lately is not counted until the gateway refuses it.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._none_left: dict[str, datetime] = {}  #: by key: when the next try is free
        self._lock = Lock()

    @contextmanager
    def counted(self, user: str | None, peer: str) -> Iterator[None]:
        """Count one wrong try, unless the block succeeds or the gateway does not answer.

        Args:
            user: the name that a password came with; None for a token.
            peer: the address that the request came from.

        Raises:
            TooManyRequests: there were as many wrong ones in the last minute as there may be; says
                how long to wait.
        """
        attempts = self._taken(user, peer)
        try:
            yield
        except GatewayUnavailable:
            self._give_back(attempts)
            raise
        self._give_back(attempts)

    def wrong(self, user: str | None) -> None:
        """Count a credential that was right lately and is refused now."""
        if user is not None:
            self._store.write(lambda c: failed_logins.take(c, _by_name(user).key, self._clock()))

    def _taken(self, user: str | None, peer: str) -> list[LoginAttempt]:
        now, peer = self._clock(), _client(peer)
        counts = [_Count(_key(f"peer {peer}"), _PER_PEER, "from your address")]
        counts.append(_Count(_key("all of them"), _IN_ALL, "of all users"))
        self._refuse_known(counts, now)
        if user is None:
            return self._take(counts, now)
        name = _by_name(user)
        newcomer = _Count(_key(f"{folded(user)} newcomer {peer}"), 1, name.of)
        spare = _Count(_key(f"{folded(user)} spare one"), 1, name.of)
        try:
            self._refuse_known([name], now)
            return self._take([*counts, name, newcomer], now, may_lack=newcomer)
        except TooManyRequests as refused:
            try:
                return self._take([*counts, newcomer, spare], now)
            except TooManyRequests:
                raise refused from None

    def _refuse_known(self, counts: list[_Count], now: datetime) -> None:
        """Refuse without the database what was refused just now."""
        for count in counts:
            with self._lock:
                free_at = self._none_left.get(count.key)
            # No attempt is free later than twice its life, unless the clock was set back.
            if free_at is not None and now < free_at <= now + 2 * failed_logins.LIFE:
                raise _too_many(count, free_at, now)

    def _take(
        self, counts: list[_Count], now: datetime, may_lack: _Count | None = None
    ) -> list[LoginAttempt]:
        """Take an attempt of each count, or of none."""

        def take_all(connection: Connection) -> list[LoginAttempt] | tuple[_Count, datetime]:
            taken: list[LoginAttempt] = []
            for count in counts:
                found = failed_logins.take(connection, count.key, now, count.most)
                if isinstance(found, LoginAttempt):
                    taken.append(found)
                elif count is not may_lack:
                    for attempt in taken:
                        failed_logins.give_back(connection, attempt)
                    return count, found
            return taken

        found = self._store.write(take_all)
        if isinstance(found, list):
            return found
        count, free_at = found
        self._remember(count.key, free_at, now)
        raise _too_many(count, free_at, now)

    def _remember(self, key: str, free_at: datetime, now: datetime) -> None:
        with self._lock:
            if len(self._none_left) >= _KEPT_NAMES:
                self._none_left = {n: at for n, at in self._none_left.items() if at > now}
            if len(self._none_left) < _KEPT_NAMES:
                self._none_left[key] = free_at

    def _give_back(self, attempts: list[LoginAttempt]) -> None:
        def give_all(connection: Connection) -> None:
            for attempt in attempts:
                failed_logins.give_back(connection, attempt)

        self._store.write(give_all)


def _too_many(count: _Count, free_at: datetime, now: datetime) -> TooManyRequests:
    seconds = max(1, math.ceil((free_at - now).total_seconds()))
    return TooManyRequests(
        f"There were {count.most} wrong credentials {count.of} within a minute: wait {seconds} s, "
        "then send the right ones.",
        retry_after_s=seconds,
    )


def _client(peer: str) -> str:
    """Return the part of an address that its client has not chosen."""
    try:
        address = ip_address(peer)
    except ValueError:  # of a Unix socket
        return peer
    if not isinstance(address, IPv6Address):
        return peer
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(int(address) >> (128 - _OF_ONE_CLIENT))


def _by_name(user: str) -> _Count:
    return _Count(_key(folded(user)), failed_logins.MAX_PER_MINUTE, f"of {user[:64]}")


def _key(counted: str) -> str:
    return hashlib.sha256(counted.encode(errors="replace")).hexdigest()
