"""Check the services behind the gateway as one user: login, Oozie, HDFS, YARN, clock."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tracker_service.doctor.reach import URL
from tracker_service.doctor.results import CheckResult, Severity, fail, ok, warn
from tracker_service.domain.copies import LOGS, working_directory
from tracker_service.errors import (
    AccessDenied,
    CannotAnswerNow,
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    PathNotFound,
    RequestRefused,
)
from tracker_service.sources.direct import DirectSession
from tracker_service.sources.gateway import Answer, GatewaySession
from tracker_service.sources.webhdfs import WebHdfs

_CLOCKS_APART_S = 60

#: Yields results of the login; returns whether it succeeded, and HDFS's first answer if any.
_Way = Generator[CheckResult, None, tuple[bool, Answer | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """A service behind the gateway, and how to see that it works."""

    check: str
    name: str
    role: str  #: its name in a topology
    path: str
    state: Callable[[Mapping[str, Any]], object]  #: its state, taken from its answer
    good: str  #: the state that it should have
    remedy: str  #: what to do about any other state
    worst: Severity = Severity.FAIL


_HOME = "webhdfs/v1/"
_OOZIE = _Route(
    check="oozie",
    name="Oozie",
    role="OOZIE",
    path="oozie/v1/admin/status",
    state=lambda body: body.get("systemMode"),
    good="NORMAL",
    remedy="it starts no job so; an administrator ends that with `oozie admin -systemmode NORMAL`",
)
_YARN = _Route(
    check="resource-manager",
    name="the resource manager",
    role="RESOURCEMANAGER",
    path="resourcemanager/v1/cluster/info",
    state=lambda body: (body.get("clusterInfo") or {}).get("state"),
    good="STARTED",
    remedy="it starts no application so; have an administrator look at it",
)
_HISTORY = _Route(
    check="job-history",
    name="the job history",
    role="JOBHISTORYUI",
    path="jobhistory/ws/v1/history/info",
    state=lambda body: "STARTED" if (body.get("historyInfo") or {}).get("startedOn") else None,
    good="STARTED",
    remedy="do without it: the service can",
    worst=Severity.WARN,
)


def findings(session: GatewaySession, logs: str = LOGS) -> Iterator[CheckResult]:
    """Yield the results of the services; without a login only that of the login.

    Args:
        logs: the setting `copying.directory`.
    """
    way = _without_gateway if isinstance(session, DirectSession) else _through_gateway
    is_in, home = yield from way(session)
    if not is_in:
        return
    yield _checked(session, _OOZIE)
    yield from _hdfs(session, home, logs)
    yield _checked(session, _YARN)
    yield _checked(session, _HISTORY)
    if home:
        yield clock(home.headers.get("Date", ""))


def _without_gateway(session: GatewaySession) -> _Way:
    try:
        home = session.ask("GET", _HOME, params={"op": "GETHOMEDIRECTORY"})
    except GatewayError as error:  # says itself what to do
        yield fail("login", str(error))
        return False, None
    yield ok("login", f"the service can log in and act for {session.user}")
    return True, home


def _through_gateway(session: GatewaySession) -> _Way:
    try:
        home = session.ask("GET", _HOME, params={"op": "GETHOMEDIRECTORY"})
    except CredentialsRefused:
        yield fail(
            "login",
            f"the gateway refuses the password of {session.user}; correct TRACKER_USER and "
            "TRACKER_PASSWORD, or see to Knox's LDAP: while that is down, all are refused",
        )
        return False, None
    except GatewayUnavailable as error:
        if error.__cause__:  # there was no answer at all
            yield fail("login", f"{error}; is Knox well, and is the start of {URL} right?")
            return False, None
        home = None  # a service away is told of only to who is logged in
    if home and home.status == 404 and home.body:  # Knox says this to everybody
        yield fail("topology", f"there is no topology at {session.url}; correct {URL}")
        return False, home
    yield known(session.user)
    yield ok("topology", f"there is a topology at {session.url}")
    return True, home


def known(user: str) -> CheckResult:
    """Return the good result of a login."""
    return ok("login", f"the gateway knows {user}")


def _checked(session: GatewaySession, route: _Route) -> CheckResult:
    """Ask a service how it is."""

    def wrong(message: str) -> CheckResult:
        return CheckResult(route.worst, route.check, message)

    try:
        answer = session.ask("GET", route.path)
        if answer.status == 404:
            message = _missing(route.name, route.role)
            return wrong(
                message if route.worst == Severity.FAIL else f"{message}, or {route.remedy}"
            )
        state = route.state(answer.json())
    except GatewayUnavailable as error:
        return wrong(_away(route.name, error))
    except (GatewayError, AttributeError) as error:
        return wrong(f"{route.name} does not tell how it is ({error}); {route.remedy}")
    if state != route.good:
        return wrong(f"{route.name} says {state}, not {route.good}; {route.remedy}")
    return ok(route.check, f"{route.name} answers ({state})")


def _missing(name: str, role: str) -> str:
    return f"the topology has no way to {name}; add the service {role} to it"


def _away(name: str, error: GatewayError) -> str:
    return f"{name} cannot be reached ({error}); is it running, and its URL in the topology right?"


def _hdfs(session: GatewaySession, home: Answer | None, logs: str) -> Iterator[CheckResult]:
    hdfs = WebHdfs(session)
    if home and home.status == 404:
        yield fail("hdfs-read", _missing("HDFS", "WEBHDFS"))
        return
    try:
        user = hdfs.user()
        at = hdfs.home()
        hdfs.status(at)
    except PathNotFound:
        yield fail(
            "hdfs-read",
            f"HDFS has no home directory {at}; have an administrator make it, and {user} its owner",
        )
    except AccessDenied as error:
        yield fail("hdfs-read", f"HDFS lets {session.user} read nothing: {error}")
    except GatewayError as error:
        yield fail("hdfs-read", _away("HDFS", error))
    else:
        yield ok("hdfs-read", f"HDFS has the home directory {at}")
        yield from _written(hdfs, user, logs.format(home=at, user=user))


def _written(hdfs: WebHdfs, user: str, logs: str) -> Iterator[CheckResult]:
    """Write, replace, read and remove a file as the copier does."""
    directory = working_directory(logs, f"doctor-{secrets.token_hex(8)}")
    try:
        yield _replaced(hdfs, directory)
    except AccessDenied as error:
        yield fail(
            "hdfs-write", f"{user} may not write in HDFS: {error}; have the rights corrected"
        )
    except RequestRefused as error:
        yield fail("hdfs-write", f"HDFS refuses to take a file ({error}); have that corrected")
    except CannotAnswerNow as error:
        yield fail(
            "hdfs-write",
            f"HDFS says that it takes no file now ({error}); wait until it has left safe mode "
            "(`hdfs dfsadmin -safemode get`), or let the topology's WEBHDFS lead to the active "
            "NameNode",
        )
    except GatewayError as error:
        yield fail(
            "hdfs-write",
            f"HDFS takes no file ({error}); can Knox reach the DataNodes, and does its "
            "gateway.dispatch.whitelist name them?",
        )
    try:
        hdfs.delete(directory)
    except GatewayError as error:
        yield warn("hdfs-write", f"{directory} could not be removed: {error}; remove it")


def _replaced(hdfs: WebHdfs, directory: str) -> CheckResult:
    part, log, written = f"{directory}/part", f"{directory}/log", secrets.token_bytes(64)
    hdfs.make_directory(directory)
    hdfs.write(log, b"an older one")
    hdfs.write(part, written)
    hdfs.rename(part, log)
    if hdfs.head(log, 2 * len(written)) != written:
        return fail(
            "hdfs-write",
            f"{log} was not replaced by {part}; let the topology's WEBHDFS lead to the NameNode: "
            "HttpFS cannot do this",
        )
    return ok("hdfs-write", "HDFS writes, replaces, reads and removes a file")


def clock(date: str) -> CheckResult:
    """Compare the clock of a gateway, from its header Date, with that of this machine."""
    # What is behind Knox may add dates of its own: the first is Knox's.
    first = date.partition("GMT")[0] + "GMT"
    try:
        apart = (datetime.now(UTC) - parsedate_to_datetime(first)).total_seconds()
    except ValueError:
        return warn("clock", f"the gateway's clock cannot be seen (Date: {date!r})")
    if abs(apart) > _CLOCKS_APART_S:
        side = "ahead of" if apart > 0 else "behind"
        return warn(
            "clock",
            f"this machine's clock is {abs(apart):.0f} s {side} the gateway's; let both follow NTP",
        )
    return ok("clock", "this machine's clock agrees with the gateway's")
