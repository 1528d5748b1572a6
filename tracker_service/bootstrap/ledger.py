"""Build the ledgers that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client.registry import Collector

from tracker_service.domain.ledger import Scope, Transitions
from tracker_service.engine.clock import Clock
from tracker_service.ledger.calls import JobCalls, OpenLedger
from tracker_service.ledger.counts import GardenerCounts, GardenerLevels
from tracker_service.ledger.ledger import Ledger, Rules
from tracker_service.ledger.next_jobs import NextJobs
from tracker_service.ledger.sources import load_sources
from tracker_service.ledger.writers import WriterKey, Writers
from tracker_service.metrics import Metrics
from tracker_service.settings.ledger import (
    DEFAULT,
    LedgerSettings,
    OneLedgerSettings,
    WriterKeySettings,
)
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store
from tracker_service.store.ledger_jobs import InFlight


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledgers:
    """The ledgers of one process."""

    by_name: Mapping[str, OpenLedger]
    writers: Writers
    calls: JobCalls
    counts: GardenerCounts
    levels: Sequence[Collector]


def build_ledgers(
    settings: LedgerSettings, store: Store, metrics: Metrics, clock: Clock
) -> Ledgers | None:
    """Build the ledgers; None if they are not enabled.

    Raises:
        ConfigError: a file of sources cannot be used.
    """
    if not settings.enabled:
        return None
    counts = GardenerCounts(metrics.registry)
    by_name = {name: _open(name, one, store, counts, clock) for name, one in settings.all.items()}
    writers = _writers(settings)
    services = [opened.next_jobs.service for opened in by_name.values() if opened.next_jobs]
    sources = [(s.experiment, s.datatype) for service in services for s in service.sources]
    return Ledgers(
        by_name=by_name,
        writers=writers,
        calls=JobCalls(store, by_name, DEFAULT, writers),
        counts=counts,
        levels=(GardenerLevels(partial(_in_flight, store), sources),),
    )


def _open(
    name: str, settings: OneLedgerSettings, store: Store, counts: GardenerCounts, clock: Clock
) -> OpenLedger:
    ledger = Ledger(store, name, rules_of(settings), counts, clock)
    if settings.config is None:
        return OpenLedger(ledger, None)
    storage = None
    if settings.storage:
        # Imported here: few ledgers look for files, and fsspec is an extra.
        from tracker_service.ledger.storage import FileStorage  # noqa: PLC0415

        storage = FileStorage(settings.storage, settings.storage_options)
    service = load_sources(settings.config)
    return OpenLedger(ledger, NextJobs(store, ledger, service, storage))


def rules_of(settings: OneLedgerSettings) -> Rules:
    """Return the rules of a ledger."""
    return Rules(
        transitions=Transitions(settings.states),
        expiration=settings.expiration or None,
        cleanup_delay=settings.cleanup_delay,
        heartbeats_count=settings.heartbeats_postpone_expiry,
    )


def _writers(settings: LedgerSettings) -> Writers:
    keys = [w for w in settings.writers if isinstance(w, WriterKeySettings)]
    networks = [w for w in settings.writers if not isinstance(w, WriterKeySettings)]
    return Writers(
        networks,
        [
            WriterKey(
                name=key.name,
                sha256=key.sha256,
                ledger=key.ledger,
                scope=Scope(key.experiment, key.datatype),
            )
            for key in keys
        ],
    )


def _in_flight(store: Store) -> list[InFlight]:
    with store.read() as connection:
        return ledger_jobs.in_flight(connection)
