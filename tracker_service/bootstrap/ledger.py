"""Build the ledgers that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from prometheus_client.registry import Collector

from tracker_service.bootstrap.foundation import Foundation
from tracker_service.bootstrap.reading import build_causes, build_lookup
from tracker_service.domain.ledger import Scope, Transitions
from tracker_service.engine.clock import Clock
from tracker_service.engine.duties import Duty
from tracker_service.ledger.actions import Nothing, RunWorkflow, Webhook, Workflows
from tracker_service.ledger.calls import JobCalls, OpenLedger
from tracker_service.ledger.counts import GardenerCounts, GardenerLevels
from tracker_service.ledger.duties import duties
from tracker_service.ledger.ledger import Ledger, Rules
from tracker_service.ledger.next_jobs import NextJobs
from tracker_service.ledger.post_processing import Action, PostProcessing, Step
from tracker_service.ledger.sources import load_sources
from tracker_service.ledger.writers import WriterKey, Writers
from tracker_service.metrics import Metrics
from tracker_service.settings import Settings
from tracker_service.settings.ledger import (
    DEFAULT,
    ActionSettings,
    LedgerSettings,
    OneLedgerSettings,
    WriterKeySettings,
)
from tracker_service.sources.credentials import BasicCredential
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store
from tracker_service.store.ledger_jobs import InFlight
from tracker_service.tracking.intake import Intake
from tracker_service.tracking.workflows import TrackedWorkflows


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


def build_ledger_duties(base: Foundation, executor: Executor) -> list[Duty]:
    """Build what every worker does for the ledgers.

    Raises:
        ConfigError: a setting cannot be used.
    """
    settings = base.settings
    ledgers = build_ledgers(settings.ledger, base.store, base.metrics, base.clock)
    if ledgers is None:
        return []
    workflows = _workflows(base)
    processing = [
        PostProcessing(
            base.store,
            ledgers.by_name[name].ledger,
            {state: _step(state, action, workflows) for state, action in one.actions.items()},
            ledgers.counts,
            executor,
        )
        for name, one in settings.ledger.all.items()
        if one.actions
    ]
    opened = [opened.ledger for opened in ledgers.by_name.values()]
    kept_for = timedelta(hours=settings.store.keep_jobs_h)
    return duties(base.store, opened, processing, kept_for=kept_for)


def _workflows(base: Foundation) -> Workflows:
    lookup = build_lookup(base)
    return TrackedWorkflows(
        base.identities,
        Intake(base.store, base.identities, base.clock),
        lookup,
        build_causes(base, lookup),
        _credential(base.settings),
        base.clock,
    )


def _credential(settings: Settings) -> BasicCredential | str | None:
    """Return as whom workflows are started: with Kerberos, the name is enough."""
    ledger, gateway = settings.ledger, settings.gateway
    user, file = ledger.user, ledger.password_file
    if user is None:
        user, file = gateway.polling_user, gateway.polling_password_file
    if user is None or gateway.is_direct:
        return user
    return BasicCredential(user, file.read_text().rstrip("\r\n")) if file else None


def _step(state: str, settings: ActionSettings, workflows: Workflows) -> Step:
    action: Action = Nothing()
    if settings.workflow is not None:
        action = RunWorkflow(workflows, settings.workflow)
    elif settings.webhook is not None:
        action = Webhook(str(settings.webhook))
    return Step(
        action=action,
        name=state,
        next=settings.next,
        retry_after_s=settings.retry_after.total_seconds(),
        waits_for=settings.waits_for,
    )


def rules_of(settings: OneLedgerSettings) -> Rules:
    """Return the rules of a ledger."""
    return Rules(
        transitions=Transitions(settings.states),
        expiration=settings.expiration or None,
        cleanup_delay=settings.cleanup_delay,
        heartbeats_count=settings.heartbeats_postpone_expiry,
        announced=frozenset(settings.events),
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
