"""Ask the resource manager about applications.

Follows https://hadoop.apache.org/docs/r3.3.6/hadoop-yarn/hadoop-yarn-site/ResourceManagerRest.html
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from tracker_service.domain.applications import ApplicationId, application_id
from tracker_service.errors import ApplicationNotFound
from tracker_service.sources.gateway import GatewaySession


class LogAggregation(StrEnum):
    """How far the nodes are with uploading an application's logs (`LogAggregationStatus`)."""

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
    user: str  #: owner of the application and of its logs
    state: str
    final_status: str
    log_aggregation: LogAggregation
    diagnostics: str


class Yarn:
    """The resource manager behind the gateway, as one identity."""

    def __init__(self, session: GatewaySession) -> None:
        self._session = session

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
        app = answer.json().get("app") or {}
        return ApplicationReport(
            id=application,
            user=str(app.get("user") or ""),
            state=str(app.get("state") or ""),
            final_status=str(app.get("finalStatus") or ""),
            log_aggregation=_aggregation(app.get("logAggregationStatus")),
            diagnostics=str(app.get("diagnostics") or ""),
        )

    def tagged(self, tags: Collection[str]) -> list[tuple[ApplicationId, str]]:
        """Return the applications that carry any of these tags, with the tag, oldest first."""
        listed = self._session.ask(
            "GET",
            "resourcemanager/v1/cluster/apps",
            params={"applicationTags": ",".join(sorted(tags))},
        ).json()
        found = []
        for app in (listed.get("apps") or {}).get("app") or []:
            named = application_id(str(app.get("id")))
            carried = set(str(app.get("applicationTags")).split(",")).intersection(tags)
            if named and carried:
                found.append((named, min(carried)))
        return sorted(found)


def _aggregation(word: object) -> LogAggregation:
    try:
        return LogAggregation(str(word))
    except ValueError:
        return LogAggregation.NOT_START
