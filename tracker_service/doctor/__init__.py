"""Check everything that the service needs, and report each result in one sentence."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from tracker_service.doctor import named_user, notification, reach, routes, tokens
from tracker_service.doctor.results import CheckResult, Severity, fail, ok
from tracker_service.errors import ConfigError
from tracker_service.settings import Settings
from tracker_service.sources.credentials import Credential
from tracker_service.sources.gateway import ClusterRoute, Gateway, GatewaySession
from tracker_service.sources.route import cluster_route

__all__ = ["CheckResult", "Severity", "examine"]


#: How the service acts for users in the background, by the settings.
_KEPT = {
    "password": "users' passwords are kept, encrypted, while there is work for them",
    "token": "users' tokens (not passwords) are kept, encrypted, while there is work for them",
    "kerberos": "the service acts for users with its keytab, and keeps no credential of theirs",
}


def examine(
    settings: Settings,
    credential: Credential,
    service_url: str | None = None,
    service_ca_file: Path | None = None,
) -> Iterator[CheckResult]:
    """Yield the result of one check after the other; stop where further checks make no sense.

    The only change is one directory in `.tracker` below the user's directory of logs, which is
    removed again.

    Args:
        settings: as the service reads them.
        credential: of the user as whom, or for whom, the cluster is asked.
        service_url: of a tracker; default: the address in the settings.
        service_ca_file: PEM with the authority that signed its certificate.
    """
    try:
        route = cluster_route(settings)
    except ConfigError as error:
        remedy = "; correct TRACKER_GATEWAY__CA_FILE" if "gateway.ca_file" in str(error) else ""
        yield fail("settings", f"{error}{remedy}")
        return
    kind = settings.gateway.background
    what = "Oozie" if settings.gateway.is_direct else "the gateway"
    yield ok("settings", f"the settings can be read; {what} is {settings.gateway.base}")
    yield ok("background", _KEPT["kerberos" if settings.gateway.is_direct else kind])
    if (yield from _is_reached(route)):
        session = route.session(credential)
        try:
            is_known = yield from _behind(session, settings.copying.directory)
            if is_known and isinstance(route, Gateway) and kind == "token":
                yield from tokens.findings(settings.gateway, route, session)
        finally:
            session.close()
    yield notification.finding(settings, service_url, service_ca_file)
    yield from named_user.findings(settings, service_url, service_ca_file)


def _is_reached(route: ClusterRoute) -> Generator[CheckResult, None, bool]:
    """Yield the results on the way to the gateway; return whether the gateway is reached."""
    if not isinstance(route, Gateway):
        return True  # each service is on a machine of its own
    for finding in reach.findings(route):
        yield finding
        if finding.level == Severity.FAIL:
            return False
    return True


def _behind(session: GatewaySession, logs: str) -> Generator[CheckResult, None, bool]:
    """Yield the results behind the gateway; return whether it lets the user in."""
    is_known = False
    for finding in routes.findings(session, logs):
        yield finding
        is_known |= finding == routes.known(session.user)
    return is_known
