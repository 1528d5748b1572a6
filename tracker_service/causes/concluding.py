"""Conclude a cause by the rules from what the store knows of a failure."""

from __future__ import annotations

from tracker_service.causes.findings import Findings
from tracker_service.causes.rules import Rules
from tracker_service.causes.statements import FailureEvidence as Said
from tracker_service.causes.verdict import cause_of
from tracker_service.domain.applications import Application
from tracker_service.domain.causes import Cause
from tracker_service.domain.failures import Conclude, Failure


def concluding(rules: Rules) -> Conclude:
    """Return what concludes causes by these rules."""

    def conclude(failure: Failure) -> Cause | None:
        return cause_of(_said(failure), rules)

    return conclude


def _said(failure: Failure) -> Said:
    witnesses = failure.witnesses
    return Said(
        job_id=failure.job_id,
        status=failure.status,
        actions=failure.actions,
        diagnostics={w.application: w.diagnostics for w in witnesses if w.diagnostics},
        applications=[
            Application(id=w.application, action=w.action, workflow_id=w.workflow_id, role=w.role)
            for w in witnesses
        ],
        findings={w.application: Findings.of_json(w.findings) for w in witnesses if w.findings},
        is_complete=failure.is_complete and all(w.findings for w in witnesses),
    )
