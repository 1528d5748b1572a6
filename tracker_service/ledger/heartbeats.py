"""Gather heartbeats, and write them together within a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from threading import Lock, Thread

import structlog

from tracker_service.domain.ledger import Scope
from tracker_service.engine.clock import Clock
from tracker_service.errors import LedgerJobNotFound, OutOfScope, StoreUnavailable
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store

log = structlog.get_logger()

_WRITE_AFTER_S = 0.5


class Heartbeats:
    """The last heartbeats of the jobs of a ledger, one for each job, until they are written."""

    def __init__(self, store: Store, ledger: str, clock: Clock) -> None:
        self._store, self._ledger, self._clock = store, ledger, clock
        self._beats: dict[str, datetime] = {}
        self._lock = Lock()
        self._writer: Thread | None = None  # of those that are gathered now

    def beat(
        self, beats: Sequence[tuple[str, Scope]]
    ) -> list[LedgerJobNotFound | OutOfScope | None]:
        """Note heartbeats, and return for each why it was refused, or None."""
        with self._store.read() as connection:
            known = ledger_jobs.known(connection, self._ledger, {key for key, _ in beats})
        now, outcomes = self._clock(), list[LedgerJobNotFound | OutOfScope | None]()
        noted: dict[str, datetime] = {}
        for key, scope in beats:
            if key not in known:
                outcomes.append(LedgerJobNotFound(f"there is no job {key}"))
            elif not scope.covers(*known[key]):
                outcomes.append(OutOfScope(f"this key may not report {key}"))
            else:
                noted[key] = now
                outcomes.append(None)
        with self._lock:
            self._beats |= noted
            if noted and self._writer is None:
                self._writer = Thread(target=self._write_later, name="heartbeats", daemon=True)
                self._writer.start()
        return outcomes

    def write(self) -> None:
        """Write what was gathered; after a failure it is kept for the next time.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with self._lock:
            beats, self._beats = self._beats, {}
        try:
            self._store.write(lambda c: ledger_jobs.beat(c, self._ledger, beats))
        except StoreUnavailable:
            with self._lock:
                self._beats = beats | self._beats
            raise

    def _write_later(self) -> None:
        """Write in a moment what is gathered until then; the next heartbeat begins anew.

        After a failure the heartbeats go with the next ones: they carry no state.
        """
        time.sleep(_WRITE_AFTER_S)
        with self._lock:
            self._writer = None
        try:
            self.write()
        except StoreUnavailable as error:
            log.warning("heartbeats_not_written", ledger=self._ledger, reason=str(error))
