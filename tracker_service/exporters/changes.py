"""Tell of the executions of a master: they appeared, vanished, or began to fail slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tracker_service.domain.events import SITE, Event, EventType
from tracker_service.exporters.masters import Master
from tracker_service.exporters.snapshot import Snapshot, Values

_MOST_EVENTS = 20  #: of one type in one update; more executions are told together
_MOST_NAMED = 20  #: executions in one event
_QUIET_S = 3600.0  #: an execution that fails no slice for so long can begin again
_FAILED_AT = "failed_at"  #: the column that says when an execution has failed slices last


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a master's update has changed."""

    snapshot: Snapshot  #: that is to be kept
    events: Sequence[Event]  #: that tell of it


def changes(master: Master, before: Snapshot | None, found: Snapshot, at: datetime) -> Changes:
    """Compare the executions of a master with those of its last update.

    Args:
        before: what the last update has found; None for the first update, which tells nothing.
        at: when this update ends.
    """
    if before is None:
        return Changes(snapshot=found, events=())
    known, now = _executions(before), _executions(found)
    failing = [each for ex_id, each in now.items() if _has_failed_more(known.get(ex_id), each)]
    failed_at = {ex_id: each.failed_at for ex_id, each in known.items()}
    begins = [each for each in failing if not _is_recent(failed_at.get(each.ex_id), at)]
    failed_at |= {each.ex_id: at.timestamp() for each in failing}
    column = [failed_at.get(ex_id) for ex_id in now]
    news = {
        EventType.EXECUTION_VANISHED: [known[ex_id] for ex_id in known if ex_id not in now],
        EventType.EXECUTION_APPEARED: [now[ex_id] for ex_id in now if ex_id not in known],
        EventType.EXECUTION_FAILING_SLICES: begins,
    }
    return Changes(
        snapshot=replace(found, columns={**found.columns, _FAILED_AT: column}),
        events=[e for kind, each in news.items() for e in _events(kind, master, each, at)],
    )


@dataclass(frozen=True, slots=True)
class _Execution:
    """An execution as one update has found it."""

    ex_id: str
    job_id: str
    name: str
    failed: float | None  #: slices; None if the master has not said it
    failed_at: float | None  #: when it has failed a slice last, in seconds since 1970


def _executions(snapshot: Snapshot) -> Mapping[str, _Execution]:
    columns = snapshot.columns
    ex_ids: Values = columns["ex_id"]
    failed_at = columns.get(_FAILED_AT) or [None] * len(ex_ids)
    rows = zip(
        ex_ids, columns["job_id"], columns["name"], columns["failed"], failed_at, strict=True
    )
    return {row[0]: _Execution(*row) for row in rows}


def _has_failed_more(before: _Execution | None, now: _Execution) -> bool:
    """Tell whether slices have failed since the last update; a new execution begins at 0."""
    failed = before.failed if before else 0
    return failed is not None and now.failed is not None and now.failed > failed


def _is_recent(failed_at: float | None, now: datetime) -> bool:
    return failed_at is not None and now.timestamp() - failed_at < _QUIET_S


def _events(
    kind: EventType, master: Master, executions: Sequence[_Execution], at: datetime
) -> Iterator[Event]:
    """Yield an event for each execution; if there are very many, one event for all of them."""
    of_master = {"cluster": master.name, "url": master.display_url}
    if len(executions) > _MOST_EVENTS:
        named = [_told(each) for each in executions[:_MOST_NAMED]]
        data = {**of_master, "count": len(executions), "executions": named}
        yield Event(type=kind, subject=master.name, time=at, data=data, owner=SITE)
        return
    for each in executions:
        data = {**of_master, **_told(each)}
        yield Event(type=kind, subject=each.ex_id, time=at, data=data, owner=SITE)


def _told(execution: _Execution) -> dict[str, Any]:
    return {
        "execution": execution.ex_id,
        "job": execution.job_id,
        "name": execution.name,
        "failed": execution.failed,
    }
