"""Check that no client can name a user by the header in which a proxy does."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tracker_service.doctor.results import CheckResult, fail, ok
from tracker_service.domain.urls import leads_to_this_machine
from tracker_service.settings import Settings
from tracker_service.settings.binds import binds

_CHECK = "user header"
_NOBODY = "tracker-doctor"
_TIMEOUT_S = 5.0


def findings(
    settings: Settings, service_url: str | None, ca_file: Path | None = None
) -> Iterator[CheckResult]:
    """Send the header as a client would, to the address that clients use; nothing if none is set.

    Args:
        service_url: of the proxy; None if nobody has said where it is. Nothing is found at the
            address of the service itself, which may believe whoever asks from this machine.
    """
    header = settings.serve.user_header
    if header is None or service_url is None or _is_past_the_proxy(settings, service_url):
        return
    url = service_url.rstrip("/")
    try:
        answer = requests.get(
            f"{url}/api/jobs/tracking",
            headers={header: _NOBODY},
            timeout=_TIMEOUT_S,
            allow_redirects=False,
            proxies={"no_proxy": "*"} if leads_to_this_machine(url) else None,
            verify=str(ca_file) if ca_file else None,
        )
    except OSError:
        return  # the check of notifications says so
    if answer.status_code == HTTPStatus.OK:
        yield fail(
            _CHECK,
            f"whoever sends {header} to {url} is taken for the user in it; have the proxy set or "
            f"clear {header} in every request, and correct serve.user_header_from",
        )
    else:
        yield ok(_CHECK, f"{url} believes {header} from no client")


def _is_past_the_proxy(settings: Settings, url: str) -> bool:
    own_ports = {bind.port for bind in binds(settings.serve.bind)}
    return leads_to_this_machine(url) and urlsplit(url).port in own_ports
