"""Build everything from the settings, in one place; the rest gets what it needs by constructor."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
import urllib3

from tracker_service.api.rate_limit import RateLimit
from tracker_service.archive.copying.aggregation import Aggregation
from tracker_service.archive.copying.copier import Copier
from tracker_service.archive.copying.log_files import LogFileFinder
from tracker_service.archive.copying.progress import CopyLimits, Progress
from tracker_service.archive.copying.steps import Steps
from tracker_service.archive.copying.streams import Streams
from tracker_service.archive.copying.ways import Chooser
from tracker_service.archive.copying.workflow_copy import WorkflowOptions
from tracker_service.archive.copying.workflow_watch import WorkflowWatch
from tracker_service.archive.expiry import Expiry
from tracker_service.archive.manifest import write_manifest
from tracker_service.archive.removal import Removal
from tracker_service.causes.rules import load_rules
from tracker_service.causes.verdict import cause_of
from tracker_service.identities import (
    ActingService,
    Callers,
    Identities,
    KeptCredentials,
    ServiceIdentity,
)
from tracker_service.identities.keys import KeyRing
from tracker_service.metrics import Metrics
from tracker_service.redaction.masking import hidden
from tracker_service.redaction.secrets import Secrets
from tracker_service.settings import CopySettings, GatewaySettings, Settings
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential, Credential
from tracker_service.sources.gateway import AccessPool
from tracker_service.sources.protection import Protection
from tracker_service.sources.route import cluster_route
from tracker_service.sources.tokens import TokenKeys
from tracker_service.store.database import Store
from tracker_service.tracking.causes import Causes
from tracker_service.tracking.completion import Completion
from tracker_service.tracking.hints import Hints
from tracker_service.tracking.intake import Intake
from tracker_service.tracking.lookup import Lookup
from tracker_service.tracking.notifications import Notifications
from tracker_service.tracking.places import Pace, Places
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.reruns import Reruns
from tracker_service.tracking.schedule import Schedule
from tracker_service.worker import Duties, Worker

log = structlog.get_logger()

Clock = Callable[[], datetime]

_REQUESTS_IN_A_BATCH = 5  #: what a worker asks about in one go, before others have their turn


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the API is made of."""

    settings: Settings
    store: Store
    identities: Identities
    intake: Intake
    lookup: Lookup
    causes: Causes
    removal: Removal
    notifications: Notifications
    allowance: RateLimit
    metrics: Metrics
    clock: Clock


def build_service(settings: Settings, clock: Clock = utc_now) -> Service:
    """Build what the API needs.

    Raises:
        ConfigError: a setting cannot be used.
    """
    metrics = Metrics()
    store = Store(settings.store_url)
    identities = _identities(settings, store, metrics, clock)
    lookup = Lookup(
        store,
        identities,
        timedelta(hours=settings.polling.listed_h),
        timedelta(hours=settings.copying.retention_h),
        clock,
    )
    conclude = partial(cause_of, rules=load_rules(settings.copying.cause_rules))
    return Service(
        settings=settings,
        store=store,
        identities=identities,
        intake=Intake(store, identities, clock),
        lookup=lookup,
        causes=Causes(store, lookup, conclude, clock),
        removal=Removal(store, clock),
        notifications=Notifications(store, KeyRing(settings.key_file), clock),
        allowance=RateLimit(store, settings.serve.requests_per_minute, clock),
        metrics=metrics,
        clock=clock,
    )


