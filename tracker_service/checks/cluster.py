"""Ready-made checks of the cluster's own services behind the gateway."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracker_service.checks.files import Source
from tracker_service.checks.grammar import Secrets, check_of

PREFIX = "cluster:"  #: begins the names of these checks
_EVERY = "@every 30s"
#: The path of each service, below the topology, and what its answer has to say: see
#: https://oozie.apache.org/docs/5.2.1/WebServicesAPI.html#System_Status and
#: https://hadoop.apache.org/docs/stable/hadoop-yarn/hadoop-yarn-site/ResourceManagerRest.html
_SERVICES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "knox": ("", {"status_code": ["200-499"], "follow_redirects": False}),
    "oozie": (
        "/oozie/v1/admin/status",
        {
            "response_json_values": ["systemMode"],
            "success_test": {"key": "systemMode", "value": "NORMAL"},
        },
    ),
    "webhdfs": (
        "/webhdfs/v1/?op=GETHOMEDIRECTORY",
        {"success_test": {"key": "Path", "op": "exists"}},
    ),
    "resourcemanager": (
        "/resourcemanager/v1/cluster/info",
        {
            "response_json_values": [{"state": "clusterInfo.state"}],
            "success_test": {"key": "clusterInfo.state", "value": "STARTED"},
        },
    ),
    "jobhistory": (
        "/jobhistory/ws/v1/history/info",
        {"success_test": {"key": "historyInfo.startedOn", "op": "exists"}},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """How the cluster is reached."""

    base: str  #: up to and with the topology, without a slash at its end
    user: str | None
    password_file: Path | None = field(repr=False)
    ca_file: Path | None
    verify: bool


def cluster_checks(gateway: Gateway) -> dict[str, Source]:
    """Return the checks of the cluster's services by their names."""
    common: dict[str, Any] = {"cron_schedule": _EVERY, "tags": ["cluster"], "timeout": "25s"}
    if gateway.user and gateway.password_file:
        login = f"{gateway.user}:{gateway.password_file.read_text().strip()}"
        value = base64.b64encode(login.encode()).decode()
        common["headers"] = {"Authorization": f"Basic {value}"}
    if gateway.ca_file:
        common["ca_file"] = str(gateway.ca_file)
    if not gateway.verify:
        common["verify"] = False
    return {
        f"{PREFIX}{service}": _source(
            f"{gateway.base}{path}", f"{PREFIX}{service}", {**common, **more}
        )
        for service, (path, more) in _SERVICES.items()
    }


def _source(url: str, name: str, keys: Mapping[str, Any]) -> Source:
    raw = {"name": name, **keys}
    check = check_of(url, raw, 1, Secrets())
    assert check is not None  # noqa: S101 (it is enabled)
    return Source.of(url, raw, check)
