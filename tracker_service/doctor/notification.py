"""Check whether a tracker answers at a URL to which Oozie can send notifications."""

from __future__ import annotations

from pathlib import Path

import requests

from tracker_service.doctor.results import CheckResult, ok, warn
from tracker_service.domain.urls import leads_to_this_machine
from tracker_service.settings import Settings

_CHECK = "notification"
_PROPERTY = "oozie.wf.workflow.notification.url"
_TIMEOUT_S = 5.0
_EVERYWHERE = ("0.0.0.0", "[::]")  # noqa: S104


def finding(
    settings: Settings, service_url: str | None = None, ca_file: Path | None = None
) -> CheckResult:
    """Ask the service whether it is alive, and judge whether Oozie reaches it too.

    Args:
        service_url: of the service; default: the address in the settings.
    """
    url = (service_url or f"http://{_reachable(settings.serve.bind)}").rstrip("/")
    try:
        answer = requests.get(
            f"{url}/healthz",
            timeout=_TIMEOUT_S,
            allow_redirects=False,
            proxies={"no_proxy": "*"} if leads_to_this_machine(url) else None,
            verify=str(ca_file) if ca_file else None,
        )
        is_alive = answer.ok and answer.json().get("status") == "alive"
    except requests.exceptions.SSLError:
        return warn(
            _CHECK,
            f"the certificate of {url} is not trusted here; set TRACKER_CA_FILE, and let the Java "
            "of Oozie's server trust it too",
        )
    except (OSError, ValueError, AttributeError):
        is_alive = False
    if not is_alive:
        return warn(
            _CHECK,
            f"no tracker answers at {url}, so Oozie cannot tell it of changes; start it, or set "
            "TRACKER_URL to where it is",
        )
    if leads_to_this_machine(url) and not leads_to_this_machine(settings.gateway.base):
        return warn(
            _CHECK,
            f"the tracker answers at {url}, which Oozie on another machine cannot reach, so "
            "it cannot notify; set TRACKER_SERVE__BIND or TRACKER_URL to an address that "
            "Oozie's server reaches",
        )
    return ok(
        _CHECK,
        f"the tracker answers at {url}; if Oozie's server reaches it there too, set "
        f"{_PROPERTY}={url}/api/notify/TOKEN?id=$jobId&status=$status in your jobs, with a token "
        "from `tracker notify-token create`",
    )


def _reachable(bind: str) -> str:
    """Return where this machine reaches what listens at an address."""
    host, _, port = bind.rpartition(":")
    return f"127.0.0.1:{port}" if host in _EVERYWHERE else bind
