"""Run the exporter of one Teraslice master alone, as its predecessor was run.

The variables, the routes and the port are those of the exporter in Node: see
https://github.com/terascope/teraslice-exporter
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import ClassVar
from urllib.parse import urlsplit

import structlog

from tracker_service.errors import ConfigError
from tracker_service.exporters.exposition import CONTENT_TYPE, Exposed, page
from tracker_service.exporters.families import Family
from tracker_service.exporters.health import Health
from tracker_service.exporters.masters import Master, without_user
from tracker_service.exporters.scraping import Scraper

log = structlog.get_logger()

WELCOME = "See the '/metrics' endpoint for the teraslice exporter."
KEEP_S = 300.0  #: how old the values of a master that does not answer may get
_TIMEOUT_S = 10.0
_SLOW_CLIENT_S = 30.0
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the environment says."""

    master: Master
    headers: dict[str, str] = field(repr=False)  #: for the user and password in the URL
    port: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Options:
        """Read the variables of the predecessor.

        Raises:
            ConfigError: a variable is missing, or cannot be used.
        """
        url, authorization = without_user(_url(environment, "TERASLICE_URL"))
        shown = url
        if environment.get("TERASLICE_DISPLAY_URL"):
            shown, _ = without_user(_url(environment, "TERASLICE_DISPLAY_URL"))
        interval_s = _number(environment, "TERASLICE_QUERY_DELAY", 30_000) / 1000
        master = Master(
            name="",
            url=url,
            display_url=f"{shown}/",
            interval_s=interval_s,
            timeout_s=min(_TIMEOUT_S, interval_s),
            ca_file=environment.get("NODE_EXTRA_CA_CERTS") or None,
        )
        headers = {"Authorization": authorization} if authorization else {}
        port = _number(environment, "PORT", 3000)
        if port > _HIGHEST_PORT:
            raise ConfigError(f"PORT: {port} is no port")
        return cls(master=master, headers=headers, port=port)


def _url(environment: Mapping[str, str], name: str) -> str:
    url = environment.get(name, "")
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ConfigError(f"{name}: set it to a URL such as http://teraslice.example.com:5678")
    return url


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 10**9):
        raise ConfigError(f"{name}: {text!r} is no positive number")
    return int(text)


class Exporter:
    """Updates the series of one master again and again, and shows the last ones."""

    def __init__(
        self, options: Options, families: Sequence[Family], clock: Callable[[], datetime]
    ) -> None:
        self._master, self._families = options.master, families
        self._scraper = Scraper(clock, options.headers)
        self._shown = self._exposed(Health())
        self._snapshot_at = time.monotonic()

    def _exposed(self, health: Health) -> Exposed:
        return Exposed(
            cluster=health.name, url=self._master.display_url, health=health, snapshot=None
        )

    def update(self) -> None:
        """Update all series in one step; after a failure the last values stay for a while."""
        before, now = self._shown, time.monotonic()
        found = self._scraper.update(self._master, before.health)
        shown = self._exposed(found.health)
        shown.snapshot = found.snapshot
        if found.snapshot:
            self._snapshot_at = now
        elif now - self._snapshot_at < KEEP_S:
            shown.snapshot = before.snapshot
        self._shown = shown

    def page(self) -> Iterator[bytes]:
        """Return the page of the last update in pieces."""
        return page([self._shown], self._families)

    def run(self, stopped: Event) -> None:
        """Update at equal intervals, never twice at once, until it is stopped.

        The first update is an interval from now.
        """
        due = time.monotonic() + self._master.interval_s
        while not stopped.wait(max(0.0, due - time.monotonic())):
            try:
                self.update()
            except Exception:
                log.exception("teraslice_update_broke")
            missed = (time.monotonic() - due) // self._master.interval_s
            due += self._master.interval_s * (1 + missed)


class _Handler(BaseHTTPRequestHandler):
    """Answers `/metrics` and `/`."""

    protocol_version = "HTTP/1.1"
    timeout = _SLOW_CLIENT_S
    pages: ClassVar[Mapping[str, tuple[str, Callable[[], Iterator[bytes]]]]] = {}

    def do_GET(self) -> None:
        content_type, pieces = self.pages.get(urlsplit(self.path).path, ("", None))
        if pieces is None:
            self.send_error(404, explain="There are / and /metrics.")
            return
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in pieces():
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        log.debug("http_request", line=format % args)


class _Server(ThreadingHTTPServer):
    """Listens on all addresses, of IPv6 too where there is IPv6."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("client_gone", client=client_address)


def serve(options: Options, families: Sequence[Family], clock: Callable[[], datetime]) -> None:
    """Export one master until SIGTERM or SIGINT; the first update is over before the first answer.

    Raises:
        ConfigError: the port cannot be had.
    """
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    exporter = Exporter(options, families, clock)
    pages = {
        "/": ("text/html; charset=utf-8", lambda: iter([WELCOME.encode()])),
        "/metrics": (CONTENT_TYPE, exporter.page),
    }
    try:
        server = _Server(("", options.port), type("Handler", (_Handler,), {"pages": pages}))
    except OSError as error:
        raise ConfigError(
            f"PORT: nobody can listen on {options.port}: {error.strerror or error}; "
            "end what uses it, or set PORT to another one"
        ) from error
    with server:
        log.info("exporter_started", port=options.port, master=options.master.display_url)
        updates = Thread(target=partial(exporter.run, stopped), name="updates", daemon=True)
        exporter.update()
        updates.start()
        Thread(target=server.serve_forever, args=(0.1,), name="pages", daemon=True).start()
        stopped.wait()
        server.shutdown()
    log.info("exporter_stopped")
