"""Run workflows that other rooms want, and track them like those of users."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from xml.etree import ElementTree as ET

from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.ledger import EndedWorkflow
from tracker_service.domain.written_ids import read_ids
from tracker_service.engine.clock import Clock
from tracker_service.errors import ConfigError
from tracker_service.identities import Caller, Identities
from tracker_service.sources.credentials import BasicCredential
from tracker_service.tracking.causes import Causes
from tracker_service.tracking.intake import Intake
from tracker_service.tracking.lookup import JobView, Lookup

_EXTERNAL_ID = "oozie.wf.external.id"
_CAUSE_WITHIN = timedelta(minutes=10)  #: of the end; then what is known so far has to do


class TrackedWorkflows:
    """Starts workflows as one user, and tells how they have ended."""

    def __init__(
        self,
        identities: Identities,
        intake: Intake,
        lookup: Lookup,
        causes: Causes,
        credential: BasicCredential | str | None,
        clock: Clock,
    ) -> None:
        """Prepare to run workflows.

        Args:
            credential: of the user; with Kerberos, the user's name; None: none can be started.
        """
        self._identities, self._intake, self._lookup = identities, intake, lookup
        self._causes, self._credential, self._clock = causes, credential, clock

    def started(self, name: str) -> str | None:
        """Return the id of the workflow with this external id; None if there is none."""
        return self._identities.access(self._caller()).oozie.with_external_id(name)

    def start(self, name: str, properties: Mapping[str, str]) -> str:
        """Start a workflow with an external id, and return its id.

        Raises:
            RequestRefused: Oozie does not take it.
            GatewayUnavailable: nobody knows whether it was started; `started` tells later.
        """
        caller = self._caller()
        named = {"user.name": caller.name, **properties, _EXTERNAL_ID: name}
        return self._identities.access(caller).oozie.submit(_configuration(named))

    def end_of(self, workflow: str) -> EndedWorkflow | None:
        """Return how a workflow has ended; None while it runs, or while its cause is looked for.

        From the first call on it is tracked, so that its logs are saved if it fails.
        """
        caller = self._caller()
        view = self._lookup.job(caller, JobId(workflow))
        if not view.is_tracked:
            self._intake.track(caller, read_ids(workflow))
        if not view.status.is_terminal:
            return None
        if view.status == JobStatus.SUCCEEDED:
            return EndedWorkflow(succeeded=True)
        card = self._causes.of_view(view, view.owner)
        if (card is None or not card.cause.is_complete) and not self._is_long_over(view):
            return None
        why = card.cause.summary if card else f"is {view.status}"
        return EndedWorkflow(succeeded=False, why=why)

    def _is_long_over(self, view: JobView) -> bool:
        ended_at: datetime | None = view.ended_at or view.checked_at
        return ended_at is not None and self._clock() - ended_at > _CAUSE_WITHIN

    def _caller(self) -> Caller:
        if self._credential is None:
            raise ConfigError(
                "no user starts workflows for ledgers: set ledger.user and ledger.password_file"
            )
        if isinstance(self._credential, str):
            return self._identities.named(self._credential)
        return self._identities.verify(self._credential)


def _configuration(properties: Mapping[str, str]) -> bytes:
    """Return a Hadoop configuration document."""
    root = ET.Element("configuration")
    for name, value in properties.items():
        element = ET.SubElement(root, "property")
        ET.SubElement(element, "name").text = name
        ET.SubElement(element, "value").text = value
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
