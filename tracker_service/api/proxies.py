"""Believe the headers of reverse proxies that the settings list, and of nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from tracker_service.settings import ServeSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Headers that only a listed proxy may send.
_PROXY_HEADERS = ("HTTP_X_FORWARDED_", "HTTP_X_REQUEST_ID")

_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
#: What a proxy can say in the other headers; anything else would be in addresses that we give out.
_FORMS = {
    "HTTP_X_FORWARDED_PROTO": re.compile("https?", re.IGNORECASE),
    "HTTP_X_FORWARDED_HOST": re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII),
    "HTTP_X_FORWARDED_PORT": re.compile(r"\d{1,5}", re.ASCII),
    "HTTP_X_FORWARDED_PREFIX": re.compile(r"(?:/[\w~-][\w.~-]*)*/?", re.ASCII),
}

NAMED = "tracker.user"  #: key in the WSGI environment: the user whom a proxy has verified

Network = IPv4Network | IPv6Network


def register(app: Flask, serve: ServeSettings) -> None:
    """Believe the proxies that the settings list, and nobody else."""
    app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
        app.wsgi_app, serve.trusted_proxies
    )
    if serve.user_header:
        app.wsgi_app = NamingProxies(  # type: ignore[method-assign]
            app.wsgi_app, serve.user_header, serve.user_header_from
        )


class NamingProxies:
    """WSGI middleware: takes the user from a header of listed peers, and drops it from others.

    It wraps `TrustedProxies`, because the peer itself must be listed, not the client behind it.
    """

    def __init__(self, app: WSGIApplication, header: str, networks: Sequence[Network]) -> None:
        self._app, self._networks = app, networks
        self._key = "HTTP_" + header.upper().replace("-", "_")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as that of the user whom its proxy names."""
        named = environ.pop(self._key, None)
        peer = environ.get("REMOTE_ADDR")
        if named and peer and _is_one_of(peer, self._networks):
            environ[NAMED] = _text(named)
        return self._app(environ, start_response)


class TrustedProxies:
    """WSGI middleware: believes `X-Forwarded-*` of listed peers, and drops it from others.

    One hop is believed: the last entry of each header, which the listed proxy has written.
    See https://werkzeug.palletsprojects.com/en/stable/middleware/proxy_fix/
    """

    def __init__(self, app: WSGIApplication, networks: Sequence[Network]) -> None:
        self._app = app
        self._behind_proxy = ProxyFix(app, x_for=1, x_proto=1, x_host=1, x_port=1, x_prefix=1)
        self._networks = networks

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, seen as its client sent it to the proxy."""
        if is_trusted(environ.get("REMOTE_ADDR"), self._networks):
            _drop_odd(environ)
            return self._behind_proxy(environ, start_response)
        for name in [name for name in environ if name.startswith(_PROXY_HEADERS)]:
            del environ[name]
        return self._app(environ, start_response)


def is_trusted(peer: str | None, networks: Sequence[Network]) -> bool:
    """Tell whether a peer is one of the trusted proxies."""
    if not peer:  # a Unix socket has the empty address: its file's permissions decide who connects
        return peer == ""
    return _is_one_of(peer, networks)


def forwarded_client(forwarded_for: str | None) -> str | None:
    """Return the address that the last proxy names, without a port; None if it names none.

    Args:
        forwarded_for: the header `X-Forwarded-For`.
    """
    entry = (forwarded_for or "").rpartition(",")[2].strip()
    bare = entry.partition("]")[0].removeprefix("[")
    for text in (bare, bare.partition(":")[0]):
        try:
            return str(ip_address(text))
        except ValueError:
            continue
    return None


def _drop_odd(environ: WSGIEnvironment) -> None:
    """Leave of the headers of a proxy what has the form of such a header."""
    for name, form in _FORMS.items():
        if not form.fullmatch(environ.get(name, "").rpartition(",")[2].strip()):
            environ.pop(name, None)
    client = forwarded_client(environ.pop(_FORWARDED_FOR, None))
    if client:
        environ[_FORWARDED_FOR] = client


def _text(value: str) -> str:
    """Return the text of a header, of which WSGI shows each byte as a character (PEP 3333)."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _is_one_of(peer: str, networks: Sequence[Network]) -> bool:
    address = ip_address(peer)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped  # an IPv4 peer of a socket for both versions
    return any(address in network for network in networks)
