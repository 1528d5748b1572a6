"""What post-processing can do: nothing, call a webhook, run an Oozie workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import requests

from tracker_service.domain.ledger import EndedWorkflow
from tracker_service.errors import GatewayUnavailable, RequestRefused
from tracker_service.ledger import go_json
from tracker_service.ledger.post_processing import Done, Failed, Outcome, Retry, Waiting
from tracker_service.store.ledger_actions import Claim

_LOOK_EVERY_S = 5.0  #: at a workflow that runs
_ANSWER_S = (3.05, 30.0)  #: to connect to a webhook, and for its answer
_LATER = (408, 425, 429)  #: refusals that a later call may not meet
_LONGEST_REASON = 500


class Nothing:
    """Lets a job go on at once."""

    def run(self, claim: Claim, note: Callable[[str], object]) -> Outcome:
        """Do nothing."""
        return Done()


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts the job as JSON."""

    url: str

    def run(self, claim: Claim, note: Callable[[str], object]) -> Outcome:
        """Post the job; a receiver knows a repeated call by its `Idempotency-Key`."""
        body = go_json.job_with_target(claim.stored.job)
        headers = {"Content-Type": "application/json", "Idempotency-Key": claim.name}
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    self.url, body, headers=headers, timeout=_ANSWER_S, allow_redirects=False
                )
        except requests.RequestException as error:
            return Retry(f"{self.url} does not answer: {type(error).__name__}")
        if 200 <= answer.status_code < 300:
            return Done()
        said = f"{self.url} answered {answer.status_code} {answer.text[:_LONGEST_REASON]}".rstrip()
        is_temporary = answer.status_code >= 500 or answer.status_code in _LATER
        return Retry(said) if is_temporary else Failed(said)


class Workflows(Protocol):
    """Runs Oozie workflows that this service tracks."""

    def started(self, name: str) -> str | None:
        """Return the id of the workflow with this external id; None if there is none."""

    def start(self, name: str, properties: Mapping[str, str]) -> str:
        """Start a workflow with an external id, and return its id."""

    def end_of(self, workflow: str) -> EndedWorkflow | None:
        """Return how a workflow has ended; None while it runs, or while its cause is looked for."""


@dataclass(frozen=True, slots=True)
class RunWorkflow:
    """Starts an Oozie workflow; the job goes on when it succeeds."""

    workflows: Workflows
    properties: Mapping[str, str]

    def run(self, claim: Claim, note: Callable[[str], object]) -> Outcome:
        """Start the workflow, or look how far it is."""
        try:
            workflow = claim.reference or self._begin(claim, note)
            ended = self.workflows.end_of(workflow)
        except GatewayUnavailable as error:
            return Waiting(error.retry_after_s or _LOOK_EVERY_S)
        except RequestRefused as error:
            return Failed(str(error))
        if ended is None:
            return Waiting(_LOOK_EVERY_S)
        return Done(workflow) if ended.succeeded else Failed(f"{workflow}: {ended.why}")

    def _begin(self, claim: Claim, note: Callable[[str], object]) -> str:
        """Start the workflow, unless an attempt that has died has done so."""
        # A repeated action starts another one, under another name.
        name = f"{claim.name}-{claim.attempts}"
        workflow = self.workflows.started(name)
        if workflow is None:
            workflow = self.workflows.start(name, self._filled(claim))
        note(workflow)
        return workflow

    def _filled(self, claim: Claim) -> dict[str, str]:
        """Return the properties, with the facts of the job in them."""
        job = claim.stored.job
        facts = {
            "ledgerJobId": claim.stored.key,
            "ledgerBucket": job.bucket,
            "ledgerExperiment": job.experiment,
            "ledgerDatatype": job.datatype,
            "ledgerDate": f"{job.date:%Y-%m-%d}",
            "ledgerPath": job.path,
        }
        return {**facts, **self.properties}
