"""Tell users of failed jobs, and whether their logs are safe, in the log of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tracker_service.domain.causes import Cause
from tracker_service.domain.copies import Completeness, Copy
from tracker_service.domain.events import Event, EventType
from tracker_service.store.conditions import Condition
from tracker_service.store.jobs import KeptJob
from tracker_service.tracking.safety import is_wanted

_MOST_LOGS = 20  #: that one event names


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """A run of a job that has ended, as one of its users hears of it."""

    owner: str  #: the user
    job: KeptJob
    cause: Cause | None  #: as far as it is known by now
    copies: Sequence[Copy]  #: of the logs of the run
    at: datetime  #: when this is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What else is known at the moment of a failure."""

    is_new_family: bool  #: the user has had no failure of this family for a month
    trouble: Sequence[Condition]  #: of the cluster, now


def job_failed(run: EndedRun, around: Around) -> Event:
    """Return the event of a failed run: there is one for each user and run."""
    event = _event(EventType.JOB_FAILED, run)
    trouble = [
        {"subject": each.subject, "since": each.began_at.isoformat(), **each.data}
        for each in around.trouble
    ]
    more = {"is-new-family": around.is_new_family, "trouble": trouble}
    return replace(event, data={**event.data, **more})


def logs_at_risk(run: EndedRun) -> Event | None:
    """Return the event of a run whose logs cannot be saved at once; None if none is missing.

    There is one for each user and run.
    """
    is_one_missing = any(is_wanted(copy) and copy.completeness is None for copy in run.copies)
    return _event(EventType.LOGS_AT_RISK, run) if is_one_missing else None


def logs_ended(run: EndedRun) -> Event | None:
    """Return the event of a run whose logs are saved, or partly lost; None if it has none."""
    wanted = [copy for copy in run.copies if is_wanted(copy)]
    if not wanted:
        return None
    is_lost = any(copy.completeness == Completeness.LOST for copy in wanted)
    ended_at = max(copy.ended_at or copy.saved_at or copy.created_at for copy in wanted)
    kind = EventType.LOGS_LOST if is_lost else EventType.LOGS_SAVED
    return _event(kind, run, ended_at.isoformat())


def _event(kind: EventType, run: EndedRun, *what: str) -> Event:
    """Return an event whose id tells it apart from the others of the same user and run.

    A worker that tells it again, after a crash or a look at an older state, tells nothing new.
    """
    job = run.job
    same = (kind, job.id, str(job.run), *what)
    return Event(
        id=_name(*same, run.owner),
        about=_name(*same),
        type=kind,
        subject=job.id,
        time=run.at,
        owner=run.owner,
        data={
            "id": job.id,
            "run": job.run,
            "name": job.name,
            "user": job.user,
            "parent": job.parent_id.partition("@")[0] if job.parent_id else None,
            "status": job.status,
            "ended-at": job.ended_at.isoformat() if job.ended_at else None,
            "cause": _card(run.cause) if run.cause else None,
            "logs": _logs(run.copies),
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
