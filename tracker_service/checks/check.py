"""One check, as a file of checks describes it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tracker_service.checks.schedule import Schedule
from tracker_service.checks.values import AnyPath, SuccessTest
from tracker_service.domain.subscriptions import QuietHours

CHECK = "check"  #: the kind of the tasks


def shown_url(url: str) -> str:
    """Return a URL, or an endpoint, without the values of its query, which may be secrets."""
    place, mark, query = url.partition("?")
    parts = (each.partition("=") for each in query.split("&"))
    return place + mark + "&".join(f"{name}=***" if equals else name for name, equals, _ in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPost:
    """Where the result of a check is posted to."""

    url: str
    parameter: tuple[str, str] | None = field(default=None, repr=False)  #: a key in the URL
    header: tuple[str, str] | None = field(default=None, repr=False)  #: a key in a header
    body: Any = None  #: template of the JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class BusPut:
    """The bus of Amazon EventBridge that the result of a check is put on."""

    region: str
    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    bus: str = "default"
    source: str
    detail_type: str
    resources: tuple[str, ...] = ()
    detail: Any = None  #: template of the JSON object


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent to the endpoint."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: str | None = field(default=None, repr=False)
    timeout_s: float = 10.0
    verify: bool = True
    ca_file: str | None = None
    follows_redirects: bool = True

    @property
    def host(self) -> str:
        """Return the host and the port that are asked."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check of one endpoint."""

    name: str
    request: Request
    schedule: Schedule
    statuses: tuple[range, ...] = (range(200, 300),)
    values: tuple[tuple[str, AnyPath], ...] = ()  #: of the answer, that are kept
    tests: tuple[SuccessTest, ...] = ()
    retries: int = 0
    failures_in_a_row: int = 2  #: before the check is down
    successes_in_a_row: int = 1  #: before it is up again
    on_missed: str = "run_once"  #: skip, run_once, run_all
    most_missed: int = 100  #: due times that run_all runs
    jitter_s: float | None = None  #: how far its runs lie from the due times; None: as the settings
    maintenance: tuple[QuietHours, ...] = ()
    tags: tuple[str, ...] = ()
    post_on: str = "success"  #: success, failure, change, always
    post: HttpPost | None = None
    put: BusPut | None = None

    @property
    def spread(self) -> float:
        """Return a number from 0 to 1 that is always the same for a name."""
        return zlib.crc32(self.name.encode()) / 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfReport:
    """Where the state of the checks themselves is reported to."""

    post: HttpPost | None = None
    put: BusPut | None = None
