"""A Teraslice master to scrape: where it is, how often it is asked, and what opens its proxy."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from tracker_service.errors import NoUsableAnswer

TERASLICE = "teraslice"  #: the kind of the tasks that scrape a master


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A master; all of it may be stored, because secrets stay in their files."""

    name: str  #: the label `cluster`; empty: the name that the master itself gives
    url: str  #: up to and with a path prefix, without a slash at the end
    display_url: str  #: the label `url`, with a slash at the end
    interval_s: float  #: from one update to the next
    timeout_s: float  #: of one request
    ca_file: str | None = None  #: PEM with a further authority
    user: str | None = None  #: for a proxy in front of the master (HTTP Basic)
    password_file: str | None = None
    header: str | None = None  #: a header for a proxy in front of the master
    header_file: str | None = None  #: its value

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Return the master of a stored task; what another release has stored beside is ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in spec.items() if name in known})

    def spec(self) -> dict[str, Any]:
        """Return what is stored with the task."""
        return asdict(self)

    @property
    def authority(self) -> Path | None:
        """Return the file of the further authority."""
        return Path(self.ca_file) if self.ca_file else None

    @property
    def spread(self) -> float:
        """Return a share of the interval, from 0 to 1, that differs from master to master."""
        return zlib.crc32(f"{self.name} {self.url}".encode()) / 2**32

    def headers(self) -> dict[str, str]:
        """Return the headers that open a proxy in front of the master; files are read anew.

        Raises:
            NoUsableAnswer: a file cannot be read.
        """
        found = dict[str, str]()
        if self.user is not None and self.password_file:
            found["Authorization"] = basic(self.user, _secret(self.password_file))
        if self.header and self.header_file:
            # `http.client` writes latin-1, and a proxy that wants more reads UTF-8.
            found[self.header] = _secret(self.header_file).encode().decode("latin-1")
        return found


def _secret(file: str) -> str:
    try:
        secret = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoUsableAnswer(f"cannot read {file}: {error}", kind="credentials") from error
    if not secret.isprintable():
        raise NoUsableAnswer(f"{file} has more than one line", kind="credentials")
    return secret


def basic(user: str, password: str) -> str:
    """Return the header `Authorization` of a user; see RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def without_user(url: str) -> tuple[str, str | None]:
    """Take user and password off a URL.

    Returns:
        the URL without them and without a slash at its end, and the header `Authorization` that
        stands for them; None where the URL has none.
    """
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    bare = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
    if parts.username is None:
        return bare, None
    return bare, basic(unquote(parts.username), unquote(parts.password or ""))
