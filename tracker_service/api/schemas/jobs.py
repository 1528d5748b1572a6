"""The answers about jobs and their tasks."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.api.schemas.causes import CauseAnswer
from tracker_service.api.schemas.copies import CopiesByApplication, by_application
from tracker_service.domain.applications import short
from tracker_service.domain.jobs import Action, JobStatus
from tracker_service.store.jobs import StateChange
from tracker_service.tracking.causes import Card
from tracker_service.tracking.intake import TrackResult
from tracker_service.tracking.lookup import JobView


class PostedAnswer(Schema):
    """What is known about one posted id."""

    id: str
    status: JobStatus
    applications_ids: list[str] = Field(description="known so far, without `application_`")


class PostedActionAnswer(PostedAnswer):
    """What is known about one posted id of an action; `id` is the job that it means."""

    posted: str = Field(description="the id of the action")
    message: str = Field(description="what the id means")


class PostedAnswers(RootModel[list[PostedAnswer | PostedActionAnswer]]):
    """One answer for each id, in the order posted."""


def posted_answer(answer: TrackResult) -> PostedAnswer:
    """Return the answer to one posted id."""
    known = PostedAnswer(
        id=answer.id,
        status=answer.status,
        applications_ids=[short(application) for application in answer.applications],
    )
    if answer.note is None:
        return known
    return PostedActionAnswer(**dict(known), posted=answer.posted.text, message=answer.note)


class StatusAnswer(Schema):
    """A job's state."""

    id: str
    status: JobStatus
    status_code: int = Field(default=200, alias="status_code")


class ActionAnswer(Schema):
    """An action of a workflow, or one of a coordinator that never became a workflow."""

    name: str
    type: str
    status: str
    external_id: str | None
    external_child_ids: str | None
    external_status: str | None
    error_code: str | None
    error_message: str | None
    started: str | None
    ended: str | None

    @classmethod
    def of(cls, action: Action) -> Self:
        """Return an action as clients see it."""
        return cls(
            name=action.name,
            type=action.type,
            status=action.status,
            external_id=action.external_id,
            external_child_ids=action.child_ids,
            external_status=action.external_status,
            error_code=action.error_code,
            error_message=action.error_message,
            started=action.started_at.isoformat() if action.started_at else None,
            ended=action.ended_at.isoformat() if action.ended_at else None,
        )


_LOGS = (
    "`saved`, `at risk until` with the time when the cluster deletes the first that is not, "
    "`partly lost`, `lost`; null where no log is wanted"
)


class ChangeAnswer(Schema):
    """A change of a job's state."""

    sequence: int
    before: str | None = Field(alias="from")
    to: str
    at: Instant

    @classmethod
    def of(cls, change: StateChange) -> Self:
        """Return a change as clients see it."""
        return cls(
            sequence=change.sequence,
            to=change.to_status,
            at=change.changed_at,
            **{"from": change.from_status},
        )


class ChildAnswer(Schema):
    """A job that another one has started."""

    id: str
    status: JobStatus


class JobAnswer(Schema):
    """All about one job."""

    id: str
    status: JobStatus
    run: int = Field(description="0, and one more after each rerun")
    name: str | None
    user: str | None = Field(description="who submitted it")
    parent_id: str | None
    created: Instant | None
    started: Instant | None
    ended: Instant | None
    last_checked: Instant | None
    tracked: bool = Field(description="by you")
    reason: str | None = Field(description="why your task does not go on, or why it ended")
    applications_ids: list[str] = Field(description="without `application_`")
    application_ids: list[str] = Field(description="the same: both spellings are in use")
    log_jobs: CopiesByApplication = Field(description="your copies")
    logs: str | None = Field(description=_LOGS)
    cause: CauseAnswer | None = Field(description="why it failed; null where nothing tells")
    actions: list[ActionAnswer]
    history: list[ChangeAnswer]
    children: list[ChildAnswer] = Field(
        description="the workflows of a coordinator or the coordinators of a bundle that are "
        "tracked for you, the newest 1000, the newest first"
    )

    @classmethod
    def of(cls, view: JobView, card: Card | None) -> Self:
        """Return a job as one caller sees it, with why it failed."""
        ids = [short(application) for application in view.applications]
        return cls(
            id=view.id,
            status=view.status,
            run=view.run,
            name=view.name,
            user=view.user,
            parent_id=view.parent_id,
            created=view.created_at,
            started=view.started_at,
            ended=view.ended_at,
            last_checked=view.checked_at,
            tracked=view.is_tracked,
            reason=view.reason,
            applications_ids=ids,
            application_ids=ids,
            log_jobs=by_application(view.copies, view.retention),
            logs=view.logs,
            cause=CauseAnswer.of(card) if card else None,
            actions=[ActionAnswer.of(action) for action in view.actions],
            history=[ChangeAnswer.of(change) for change in view.history],
            children=[ChildAnswer(id=id, status=status) for id, status in view.children.items()],
        )


class TrackedAnswer(Schema):
    """A job that is tracked; each copy that has a workflow is named `action-copy-job-<app>` too."""

    model_config = ConfigDict(extra="allow")

    id: str
    status: JobStatus
    name: str | None
    owner: str = Field(description="who tracks it")
    application_ids: list[str]
    applications: CopiesByApplication
    logs: str | None = Field(description=_LOGS)
    last_checked: Instant | None
    reason: str | None

    @classmethod
    def of(cls, view: JobView) -> Self:
        """Return a job in a list of tracked ones."""
        jobs = {f"action-copy-job-{short(copy.application)}": copy.job for copy in view.copies}
        return cls(
            id=view.id,
            status=view.status,
            name=view.name,
            owner=view.owner,
            application_ids=[short(application) for application in view.applications],
            applications=by_application(view.copies, view.retention),
            logs=view.logs,
            last_checked=view.checked_at,
            reason=view.reason,
            **{name: job for name, job in jobs.items() if job},
        )


class TrackedAnswers(RootModel[list[TrackedAnswer]]):
    """Tracked jobs, the longest tracked first."""


class OozieJobsAnswer(BaseModel):
    """Oozie's own list; see `GET /oozie/v2/jobs` of its Web Services API."""

    total: int
    offset: int
    len: int
    workflows: list[dict[str, Any]] = Field(default=[], description="with `jobtype=wf`")
    coordinatorjobs: list[dict[str, Any]] = Field(default=[], description="with `jobtype=coord`")
    bundlejobs: list[dict[str, Any]] = Field(default=[], description="with `jobtype=bundle`")
