"""What is known of a run that failed: all that its cause is concluded from."""

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
    diagnostics: str | None = None  #: as YARN wrote them; None where nobody asked, or YARN forgot
    findings: Any = None  #: JSON: what was noted while its log passed; None where nobody did
    is_saved: bool = False  #: its log is, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run of a job that ended without success."""

    job_id: JobId
    run: int
    status: JobStatus
    actions: Sequence[Action]  #: those of its sub-workflows too, as far as they were asked for
    witnesses: Sequence[Witness] = ()
    is_complete: bool  #: all its applications are known, and the log of each is saved, whole


#: None where nothing tells why.
Conclude = Callable[[Failure], Cause | None]
