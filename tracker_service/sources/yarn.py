"""Ask the resource manager about applications.

Follows https://hadoop.apache.org/docs/r3.3.6/hadoop-yarn/hadoop-yarn-site/ResourceManagerRest.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import structlog

from tracker_service.domain.applications import ApplicationId, application_id
from tracker_service.domain.chunks import chunks
from tracker_service.domain.users import NoUserNameError, safe_user
from tracker_service.errors import ApplicationNotFound
from tracker_service.sources.bodies import items, nested_items, trusting_nothing
from tracker_service.sources.gateway import GatewaySession
from tracker_service.sources.nodes import RunningContainer, running_container
from tracker_service.sources.plain_values import text_of

log = structlog.get_logger()

_TAGS_PER_REQUEST = 100  #: 41 bytes each of the 8 KB that Knox takes as a request line
_MOST_LISTED = 10_000  #: applications or containers of one answer; a large job has fewer
_DIAGNOSTICS = 16 * 1024  #: characters that are kept; YARN itself keeps 64 KB


class LogAggregation(StrEnum):
    """How far the log aggregation of an application is (YARN's `LogAggregationStatus`)."""

    NOT_START = "NOT_START"
    RUNNING = "RUNNING"
    RUNNING_WITH_FAILURE = "RUNNING_WITH_FAILURE"
    SUCCEEDED = "SUCCEEDED"  #: each node's file is complete
    FAILED = "FAILED"  #: some node could not upload
    TIME_OUT = "TIME_OUT"  #: some node did not report in time
    DISABLED = "DISABLED"  #: this cluster keeps no logs

    @property
    def has_ended(self) -> bool:
        """Whether no more log will come."""
        return self in (LogAggregation.SUCCEEDED, LogAggregation.FAILED, LogAggregation.TIME_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationReport:
    """What the resource manager says about one application."""

    id: ApplicationId
    user: str  #: owner of the application and of its logs; empty if YARN names nobody
    state: str
    log_aggregation: LogAggregation
    finished_at: datetime | None = None
    diagnostics: str | None = None  #: why it ended, as YARN tells; at most 16 Ki characters

    @property
    def has_ended(self) -> bool:
        """Whether the application has ended; its log may still be aggregated."""
        return self.state in ("FINISHED", "FAILED", "KILLED")


class Yarn:
    """The resource manager behind the gateway, as one identity."""

    def __init__(self, session: GatewaySession, hide: Callable[[str], str] = str) -> None:
        """Prepare to ask.

        Args:
            hide: takes a text that a program wrote, and returns it without secrets.
        """
        self._session, self._hide = session, hide

    def application(self, application: ApplicationId) -> ApplicationReport:
        """Ask about one application.

        Raises:
            ApplicationNotFound: the resource manager has forgotten it; this says nothing about
                its log.
            GatewayUnavailable, CredentialsRefused, AccessDenied: nothing is known.
        """
        answer = self._session.ask("GET", f"resourcemanager/v1/cluster/apps/{application}")
        if answer.status == 404:
            raise ApplicationNotFound(f"the resource manager does not know {application}")
        with trusting_nothing(answer.path):
            return self._report(application, (items(answer.json().get("app")) or [{}])[0])

    def _report(self, application: ApplicationId, app: Mapping[str, Any]) -> ApplicationReport:
        return ApplicationReport(
            id=application,
            user=_user(app.get("user")),
            state=text_of(app.get("state")) or "",
            log_aggregation=_aggregation(app.get("logAggregationStatus")),
            finished_at=_instant(app.get("finishedTime")),
            diagnostics=_diagnostics(self._hide(text_of(app.get("diagnostics")) or "")),
        )

    def running_containers(self, application: ApplicationId) -> Iterator[RunningContainer]:
        """Yield the containers of an application that run now; what YARN knows no more has none.

        Raises:
            RouteClosed: the gateway hides where they run.
            GatewayUnavailable, CredentialsRefused, AccessDenied: nothing is known.
        """
        path = f"resourcemanager/v1/cluster/apps/{application}/appattempts"
        for attempt in self._listed(path, "appAttempts", "appAttempt"):
            if attempt.get("finishedTime"):
                continue
            below = f"{path}/{attempt.get('appAttemptId')}/containers"
            for container in self._listed(below, "containers", "container"):
                if container.get("containerState") in (None, "RUNNING"):
                    yield running_container(
                        str(container.get("containerId")),
                        str(container.get("assignedNodeId") or ""),
                        str(container.get("logUrl") or ""),
                    )

    def _listed(self, path: str, outer: str, inner: str) -> list[dict[str, Any]]:
        """Ask for a list, which is empty for what YARN does not know."""
        answer = self._session.ask("GET", path)
        if answer.status == 404:
            return []
        with trusting_nothing(path):
            found = nested_items(answer.json(), outer, inner)
            return [dict(item) for item in _first_of(found, path)]

    def tagged(self, tags: Collection[str]) -> list[tuple[ApplicationId, str]]:
        """Return the applications that carry any of these tags, with the tag, oldest first."""
        found = []
        wanted = sorted(tags)
        for chunk in chunks(wanted, _TAGS_PER_REQUEST):
            found += list(self._tagged(chunk))
        return sorted(found, key=lambda found: [int(number) for number in found[0].split("_")[1:]])

    def _tagged(self, tags: Sequence[str]) -> Iterator[tuple[ApplicationId, str]]:
        params, path = {"applicationTags": ",".join(tags)}, "resourcemanager/v1/cluster/apps"
        listed = self._session.ask("GET", path, params=params).json()
        with trusting_nothing(path):
            for app in _first_of(nested_items(listed, "apps", "app"), path):
                named = application_id(str(app.get("id")))
                carried = set(str(app.get("applicationTags")).split(",")).intersection(tags)
                if named and carried:
                    yield named, min(carried)


def _first_of(found: list[Any], path: str) -> list[Any]:
    """Return as many as one answer may list, and log how many more there are."""
    if more := len(found[_MOST_LISTED:]):
        log.warning("answer_cut", path=path, left_out=more)
    return found[:_MOST_LISTED]


def _user(named: object) -> str:
    """Return the name of a user; nothing for what cannot be one: paths are made of it."""
    try:
        return safe_user(text_of(named) or "")
    except NoUserNameError:
        return ""


def _instant(milliseconds: object) -> datetime | None:
    try:
        instant = datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return instant if instant.timestamp() > 0 else None


def _diagnostics(words: str) -> str | None:
    return words[:_DIAGNOSTICS].strip() or None


def _aggregation(word: object) -> LogAggregation:
    try:
        return LogAggregation(str(word))
    except ValueError:
        return LogAggregation.NOT_START
