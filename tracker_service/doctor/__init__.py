"""Check each route that the service needs, and say in one sentence each what is wrong."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from tracker_service.doctor import notification, reach, routes, tokens
from tracker_service.doctor.results import CheckResult, Severity, fail, ok
from tracker_service.errors import ConfigError
from tracker_service.settings import Settings
from tracker_service.sources.credentials import Credential
from tracker_service.sources.gateway import ClusterRoute, Gateway, GatewaySession
from tracker_service.sources.route import cluster_route

__all__ = ["CheckResult", "Severity", "examine"]


#: What acts for users in the background, by the settings.
_KEPT = {
    "password": "users' passwords are kept, sealed, while there is work for them",
    "token": "tokens of users are kept, sealed, in place of their passwords, while there is work",
    "kerberos": "the service acts for users with its keytab, and keeps nothing of theirs",
}


def examine(
    settings: Settings,
    credential: Credential,
    service_url: str | None = None,
    service_ca_file: Path | None = None,
) -> Iterator[CheckResult]:
    """Yield what there is to say, one check after the other, as far as they make sense.

    Nothing is changed but one directory below `WORK/logs/.tracker` of the user's home in HDFS,
    which is removed again.

    Args:
        settings: as the service reads them.
        credential: the user as whom, or for whom, the cluster is asked.
        service_url: where a tracker is said to be; without it where the settings put it.
        service_ca_file: PEM with the authority of its certificate.
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
            is_known = yield from _behind(session)
            if is_known and isinstance(route, Gateway) and kind == "token":
                yield from tokens.findings(settings.gateway, route, session)
        finally:
            session.close()
    yield notification.finding(settings, service_url, service_ca_file)


def _is_reached(route: ClusterRoute) -> Generator[CheckResult, None, bool]:
    """Yield what is found on the way to the gateway; return whether it leads there."""
    if not isinstance(route, Gateway):
        return True  # each service is on a machine of its own
    for finding in reach.findings(route):
        yield finding
        if finding.level == Severity.FAIL:
            return False
    return True


def _behind(session: GatewaySession) -> Generator[CheckResult, None, bool]:
    """Yield what is found behind the gateway; return whether it lets the user in."""
    is_known = False
    for finding in routes.findings(session):
        yield finding
        is_known |= finding == routes.known(session.user)
    return is_known