def build_worker(settings: Settings, clock: Clock = utc_now) -> Worker:
    """Build a worker.

    Raises:
        ConfigError: a setting cannot be used.
    """
    metrics = Metrics()
    store = Store(settings.store_url, metrics.lease_lost)
    identities = _identities(settings, store, metrics, clock)
    polling, copying = settings.polling, settings.copying
    schedule = Schedule(
        polling.interval_s,
        polling.max_interval_s,
        random.Random(),  # noqa: S311
        asked_as=identities.asked_as,
        batch_size=_REQUESTS_IN_A_BATCH * polling.ids_per_request,
    )
    # Polling waits its turn; callers' requests never do.
    pace = Pace(settings.gateway.requests_per_s)
    places = Places(settings.worker.threads, pace.wait)
    # Polls and copies have threads of their own: long copies are not to make states old.
    pollers = ThreadPoolExecutor(settings.worker.threads, "poll")
    closer = ThreadPoolExecutor(settings.worker.threads, "details")
    copiers = ThreadPoolExecutor(settings.worker.threads, "copy")
    streamers = ThreadPoolExecutor(copying.streams, "stream")
    finder = LogFileFinder(copying.log_directories)
    progress = Progress(store, _limits(copying), clock)
    streams = Streams(streamers, copying.streams)
    retention = timedelta(hours=copying.retention_h)
    rules = load_rules(copying.cause_rules)
    conclude = partial(cause_of, rules=rules)
    steps = Steps(
        store,
        Aggregation(finder, copying.aggregation_deadline_s, clock),
        Chooser(
            finder, copying.strategy, copying.direct_limit, retention, _secrets(copying), clock
        ),
        progress,
        WorkflowWatch(progress, _workflow_options(copying), clock),
        streams,
        rules,
        clock,
    )
    copier = Copier(store, identities, copiers, streams, steps, progress, clock)
    kept_for = timedelta(hours=copying.keep_copies_h) if copying.keep_copies_h else None
    reruns = Reruns(
        store,
        identities,
        pollers,
        clock,
        every_s=polling.rerun_look_s,
        watched_for=timedelta(hours=polling.rerun_watch_h),
    )
    duties = Duties(
        schedule=schedule,
        places=places,
        share_pace=pace.share,
        poller=Poller(store, identities, schedule, (pollers, closer), clock, places),
        hints=Hints(store, schedule, reruns),
        completion=Completion(store, identities, copiers, write_manifest, conclude, clock),
        copier=copier,
        expiry=Expiry(store, identities, kept_for, clock),
        reruns=reruns,
    )
    return Worker(
        store, duties, [pollers, closer, copiers, streamers], settings.worker.lease_s, clock
    )


def _identities(settings: Settings, store: Store, metrics: Metrics, clock: Clock) -> Identities:
    if settings.gateway.is_plain_http_over_a_network:
        log.warning("gateway_without_tls", url=settings.gateway.base, risk="passwords can be read")
    if not settings.gateway.verify:
        log.warning(
            "gateway_not_verified",
            url=settings.gateway.base,
            risk="anybody in between reads passwords and logs",
        )
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    reached = cluster_route(
        settings,
        metrics.gateway_request,
        Protection(settings.gateway.max_concurrent, metrics.gateway_circuit),
    )

    secrets = _secrets(settings.copying)
    hide = partial(hidden, secrets) if secrets else str

    def open_access(credential: Credential) -> ClusterAccess:
        return ClusterAccess(reached, credential, settings.polling.ids_per_request, hide)

    key_ring, pool = KeyRing(settings.key_file), AccessPool(open_access)
    callers = Callers(
        store,
        key_ring,
        pool,
        clock,
        exchanges=settings.gateway.background == "token",
        keys=_token_keys(settings.gateway),
        is_on_behalf=settings.gateway.is_direct,
    )
    is_direct = settings.gateway.is_direct
    kept = ActingService(pool) if is_direct else KeptCredentials(store, key_ring, pool, clock)
    polling = _polling_credential(settings.gateway)
    service = ServiceIdentity(pool, polling, clock) if polling else None
    return Identities(callers, kept, pool, settings.gateway.base, service)


def _token_keys(gateway: GatewaySettings) -> TokenKeys | None:
    return TokenKeys(gateway.token_keys, gateway.ca_file) if gateway.token_keys else None


def _polling_credential(gateway: GatewaySettings) -> BasicCredential | None:
    if gateway.polling_user is None or gateway.polling_password_file is None:
        return None
    password = gateway.polling_password_file.read_text().rstrip("\r\n")
    return BasicCredential(gateway.polling_user, password)


def _limits(copying: CopySettings) -> CopyLimits:
    return CopyLimits(
        per_user=copying.per_user,
        per_gateway=copying.per_gateway,
        tries=copying.tries,
        retry_after=timedelta(seconds=copying.retry_after_s),
    )


def _secrets(copying: CopySettings) -> Secrets | None:
    return Secrets(copying.redact_patterns) if copying.redact else None


def _workflow_options(copying: CopySettings) -> WorkflowOptions:
    return WorkflowOptions(
        name_node=copying.name_node,
        resource_manager=copying.resource_manager,
        queue=copying.queue,
        properties=copying.properties,
    )
