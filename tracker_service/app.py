"""The Flask application: the rooms of the API that one process serves."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

from flask import Flask, Response, g, request
from flask_openapi3 import APIBlueprint

from tracker_service.api import hardening, openapi, problems, proxies, request_log
from tracker_service.bootstrap import Service
from tracker_service.metrics import Metrics
from tracker_service.rooms import Room


def create_app(service: Service, rooms: Iterable[Room]) -> Flask:
    """Return an application that serves some rooms of the API.

    Args:
        service: what the rooms are built on.
        rooms: what this process serves; the paths of other rooms are answered with 404.
    """
    app = openapi.application()
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    request_log.register(app)
    problems.register(app)
    hardening.register(app)
    app.after_request(partial(_count, service.metrics))
    served = list(rooms)
    for room in served:
        for blueprint in room.blueprints(service):
            if isinstance(blueprint, APIBlueprint):
                app.register_api(blueprint)
            else:
                app.register_blueprint(blueprint)
    proxies.register(app, service.settings.serve)
    for room in served:
        if room.front:
            app.wsgi_app = room.front(  # type: ignore[method-assign, assignment]
                service, app.wsgi_app
            )
    return app


def _count(metrics: Metrics, response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "none"
    seconds = time.monotonic() - g.began
    metrics.http_request(request.method, route, response.status_code, seconds)
    return response
