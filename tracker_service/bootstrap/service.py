"""Build the parts of the API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tracker_service.api.rate_limit import RateLimit
from tracker_service.api.read_limits import ReadLimits
from tracker_service.archive.removal import Removal
from tracker_service.archive.verification import Verifications
from tracker_service.bootstrap.exporters import build_teraslice_pages
from tracker_service.bootstrap.foundation import Foundation, build_foundation
from tracker_service.bootstrap.ledger import Ledgers, build_ledgers
from tracker_service.bootstrap.reading import build_causes, build_lookup
from tracker_service.checks.lookup import CheckPages
from tracker_service.engine.clock import Clock, utc_now
from tracker_service.exporters.lookup import TeraslicePages
from tracker_service.identities import Identities
from tracker_service.identities.keys import KeyRing
from tracker_service.metrics import Metrics
from tracker_service.settings import Settings
from tracker_service.sinks.muting import Muting
from tracker_service.sinks.reach import Reach
from tracker_service.sinks.subscribing import Subscribing
from tracker_service.store.database import Store
from tracker_service.tracking.causes import Causes
from tracker_service.tracking.intake import Intake
from tracker_service.tracking.lookup import Lookup
from tracker_service.tracking.notifications import Notifications

_VERIFYING = 4  #: users whose saved logs are read back at once


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
    verifications: Verifications
    notifications: Notifications
    subscribing: Subscribing
    muting: Muting
    rate_limit: RateLimit
    read_limits: ReadLimits
    teraslice: TeraslicePages
    checks: CheckPages
    metrics: Metrics
    clock: Clock
    ledgers: Ledgers | None = None  #: None: the settings do not enable them


def build_service(settings: Settings, clock: Clock = utc_now) -> Service:
    """Build what the API needs.

    Raises:
        ConfigError: a setting cannot be used.
    """
    base = build_foundation(settings, Metrics(), Store(settings.store_url), clock)
    lookup = build_lookup(base)
    return Service(
        settings=settings,
        store=base.store,
        identities=base.identities,
        intake=Intake(base.store, base.identities, clock),
        lookup=lookup,
        causes=build_causes(base, lookup),
        removal=Removal(base.store, clock),
        verifications=Verifications(ThreadPoolExecutor(_VERIFYING, thread_name_prefix="verify")),
        notifications=Notifications(base.store, KeyRing(settings.key_file), clock),
        subscribing=_build_subscribing(base),
        muting=Muting(base.store, KeyRing(settings.key_file), clock),
        rate_limit=RateLimit(base.store, settings.serve.requests_per_minute, clock),
        read_limits=ReadLimits(settings.serve.threads),
        teraslice=build_teraslice_pages(settings.exporters, base.store),
        checks=CheckPages(base.store),
        metrics=base.metrics,
        clock=clock,
        ledgers=build_ledgers(settings.ledger, base.store, base.metrics, clock),
    )


def _build_subscribing(base: Foundation) -> Subscribing:
    settings = base.settings
    reach = Reach.of_users(settings.sinks)
    return Subscribing(base.store, KeyRing(settings.key_file), reach, base.clock)
