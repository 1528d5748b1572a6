"""Build the worker: one function for each room that works in the background."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from tracker_service.archive import duties as archive
from tracker_service.archive.copying.aggregation import Aggregation
from tracker_service.archive.copying.copier import Copier
from tracker_service.archive.copying.direct_way import DirectOptions, DirectWay
from tracker_service.archive.copying.earlier_runs import EarlierRuns
from tracker_service.archive.copying.log_files import LogFileFinder
from tracker_service.archive.copying.progress import CopyLimits, Progress
from tracker_service.archive.copying.publishing import Publisher
from tracker_service.archive.copying.streams import Streams
from tracker_service.archive.copying.tries import Tries
from tracker_service.archive.copying.ways import Chooser, Ways
from tracker_service.archive.copying.workflow_copy import WorkflowOptions
from tracker_service.archive.copying.workflow_way import WorkflowWay
from tracker_service.archive.expiry import Expiry
from tracker_service.archive.manifest import write_manifest
from tracker_service.archive.place import LogPlace
from tracker_service.bootstrap.checks import build_checks_work
from tracker_service.bootstrap.exporters import build_exporters_work
from tracker_service.bootstrap.foundation import Foundation, build_foundation
from tracker_service.bootstrap.ledger import build_ledger_duties
from tracker_service.causes.rules import Rules, load_rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.causes.verdict import cause_of
from tracker_service.domain.copies import Strategy
from tracker_service.domain.tasks import TRACK
from tracker_service.domain.timing import OPERATION, Timing
from tracker_service.engine.clock import Clock, utc_now
from tracker_service.engine.slots import Pace, Slots
from tracker_service.engine.worker import Worker
from tracker_service.exporters.duties import MOST_THREADS as MOST_SCRAPES
from tracker_service.identities import duties as identities
from tracker_service.identities.keys import KeyRing
from tracker_service.metrics import Metrics
from tracker_service.redaction.masking import hidden
from tracker_service.redaction.secrets import Secrets
from tracker_service.settings import CopySettings, Settings
from tracker_service.sinks import duties as sinks
from tracker_service.sinks.deliverer import Deliverer
from tracker_service.sinks.muting import Muting
from tracker_service.sinks.opening import SinkOpener
from tracker_service.sinks.pruning import Pruning
from tracker_service.sinks.routes import Routes
from tracker_service.store.database import Store
from tracker_service.tracking import duties as tracking
from tracker_service.tracking.completion import Completion
from tracker_service.tracking.hints import Hints
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.purge import Purge
from tracker_service.tracking.reruns import Reruns
from tracker_service.tracking.schedule import Schedule
from tracker_service.tracking.trouble import Outages, Trouble

_EXPIRY_TAKES_H = 30 * 24.0  #: an old log is removed when its user tracks something, maybe later
_RECEIVERS_AT_ONCE = 32  #: one that does not answer holds a thread for seconds
_REQUESTS_IN_A_BATCH = 5  #: what a worker asks about in one go, before others have their turn


@dataclass(frozen=True, slots=True, kw_only=True)
class _Threads:
    """Polls and copies have threads of their own: long copies must not delay polls."""

    polls: ThreadPoolExecutor
    details: ThreadPoolExecutor
    copies: ThreadPoolExecutor
    streams: ThreadPoolExecutor
    sends: ThreadPoolExecutor
    scrapes: ThreadPoolExecutor
    actions: ThreadPoolExecutor
    checks: ThreadPoolExecutor

    def all(self) -> list[ThreadPoolExecutor]:
        return [
            *(self.polls, self.details, self.copies, self.streams),
            *(self.sends, self.scrapes, self.actions, self.checks),
        ]


def build_worker(settings: Settings, clock: Clock = utc_now, timing: Timing = OPERATION) -> Worker:
    """Build a worker.

    Raises:
        ConfigError: a setting cannot be used.
    """
    metrics = Metrics()
    store = Store(settings.store_url, metrics.lease_lost)
    outages = Outages()
    base = build_foundation(settings, metrics, store, clock, on_circuit=outages.changed)
    threads = _build_threads(settings)
    rules = load_rules(settings.copying.cause_rules)
    # Polling waits its turn; callers' requests never do.
    pace = Pace(settings.gateway.requests_per_s)
    slots = Slots(settings.worker.threads, pace.wait)
    schedule = _build_schedule(base)
    reruns = _build_reruns(base, threads, pace)
    pollers = (threads.polls, threads.details)
    completion = _build_completion(base, threads, rules, timing, pace)
    poller = Poller(store, base.identities, schedule, pollers, clock, slots)
    hints = Hints(store, schedule, reruns)
    purge = Purge(store, _jobs_kept_for(settings))
    trouble = Trouble(store, outages, clock)
    deliverer = _build_deliverer(base, threads)
    exporters = build_exporters_work(settings.exporters, store, clock, threads.scrapes)
    checks = build_checks_work(base, threads.checks)
    return Worker(
        store,
        [
            tracking.Tracking(store, schedule, completion, clock),
            deliverer,
            *exporters.kinds,
            *checks.kinds,
        ],
        [
            *tracking.duties(store, poller, hints, completion, reruns, purge, trouble, clock=clock),
            *archive.duties(
                _build_copier(base, threads, rules, timing), _build_expiry(base, timing)
            ),
            *sinks.duties(deliverer, _build_routes(base), _build_pruning(base)),
            *identities.duties(store, clock),
            *exporters.duties,
            *checks.duties,
            *build_ledger_duties(base, threads.actions),
        ],
        executors=threads.all(),
        lease_s=settings.worker.lease_s,
        clock=clock,
        busy=slots.busy,
        share_pace=lambda living: pace.share(living[TRACK]),
    )


def _build_threads(settings: Settings) -> _Threads:
    return _Threads(
        polls=ThreadPoolExecutor(settings.worker.threads, "poll"),
        details=ThreadPoolExecutor(settings.worker.threads, "details"),
        copies=ThreadPoolExecutor(settings.worker.threads, "copy"),
        streams=ThreadPoolExecutor(settings.copying.streams, "stream"),
        sends=ThreadPoolExecutor(_RECEIVERS_AT_ONCE, "send"),
        scrapes=ThreadPoolExecutor(MOST_SCRAPES, "scrape"),
        actions=ThreadPoolExecutor(settings.worker.threads, "action"),
        checks=ThreadPoolExecutor(settings.checks.at_once, "check"),
    )


def _build_deliverer(base: Foundation, threads: _Threads) -> Deliverer:
    settings = base.settings
    key_ring = KeyRing(settings.key_file)
    opener = SinkOpener(sinks=settings.sinks, key_ring=key_ring, base_url=settings.base_url)
    muting = Muting(base.store, key_ring, base.clock)
    return Deliverer(
        base.store,
        opener,
        threads.sends,
        mute_path=muting.path,
        count=base.metrics.delivery,
    )


def _build_routes(base: Foundation) -> Routes:
    settings = base.settings
    return Routes(base.store, settings.routes, settings.sinks.by_name, base.clock)


def _build_pruning(base: Foundation) -> Pruning:
    return Pruning(base.store, timedelta(hours=base.settings.events.keep_h), base.clock)


def _build_schedule(base: Foundation) -> Schedule:
    polling = base.settings.polling
    return Schedule(
        polling.interval_s,
        polling.max_interval_s,
        random.Random(),  # noqa: S311
        asked_as=base.identities.asked_as,
        batch_size=_REQUESTS_IN_A_BATCH * polling.ids_per_request,
    )


def _build_reruns(base: Foundation, threads: _Threads, pace: Pace) -> Reruns:
    polling = base.settings.polling
    return Reruns(
        base.store,
        base.identities,
        threads.polls,
        base.clock,
        every_s=polling.rerun_look_s,
        watched_for=timedelta(hours=polling.rerun_watch_h),
        pace=pace.wait,
    )


def _jobs_kept_for(settings: Settings) -> timedelta:
    """Return how long ended jobs are kept: at least as long as something here needs them."""
    polling, keep_copies_h = settings.polling, settings.copying.keep_copies_h
    hours = [settings.store.keep_jobs_h, polling.listed_h, polling.rerun_watch_h]
    if keep_copies_h:
        hours.append(keep_copies_h + _EXPIRY_TAKES_H)
    return timedelta(hours=max(hours))


def _build_completion(
    base: Foundation, threads: _Threads, rules: Rules, timing: Timing, pace: Pace
) -> Completion:
    return Completion(
        base.store,
        base.identities,
        threads.copies,
        write_manifest,
        partial(cause_of, rules=rules),
        base.clock,
        timing=timing,
        pace=pace.wait,
    )


def _build_copier(base: Foundation, threads: _Threads, rules: Rules, timing: Timing) -> Copier:
    store, identities, copying = base.store, base.identities, base.settings.copying
    finder = LogFileFinder(copying.log_directories)
    progress, earlier_runs = (
        Progress(store, _limits(copying), base.clock, timing),
        EarlierRuns(store, LogPlace(copying.directory)),
    )
    publisher = Publisher(earlier_runs, progress)
    tries = Tries(progress, may_use_workflow=copying.strategy == Strategy.AUTO)
    streams = Streams(threads.streams, copying.streams, identities, tries, progress)
    ways = Ways(
        aggregation=Aggregation(
            finder,
            copying.aggregation_deadline_s,
            base.clock,
            timing,
            retention=timedelta(hours=copying.retention_h),
        ),
        chooser=_build_chooser(base, finder),
        earlier_runs=earlier_runs,
        direct=DirectWay(progress, publisher, streams, _direct_options(base, rules)),
        workflow=WorkflowWay(
            progress,
            publisher,
            tries,
            streams,
            _workflow_options(copying),
            new_scanner=partial(Scanner, rules, _hide(base.secrets)),
            clock=base.clock,
        ),
        tries=tries,
        progress=progress,
        clock=base.clock,
    )
    return Copier(store, identities, threads.copies, streams, ways, tries, progress, base.clock)


def _build_chooser(base: Foundation, finder: LogFileFinder) -> Chooser:
    copying = base.settings.copying
    retention = timedelta(hours=copying.retention_h)
    return Chooser(
        finder,
        copying.strategy,
        copying.direct_limit,
        retention,
        base.clock,
        tries=copying.tries,
    )


def _direct_options(base: Foundation, rules: Rules) -> DirectOptions:
    copying = base.settings.copying
    return DirectOptions(
        limit=copying.direct_limit,
        secrets=base.secrets,
        rules=rules,
        may_use_workflow=copying.strategy == Strategy.AUTO,
    )


def _build_expiry(base: Foundation, timing: Timing) -> Expiry:
    keep_h = base.settings.copying.keep_copies_h
    kept_for = timedelta(hours=keep_h) if keep_h else None
    return Expiry(base.store, base.identities, kept_for, base.clock, timing)


def _limits(copying: CopySettings) -> CopyLimits:
    return CopyLimits(
        per_user=copying.per_user,
        per_gateway=copying.per_gateway,
        tries=copying.tries,
        retry_after=timedelta(seconds=copying.retry_after_s),
    )


def _hide(secrets: Secrets | None) -> Callable[[str], str]:
    return partial(hidden, secrets) if secrets else str


def _workflow_options(copying: CopySettings) -> WorkflowOptions:
    return WorkflowOptions(
        name_node=copying.name_node,
        resource_manager=copying.resource_manager,
        queue=copying.queue,
        properties=copying.properties,
    )
