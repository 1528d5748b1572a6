"""The Flask application: which blueprints it mounts, and what holds for all of them."""

from __future__ import annotations

from functools import partial

from flask import Flask, Response

from tracker_service.api import auth, jobs, logs, operations, problems, request_log, schemas, tasks
from tracker_service.api.proxies import TrustedProxies
from tracker_service.bootstrap import Service


def create_app(service: Service) -> Flask:
    """Return the API on top of a service."""
    app = Flask("tracker_service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = schemas.MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    request_log.register(app)
    problems.register(app)
    app.after_request(_harden)
    for blueprint in (
        tasks.blueprint(service.intake),
        jobs.blueprint(service.lookup),
        logs.blueprint(service.lookup, service.identities),
    ):
        # Each blueprint says itself who may call: others will come with other credentials.
        blueprint.before_request(partial(auth.require_caller, service.identities))
        app.register_blueprint(blueprint)
    app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
        app.wsgi_app, service.settings.serve.trusted_proxies
    )
    silence_s = 2 * service.settings.worker.lease_s
    app.register_blueprint(operations.blueprint(service.store, silence_s))
    return app


def _harden(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response
