"""Try the addresses of the API before it starts, and greet once it answers there."""

from __future__ import annotations

import os
import socket
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tracker_service.errors import ConfigError
from tracker_service.settings.binds import Bind, binds


def check_addresses(text: str) -> None:
    """Listen on each address of the API for a moment.

    Raises:
        ConfigError: one of them cannot be had; says why.
    """
    for bind in binds(text):
        try:
            if bind.path:
                _check_path(Path(bind.path))
            elif bind.port:
                _check_port(bind)
        except OSError as error:
            raise ConfigError(
                f"serve.bind: {bind.text}: nobody can listen there: {error.strerror or error}; "
                "end what uses it, or set TRACKER_SERVE__BIND (for monitors "
                "TRACKER_SERVE__MONITORING_BIND) to another address"
            ) from error


def _check_port(bind: Bind) -> None:
    family, kind, *_, address = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)


def _check_path(path: Path) -> None:
    """Check that a socket can be made; one that nobody listens on is replaced by gunicorn."""
    if path.exists() and not path.is_socket():
        raise FileExistsError(0, "there is a file of this name")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(0, f"no file can be made in {path.parent}")
    if path.exists() and _is_listened_on(path):
        raise FileExistsError(0, "another process listens")


def _is_listened_on(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def answers(bind: Bind, path: str) -> bool:
    """Request a path at an address once; tell whether there is an answer, and it is 200.

    A socket that systemd passes has no address here, and counts as one that answers.
    """
    if not (bind.path or bind.port):
        return True
    connection = _UnixConnection(bind.path) if bind.path else _tcp(bind)
    with closing(connection), suppress(OSError, HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == 200
    return False


def _tcp(bind: Bind) -> HTTPConnection:
    return HTTPConnection(bind.host, bind.port, timeout=1)


class _UnixConnection(HTTPConnection):
    """HTTP over a socket with a path."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=1)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(1)
        self.sock.connect(self._path)
