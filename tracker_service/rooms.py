"""The rooms of the API: the blueprints of each, and the credentials that its calls need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from flask import Blueprint
from flask_openapi3 import APIBlueprint

from tracker_service.api import (
    auth,
    causes,
    checks,
    deliveries,
    events,
    exporters,
    jobs,
    ledger,
    login,
    logs,
    muting,
    notifications,
    operations,
    rate_limit,
    subscriptions,
    tasks,
    workers,
)
from tracker_service.api.event_streams import EventStreams
from tracker_service.api.job_calls import JobCallFront
from tracker_service.api.rate_limit import RateLimit
from tracker_service.bootstrap import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@dataclass(frozen=True, slots=True)
class Room:
    """A part of the API that a process can serve without the others."""

    name: str
    blueprints: Callable[[Service], Iterable[APIBlueprint | Blueprint]]
    #: what stands before Flask and answers the most frequent calls of the room, if anything does
    front: Callable[[Service, WSGIApplication], WSGIApplication] | None = None


def _tracking(service: Service) -> Iterable[APIBlueprint]:
    callers, rights = _gateway_users(service), service.settings.rights
    return (
        tasks.blueprint(callers, service.intake, service.lookup),
        jobs.blueprint(callers, service.lookup, service.causes, rights, limits=service.read_limits),
        causes.blueprint(callers, service.lookup, service.causes, rights.admins),
        logs.blueprint(
            callers,
            service.lookup,
            service.identities,
            service.removal,
            service.verifications,
            limits=service.read_limits,
        ),
    )


def _workers(service: Service) -> Iterable[APIBlueprint]:
    overseers = service.settings.rights.overseers
    yield workers.blueprint(
        _gateway_users(service), service.store, overseers, _worker_silence_s(service)
    )


def _notifications(service: Service) -> Iterable[APIBlueprint]:
    limit = RateLimit(
        service.store, notifications.PER_MINUTE, service.clock, of=rate_limit.NOTIFICATIONS
    )
    return (
        notifications.tokens(_gateway_users(service), service.notifications),
        notifications.blueprint(service.notifications, limit),  # the token in the path is enough
    )


def _events(service: Service) -> Iterable[APIBlueprint]:
    callers = _gateway_users(service)
    base_url, rights = service.settings.base_url, service.settings.rights
    admins, overseers = rights.admins, rights.overseers
    streams = EventStreams(service.store, base_url)
    return (
        events.blueprint(callers, service.store, overseers, streams, base_url),
        subscriptions.blueprint(callers, service.subscribing),
        deliveries.blueprint(callers, service.subscribing, admins=admins, overseers=overseers),
        muting.blueprint(callers, service.muting, admins),
        muting.links(service.muting),  # the token in the path is enough
    )


def _login(service: Service) -> Iterable[APIBlueprint]:
    yield login.blueprint(_gateway_users(service), service.store, service.identities)


def _operations(service: Service) -> Iterable[APIBlueprint]:
    settings = service.settings
    yield operations.blueprint(
        service.store,
        service.metrics,
        _worker_silence_s(service),
        timedelta(hours=settings.copying.retention_h),
        timedelta(hours=settings.polling.listed_h),
        clock=service.clock,
        more=service.ledgers.levels if service.ledgers else (),
    )


def _exporters(service: Service) -> Iterable[APIBlueprint]:
    yield exporters.blueprint(service.teraslice)


def _checks(service: Service) -> Iterable[APIBlueprint]:
    return (
        checks.blueprint(_gateway_users(service), service.checks),
        checks.open_pages(service.checks),
    )


def _ledger(service: Service) -> Iterable[APIBlueprint | Blueprint]:
    if service.ledgers:
        readers = ledger.reader_credentials(service.ledgers.writers, _gateway_users(service))
        require_writer = partial(
            ledger.require_writer, service.ledgers.writers, service.settings.rights.admins
        )
        yield from ledger.blueprints(
            service.ledgers.by_name,
            service.store,
            readers,
            require_writer,
            limits=service.read_limits,
        )


def _ledger_front(service: Service, app: WSGIApplication) -> WSGIApplication:
    if service.ledgers is None:
        return app
    trusted = service.settings.serve.trusted_proxies
    return JobCallFront(app, service.ledgers.calls, trusted, service.metrics.http_request)


def _gateway_users(service: Service) -> auth.Credentials:
    return auth.gateway_credentials(service.identities, service.rate_limit)


def _worker_silence_s(service: Service) -> float:
    return 2 * service.settings.worker.lease_s


TRACKING = Room("tracking", _tracking)  #: tasks, jobs, why jobs failed, saved logs
WORKERS = Room("workers", _workers)  #: which worker holds which jobsets
NOTIFICATIONS = Room("notifications", _notifications)  #: calls of Oozie, and tokens for them
EVENTS = Room("events", _events)  #: what has happened, and who hears of it
LOGIN = Room("login", _login)  #: fresh credentials for work in the background
OPERATIONS = Room("operations", _operations)  #: health and metrics, without credentials
EXPORTERS = Room("exporters", _exporters)  #: metrics of other systems, without credentials
CHECKS = Room("checks", _checks)  #: how HTTP endpoints are, and for Prometheus without credentials
LEDGER = Room("ledger", _ledger, _ledger_front)  #: jobs that report themselves

ALL_ROOMS = (TRACKING, WORKERS, NOTIFICATIONS, EVENTS, LOGIN, OPERATIONS, EXPORTERS, CHECKS, LEDGER)
