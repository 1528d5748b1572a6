"""Compare the addresses of services as URLs, not as text.

Follows RFC 3986 §6.2 (normalisation) and RFC 6454 §4 (origins).
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NO_HOST = re.compile(r"[\s\\%<>\"^`{|}]")


class Origin(NamedTuple):
    """Scheme, host and port of a URL, each in the one form in which it is compared."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.port in (None, _DEFAULT_PORTS.get(self.scheme))
        return f"{self.scheme}://{host}" + ("" if is_usual else f":{self.port}")


def origin_of(url: str) -> Origin:
    """Return the origin of a URL: a default port counts as written, and no case differs.

    A name in letters beyond ASCII counts as its IDNA form, a dot at its end as none, and an IPv6
    address in its shortest form. User and password are no part of it.

    Raises:
        ValueError: the URL names no host, or a port that cannot be.
    """
    parts = urlsplit(url)
    port = _DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port
    return Origin(parts.scheme, normal_host(parts.hostname or ""), port)


def normal_host(host: str) -> str:
    """Return a host in the form in which it is compared.

    Raises:
        ValueError: it is none.
    """
    if not host or _NO_HOST.search(host):
        raise ValueError(f"{host!r} is no host")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.encode("idna").decode().lower().removesuffix(".")


def place_of(url: str) -> str:
    """Return the origin of a URL as text; of what is no URL, what stands in the place of a host."""
    try:
        return str(origin_of(url))
    except ValueError:
        return f"an address without a host ({url.partition('?')[0][:80]!r})"


def is_same_origin(one: str, other: str) -> bool:
    """Tell whether two URLs lead to the same scheme, host and port."""
    try:
        return origin_of(one) == origin_of(other)
    except ValueError:
        return False


def below(url: str, base: str) -> str | None:
    """Return the path of a URL below a base, without the slash between; None if it is elsewhere."""
    path, start = urlsplit(url).path, urlsplit(base).path.rstrip("/")
    if not is_same_origin(url, base) or not path.startswith(f"{start}/"):
        return None
    return path.removeprefix(f"{start}/")


def spelled_like(url: str, own: str) -> str:
    """Return a URL with scheme, host and port as in another URL of the same origin.

    A URL of another origin is returned as it is.
    """
    if not is_same_origin(url, own):
        return url
    named = urlsplit(own)
    return urlunsplit(urlsplit(url)._replace(scheme=named.scheme, netloc=named.netloc))


def leads_to_this_machine(url: str) -> bool:
    """Tell whether the host of a URL is this machine."""
    return is_loopback(urlsplit(url).hostname)


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine."""
    try:
        name = normal_host(host or "")
    except ValueError:
        return False
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
