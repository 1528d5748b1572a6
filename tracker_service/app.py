"""The Flask application: which blueprints it mounts, and what holds for all of them."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial

from flask import Flask, Response, g, request

from tracker_service.api import (
    auth,
    causes,
    jobs,
    login,
    logs,
    notifications,
    openapi,
    operations,
    problems,
    rate_limit,
    request_log,
    tasks,
    workers,
)
from tracker_service.api.proxies import NamingProxies, TrustedProxies
from tracker_service.api.rate_limit import RateLimit
from tracker_service.api.schemas import queries
from tracker_service.bootstrap import Service
from tracker_service.errors import BadInput
from tracker_service.metrics import Metrics

_OF_DATA = "default-src 'none'; frame-ancestors 'none'"
_OF_PAGES = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
)
_LISTS = ("id", "status")  #: parameters that may be given more than once


def create_app(service: Service) -> Flask:
    """Return the API on top of a service."""
    app = openapi.application()
    app.config["MAX_CONTENT_LENGTH"] = queries.MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    request_log.register(app)
    problems.register(app)
    app.before_request(_refuse_at_once)
    app.after_request(_harden)
    app.after_request(partial(_count, service.metrics))
    silence_s = 2 * service.settings.worker.lease_s
    for blueprint in (
        tasks.blueprint(service.intake, service.lookup),
        jobs.blueprint(service.lookup, service.causes, service.settings.rights),
        causes.blueprint(service.causes, service.settings.rights.admins),
        logs.blueprint(service.lookup, service.identities, service.removal),
        workers.blueprint(service.store, service.settings.rights.overseers, silence_s),
        notifications.tokens(service.notifications),
        login.blueprint(service.store, service.identities),
    ):
        # Each blueprint says itself who may call: others will come with other credentials.
        blueprint.before_request(
            partial(auth.require_caller, service.identities, service.allowance)
        )
        app.register_api(blueprint)
    retention = timedelta(hours=service.settings.copying.retention_h)
    app.register_api(
        operations.blueprint(service.store, service.metrics, silence_s, retention, service.clock)
    )
    notified = RateLimit(
        service.store, notifications.PER_MINUTE, service.clock, of=rate_limit.NOTIFICATIONS
    )
    app.register_api(notifications.blueprint(service.notifications, notified))
    serve = service.settings.serve
    app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
        app.wsgi_app, serve.trusted_proxies
    )
    if serve.user_header:
        app.wsgi_app = NamingProxies(  # type: ignore[method-assign]
            app.wsgi_app, serve.user_header, serve.user_header_from
        )
    return app


def _refuse_at_once() -> None:
    """Refuse what needs no look at the body and no question to the gateway.

    Raises:
        BadInput: the body is too long, or a parameter is given twice.
    """
    if (request.content_length or 0) > queries.MAX_BODY_BYTES:
        raise BadInput(problems.TOO_LONG, status=413)
    twice = [n for n, values in request.args.lists() if len(values) > 1 and n not in _LISTS]
    if twice:
        raise BadInput(f"Given more than once: {', '.join(twice)}. Send each once.")


def _harden(response: Response) -> Response:
    """Let browsers do no more with an answer than show it (https://owasp.org/www-project-secure-headers)."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    is_page = request.path.startswith("/docs")  # of Swagger UI, which styles itself
    response.headers["Content-Security-Policy"] = _OF_PAGES if is_page else _OF_DATA
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _count(metrics: Metrics, response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "none"
    seconds = time.monotonic() - g.began
    metrics.http_request(request.method, route, response.status_code, seconds)
    return response
