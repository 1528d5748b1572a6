"""Serve the API with gunicorn, by `tracker serve` or by gunicorn's own command."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterable, MutableMapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile, gettempdir, mkdtemp
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.message import Request
from gunicorn.http.wsgi import Response
from structlog import get_logger

from tracker_service import logging, metrics
from tracker_service.api.schemas.queries import MAX_BODY_BYTES
from tracker_service.app import create_app
from tracker_service.bootstrap import build_service
from tracker_service.domain.backoff import Backoff
from tracker_service.errors import ConfigError
from tracker_service.request_threads import HealthFirstWorker, MonitoredWorker
from tracker_service.rooms import ALL_ROOMS
from tracker_service.settings import Settings, load
from tracker_service.supervisor import die_with_parent, keep_memory_private, take_short_turns

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = get_logger()

_MEMORY = "/dev/shm"  # noqa: S108 (gunicorn's heartbeat: there no disk can delay it)
_PAUSES = Backoff(first_s=0.5, longest_s=10.0)  #: before a worker process that died is replaced
_OPEN_FILES = 4096  #: of a process: 1,000 connections, 500 streams of events, those to the cluster
_SHORT_LIFE_S = 30.0  #: processes that started within this time count for the next pause


class _Server(BaseApplication):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Iterable[bytes]]:
        # Runs in the worker process, after the fork: connections and threads do not survive one.
        return create_app(build_service(self._settings), ALL_ROOMS).wsgi_app


class _Logger(Logger):
    """Writes gunicorn's own log in the same form as all other log lines."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def atoms(
        self,
        resp: Response,
        req: Request,
        environ: MutableMapping[str, Any],
        request_time: timedelta,
    ) -> Any:  # noqa: ANN401 (gunicorn's own type is private)
        """Return the values for an access log, without secrets."""
        atoms = super().atoms(resp, req, environ, request_time)
        return {
            name: logging.without_secrets(value) if isinstance(value, str) else value
            for name, value in atoms.items()
        }


def options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings; see https://docs.gunicorn.org/en/stable/settings.html"""
    _warn_without_proxy(settings)
    return {
        "bind": settings.serve.addresses,
        "worker_class": MonitoredWorker if settings.serve.monitoring_bind else HealthFirstWorker,
        "workers": settings.serve.processes,
        "threads": settings.serve.threads,
        "timeout": 120,
        "graceful_timeout": 10,
        "limit_request_line": 8190,  # bytes; Knox accepts no longer line either
        "keepalive": 75,  # longer than the 60 s for which nginx keeps a connection to an upstream
        "worker_tmp_dir": _heartbeat_directory(settings),
        "control_socket_disable": True,
        "forwarded_allow_ips": "",  # api.proxies alone decides whom to believe
        "loglevel": "warning",
        "logger_class": _Logger,
        "on_starting": _share_counts,
        "pre_fork": _Forks(settings.serve.processes).prepare,
        "pre_request": _close_after_a_long_body,
        "post_fork": _after_fork,
    }


def _share_counts(server: Arbiter) -> None:
    """Share metrics between the worker processes, unless `tracker run` already does."""
    if not metrics.are_shared():
        directory = Path(mkdtemp(prefix="tracker-metrics-", dir=server.cfg.worker_tmp_dir))
        metrics.share(directory)
        server.cfg.set("on_exit", lambda _: shutil.rmtree(directory, ignore_errors=True))


def _heartbeat_directory(settings: Settings) -> str:
    """Return the first directory in which the files of gunicorn's heartbeat can be written.

    Raises:
        ConfigError: there is none.
    """
    candidates = (_MEMORY, _temporary_directory(), str(settings.state_dir))
    for directory in candidates:
        try:
            TemporaryFile(dir=directory).close()
        except OSError as error:
            log.warning("heartbeat_directory_unusable", directory=directory, reason=str(error))
        else:
            return directory
    raise ConfigError(f"one of these directories must be writable: {', '.join(candidates)}")


def _temporary_directory() -> str:
    try:
        return gettempdir()
    except FileNotFoundError:  # none can be written
        return "/tmp"  # noqa: S108 (it is only named)


class _Forks:
    """Prepares the forks of worker processes, which wait when processes die again and again."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._begun: list[float] = []  # of the last forks, on the monotonic clock

    def prepare(self, _server: object, _worker: object) -> None:
        """Wait if processes die young, then keep the child's memory shared with its parent.

        The child's garbage collector would write to it.
        """
        now = time.monotonic()
        self._begun = [begun for begun in self._begun if now - begun < _SHORT_LIFE_S]
        deaths = len(self._begun) + 1 - self._processes
        if deaths > 0:
            pause_s = _PAUSES.after(deaths)
            log.warning("api_process_died", deaths=deaths, next_start_in_s=pause_s)
            time.sleep(pause_s)
        self._begun.append(time.monotonic())
        gc.collect()
        gc.freeze()


def _close_after_a_long_body(_worker: object, request: Request) -> None:
    """Close the connection after a body that is too long; otherwise gunicorn reads all of it.

    The application cannot close it, because gunicorn writes the header `Connection` itself.
    """
    lengths = [value for name, value in request.headers if name == "CONTENT-LENGTH"]
    if any(value.isdecimal() and int(value) > MAX_BODY_BYTES for value in lengths):
        request.headers.insert(0, ("CONNECTION", "close"))


def _after_fork(_server: object, _worker: object) -> None:
    die_with_parent()
    keep_memory_private()
    take_short_turns()
    _allow_connections()


def _allow_connections() -> None:
    """Raise the limit of open files, so that it is no client that finds it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _OPEN_FILES:
        most = hard if hard != resource.RLIM_INFINITY else _OPEN_FILES
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_OPEN_FILES, most), hard))


def serve(settings: Settings) -> None:
    """Serve the API until SIGTERM."""
    _Server(settings).run()


def _warn_without_proxy(settings: Settings) -> None:
    """Warn where clients of a network reach the API, and no proxy on that network is named."""
    if settings.serve.is_open_to_a_network and not settings.serve.has_proxy_elsewhere:
        log.warning(
            "api_without_proxy",
            bind=settings.serve.bind,
            risk="passwords travel unencrypted, and nobody limits the connections of a client",
            remedy="bind to 127.0.0.1 behind a proxy, or name the proxy in serve.trusted_proxies",
        )


def configured() -> Settings:
    """Read the settings and configure logging, for gunicorn's own command.

    Raises:
        ConfigError: the settings have an unknown name or a wrong value.
    """
    file = os.environ.get("TRACKER_CONFIG")
    settings = load(Path(file) if file else None)
    logging.configure(settings.log_level, settings.log_format)
    return settings


def app() -> WSGIApplication:
    """Return the API for gunicorn's own command, which calls this in each worker process."""
    os.umask(0o077)  # no other user may read the files that this process writes
    return create_app(build_service(configured()), ALL_ROOMS).wsgi_app
