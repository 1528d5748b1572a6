"""The addresses on which the API can listen."""

from __future__ import annotations

import re
from typing import NamedTuple

_HOST_AND_PORT = re.compile(r"(?P<host>[^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_INHERITED = re.compile(r"fd://[0-9]{1,4}")
_UNIX = "unix:"
_UNIX_BYTES = 107  #: of the path of a socket; see unix(7)
_HIGHEST_PORT = 65535


class Bind(NamedTuple):
    """One address: a host and a port, or a path; neither for a socket that systemd passes."""

    text: str
    host: str = ""
    port: int = 0
    path: str = ""


def binds(text: str) -> list[Bind]:
    """Return the addresses of the setting `serve.bind`, which commas separate.

    Raises:
        ValueError: one of them is none; says what to write.
    """
    return [_bind(part.strip()) for part in text.split(",")]


def _bind(text: str) -> Bind:
    if text.startswith(_UNIX):
        return Bind(text, path=_socket_path(text.removeprefix(_UNIX)))
    if _INHERITED.fullmatch(text):
        return Bind(text)
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None:
        raise ValueError(_remedy(text))
    if not 0 < int(found["port"]) <= _HIGHEST_PORT:
        raise ValueError(f"{text}: a port is a number from 1 to {_HIGHEST_PORT}")
    return Bind(text, host=found["host"].strip("[]"), port=int(found["port"]))


def _socket_path(path: str) -> str:
    if not path.startswith("/") or re.search(r"\s", path):
        raise ValueError(f"{path!r}: name a socket by an absolute path without spaces")
    if len(path.encode()) > _UNIX_BYTES:
        raise ValueError(f"{path}: the path of a socket has at most {_UNIX_BYTES} bytes")
    return path


def _remedy(text: str) -> str:
    if "://" in text:
        return f"{text!r}: write host:port, without a scheme and a path"
    port = text.removeprefix(":")
    if port.isdecimal():
        return (
            f"{text!r}: write the address too: 127.0.0.1:{port} for this machine alone, "
            f"0.0.0.0:{port} for all its addresses"
        )
    example = f"{text}:8080" if re.fullmatch(r"[\w.-]+", text) else "127.0.0.1:8080"
    return f"{text!r}: write host:port, such as {example}, or unix:/path/of/a.sock"
