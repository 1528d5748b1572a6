"""Run the long work of copies, a few at a time, on threads of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from concurrent.futures import Executor
from threading import Event, Lock

import structlog

from tracker_service.archive.copying.progress import Progress
from tracker_service.archive.copying.tries import Tries, Work
from tracker_service.domain.copies import Copy, CopyReason
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.errors import GatewayError, StoreUnavailable
from tracker_service.identities import Identities

log = structlog.get_logger()

_QUEUED_PER_SLOT = 2  #: running and waiting: no slot is to stand empty until the next look


class Streams:
    """The threads through which whole logs pass.

    Args:
        executor: runs the work; its threads are the slots.
        slots: how many threads it has.
    """

    def __init__(
        self,
        executor: Executor,
        slots: int,
        identities: Identities,
        tries: Tries,
        progress: Progress,
    ) -> None:
        self._executor, self._slots, self._identities = executor, slots, identities
        self._tries, self._progress = tries, progress
        self._copies: dict[str, str] = {}  #: the owners of the copies that run or wait here
        self._waiting: list[tuple[Copy, Lease, Work]] = []
        self._running: Counter[str] = Counter()  #: by owner
        self._lock = Lock()
        self.stopping = Event()  #: set when running work has to break off

    @property
    def is_full(self) -> bool:
        """Whether no more work is taken now."""
        with self._lock:
            return len(self._copies) >= _QUEUED_PER_SLOT * self._slots

    def limit_reached(self, owner: str) -> Reason[CopyReason] | None:
        """Say why no more work of a user is taken now; None if there is room."""
        with self._lock:
            owned = sum(owner == each for each in self._copies.values())
            is_full = len(self._copies) >= _QUEUED_PER_SLOT * self._slots
        if owned < self._slots and not is_full:
            return None
        return Reason(CopyReason.NO_STREAM, f"{self._slots} logs are being copied already")

    @property
    def copies(self) -> Set[str]:
        """Return the ids of the copies whose work runs or waits here."""
        with self._lock:
            return frozenset(self._copies)

    def start(self, copy: Copy, lease: Lease, work: Work) -> None:
        """Do the work of a try on a free thread, as the user of the copy.

        One user has at most half of the threads while others wait, and never all of them.
        """
        with self._lock:
            self._copies[copy.id] = copy.owner
            self._waiting.append((copy, lease, work))
        self._executor.submit(self._run_next)

    def _run_next(self) -> None:
        with self._lock:
            place = self._next()
            if place is None:
                return  # the end of a copy of the same user calls again
            copy, lease, work = self._waiting.pop(place)
            self._running[copy.owner] += 1
        try:
            if not self.stopping.is_set():
                self._run_as_owner(copy, lease, work)
        finally:
            with self._lock:
                del self._copies[copy.id]
                self._running[copy.owner] -= 1
                is_held_back = bool(self._waiting) and not self.stopping.is_set()
            if is_held_back:
                self._executor.submit(self._run_next)

    def _next(self) -> int | None:
        """Return the place of the work that is next: users with half of the threads come last."""
        most = max(1, self._slots - max(1, self._slots // 4))
        places = [
            n for n, (copy, *_) in enumerate(self._waiting) if self._running[copy.owner] < most
        ]
        half = self._slots / 2
        return min(
            places,
            key=lambda n: self._running[self._waiting[n][0].owner] >= half,
            default=None,
        )

    def _run_as_owner(self, copy: Copy, lease: Lease, work: Work) -> None:
        try:
            with self._identities.acting_for(copy.owner) as access:
                self._tries.run(access, copy, lease, work)
        except GatewayError as error:
            self._progress.await_cluster([(copy, lease)], str(error))
        except StoreUnavailable as error:  # the next look finds it interrupted
            log.warning("store_unavailable", job=copy.job_id, copy=copy.id, reason=str(error))
        except Exception as error:
            self._tries.broke([(copy, lease)], error)

    def stop(self) -> None:
        """Make running work break off: another try does it again later."""
        self.stopping.set()
