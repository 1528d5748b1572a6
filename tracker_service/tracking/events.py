"""Tell users of failed jobs, and whether their logs are safe, in the log of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tracker_service.domain.causes import Cause
from tracker_service.domain.copies import Completeness, Copy
from tracker_service.domain.events import Event, EventType
from tracker_service.domain.tasks import TrackTask
from tracker_service.store.jobs import KeptJob
from tracker_service.tracking.safety import is_wanted

_MOST_LOGS = 20  #: that one event names


def job_failed(
    task: TrackTask, job: KeptJob, cause: Cause | None, copies: Sequence[Copy], now: datetime
) -> Event:
    """Return the event of a failed run: there is one for each user and run.

    Args:
        cause: as far as it is known by now.
        copies: of the logs of the run.
    """
    return _of_run(EventType.JOB_FAILED, task, job, cause, copies, now)


def logs_at_risk(
    task: TrackTask, job: KeptJob, cause: Cause | None, copies: Sequence[Copy], now: datetime
) -> Event:
    """Return the event of a run whose logs cannot be saved at once: one for each user and run."""
    return _of_run(EventType.LOGS_AT_RISK, task, job, cause, copies, now)


def logs_ended(
    task: TrackTask, job: KeptJob, cause: Cause | None, copies: Sequence[Copy], now: datetime
) -> Event | None:
    """Return the event of a run whose logs are saved, or partly lost; None if it has none."""
    wanted = [copy for copy in copies if is_wanted(copy)]
    if not wanted:
        return None
    is_lost = any(copy.completeness == Completeness.LOST for copy in wanted)
    ended_at = max(copy.ended_at or copy.saved_at or copy.created_at for copy in wanted)
    kind = EventType.LOGS_LOST if is_lost else EventType.LOGS_SAVED
    return _of_run(kind, task, job, cause, wanted, now, str(ended_at.timestamp()))


def _of_run(
    kind: EventType,
    task: TrackTask,
    job: KeptJob,
    cause: Cause | None,
    copies: Sequence[Copy],
    now: datetime,
    *what: str,
) -> Event:
    """Return an event whose id tells it apart from the others of the same user and run.

    A worker that tells it again, after a crash or a look at an older state, tells nothing new.
    """
    same = (kind, job.id, str(job.run), *what)
    return Event(
        id=_name(*same, task.owner),
        about=_name(*same),
        type=kind,
        subject=job.id,
        time=now,
        owner=task.owner,
        data={
            "id": job.id,
            "run": job.run,
            "name": job.name,
            "user": job.user,
            "status": job.status,
            "ended-at": job.ended_at.isoformat() if job.ended_at else None,
            "cause": _card(cause) if cause else None,
            "logs": _logs(copies),
            "links": {"job": f"/api/job/{job.id}", "logs": f"/api/job/{job.id}/logs"},
        },
    )


def _name(*parts: str) -> str:
    return str(uuid5(NAMESPACE_URL, "\n".join(parts)))


def _card(cause: Cause) -> Mapping[str, Any]:
    """Return a cause with the keys of the API."""
    card = _dashed(asdict(cause))
    return {**card, "complete": card.pop("is-complete")}


def _dashed(value: Any) -> Any:  # noqa: ANN401 (JSON)
    if isinstance(value, Mapping):
        return {name.replace("_", "-"): _dashed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_dashed(item) for item in value]
    return value


def _logs(copies: Sequence[Copy]) -> Mapping[str, Any]:
    """Return how many logs are saved, and why the others are not."""
    wanted = [copy for copy in copies if is_wanted(copy)]
    missing = [copy for copy in wanted if copy.completeness != Completeness.COMPLETE]
    return {
        "wanted": len(wanted),
        "saved": sum(copy.saved_at is not None for copy in wanted),
        "lost": sum(copy.completeness == Completeness.LOST for copy in wanted),
        "missing": [
            {"application": copy.application, "reason": copy.reason or copy.gap}
            for copy in missing[:_MOST_LOGS]
        ],
    }
