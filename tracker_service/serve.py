"""Serve the API with gunicorn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gunicorn.app.base import BaseApplication

from tracker_service.app import create_app
from tracker_service.bootstrap import build_service
from tracker_service.settings import Settings
from tracker_service.supervisor import die_with_parent


class _Server(BaseApplication):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Iterable[bytes]]:
        # In the worker process, after the fork: connections and threads do not survive one.
        return create_app(build_service(self._settings)).wsgi_app


def options(settings: Settings) -> dict[str, Any]:
    """Return how gunicorn is run; see https://docs.gunicorn.org/en/stable/settings.html"""
    return {
        "bind": settings.serve.bind,
        "worker_class": "gthread",
        "workers": 1,  # threads wait for the gateway; SQLite wants few writers
        "threads": settings.serve.threads,
        "timeout": 120,
        "graceful_timeout": 10,
        "limit_request_line": 8190,  # as long as what is passed on to Knox may be
        "keepalive": 75,  # longer than the idle time of common proxies
        "worker_tmp_dir": "/dev/shm",  # noqa: S108 (a heartbeat that no disk can delay)
        "control_socket_disable": True,
        "loglevel": "warning",
        "post_fork": _after_fork,
    }


def _after_fork(_server: object, _worker: object) -> None:
    die_with_parent()


def serve(settings: Settings) -> None:
    """Serve the API until SIGTERM."""
    _Server(settings).run()
