"""Tell whether what travels to the database is encrypted, or stays on this machine."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tracker_service.domain.urls import is_loopback

_ENCRYPTS = frozenset({"require", "verify-ca", "verify-full"})


def plain_database_host(url: str) -> str | None:
    """Return the other machine to which a database's URL leads unencrypted; None if there is none.

    See https://www.postgresql.org/docs/current/libpq-ssl.html and
    https://pymysql.readthedocs.io/en/latest/modules/connections.html
    """
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    kind = parts.scheme.partition("+")[0]
    if kind == "sqlite" or not url:
        return None
    if kind == "postgresql":
        is_encrypted = query.get("sslmode") in _ENCRYPTS
    else:
        is_encrypted = any(name.startswith("ssl_") and name != "ssl_disabled" for name in query)
    if is_encrypted or "unix_socket" in query:
        return None
    places = parts.netloc.rpartition("@")[2].split(",") + query.get("host", "").split(",")
    for place in places:
        host = urlsplit(f"//{place}").hostname or ""
        if host and not place.startswith("/") and not is_loopback(host):
            return host
    return None
