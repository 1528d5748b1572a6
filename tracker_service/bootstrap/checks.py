"""Build the checks of HTTP endpoints: what a worker runs, and what the API shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta

import structlog

from tracker_service.bootstrap.foundation import Foundation
from tracker_service.checks.cluster import Gateway, cluster_checks
from tracker_service.checks.duties import Checks, Limits
from tracker_service.checks.enrolment import Enrolment
from tracker_service.checks.files import Directories, Source
from tracker_service.checks.grammar import Secrets
from tracker_service.checks.probe import Prober
from tracker_service.checks.reach import Reach
from tracker_service.checks.self_report import Reporter
from tracker_service.checks.tidying import Tidying
from tracker_service.engine.duties import Duty, TaskKind
from tracker_service.identities.keys import KeyRing
from tracker_service.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ChecksWork:
    """What the engine runs."""

    kinds: Sequence[TaskKind]
    duties: Sequence[Duty]


def build_checks_work(base: Foundation, executor: Executor) -> ChecksWork:
    """Build what a worker does.

    A worker whose settings name no checks removes those of earlier settings, and runs none.
    """
    settings, store, clock = base.settings.checks, base.store, base.clock
    key_ring, secrets = KeyRing(base.settings.key_file), Secrets(settings.secrets_directory)
    enrolment = Enrolment(
        store,
        Directories(settings.directories, secrets, is_lenient=settings.lenient),
        _ready_made(base.settings),
        key_ring,
        clock,
        on_fault=base.metrics.check_file_refused,
    )
    if not settings.directories and not settings.cluster:
        return ChecksWork([], [enrolment.duty()])
    kind = Checks(
        store,
        Prober(Reach(settings.allowed_networks)),
        executor,
        key_ring,
        secrets,
        clock,
        Limits(at_once=settings.at_once, per_host=settings.per_host, spread_s=settings.spread_s),
        count=base.metrics.check,
    )
    return ChecksWork(
        [kind],
        [
            enrolment.duty(),
            *kind.duties(),
            Reporter(store, lambda: enrolment.report, clock).duty(),
            Tidying(store, timedelta(days=settings.keep_d)).duty(),
        ],
    )


def _ready_made(settings: Settings) -> Mapping[str, Source]:
    if not settings.checks.cluster:
        return {}
    gateway = settings.gateway
    if gateway.is_direct:
        log.warning("cluster_not_checked", reason="checks: cluster needs a gateway (Knox)")
        return {}
    own = settings.checks
    user, file = (
        (own.cluster_user, own.cluster_password_file)
        if own.cluster_user
        else (gateway.polling_user, gateway.polling_password_file)
    )
    if user is None:
        log.warning(
            "cluster_not_checked", reason="set checks.cluster_user, or gateway.polling_user"
        )
    return cluster_checks(
        Gateway(
            base=gateway.base,
            user=user,
            password_file=file,
            ca_file=gateway.ca_file,
            verify=gateway.verify,
        )
    )
