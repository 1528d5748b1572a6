"""A failed run with everything that its cause is concluded from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.causes import Cause
from tracker_service.domain.jobs import Action, JobId, JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """An application of a run that failed, with what YARN and its log say."""

    application: ApplicationId
    action: str  #: name of the action that started it
    workflow_id: str  #: the job itself, or the sub-workflow that the action belongs to
    role: str  #: `launcher` or `child`
    diagnostics: str | None = None  #: of YARN; None if not asked for, or if YARN has forgotten them
    findings: Any = None  #: JSON: lines that the scan of its log found; None if not scanned
    is_saved: bool = False  #: its whole log is saved


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run of a job that ended without success."""

    job_id: JobId
    run: int
    status: JobStatus
    actions: Sequence[Action]  #: of the job and of those sub-workflows that were asked for
    witnesses: Sequence[Witness] = ()
    is_complete: bool  #: all its applications are known, and their whole logs are saved


#: Returns None if nothing shows why.
Conclude = Callable[[Failure], Cause | None]
