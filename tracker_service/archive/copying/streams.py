"""Run the long work of copies, a few at a time, on threads of their own."""

from __future__ import annotations

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
        self._copies: set[str] = set()
        self._lock = Lock()
        self.stopping = Event()  #: set when running work has to break off

    @property
    def limit_reached(self) -> Reason[CopyReason] | None:
        """Say why no more work is taken now; None if there is a free slot."""
        with self._lock:
            is_full = len(self._copies) >= _QUEUED_PER_SLOT * self._slots
        text = f"{self._slots} logs are being copied already"
        return Reason(CopyReason.NO_STREAM, text) if is_full else None

    @property
    def copies(self) -> Set[str]:
        """Return the ids of the copies whose work runs or waits here."""
        with self._lock:
            return frozenset(self._copies)

    def start(self, copy: Copy, lease: Lease, work: Work) -> None:
        """Do the work of a try on a free thread, as the user of the copy."""
        with self._lock:
            self._copies.add(copy.id)
        self._executor.submit(self._run, copy, lease, work)

    def _run(self, copy: Copy, lease: Lease, work: Work) -> None:
        try:
            if not self.stopping.is_set():
                self._run_as_owner(copy, lease, work)
        finally:
            with self._lock:
                self._copies.discard(copy.id)

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
