"""Tell in the log of events what happens to the jobs of ledgers. `docs/events.md` has the types."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from tracker_service.domain.events import SITE, Event, LedgerEventType
from tracker_service.domain.ledger import COMPLETE, FAILED, PARSE_ERROR, Status, StoredJob
from tracker_service.store import events
from tracker_service.store.database import Connection

_LONGEST_REASON = 2_000  #: characters of a detail in an event; the ledger keeps more of it


def job_changed(
    connection: Connection,
    ledger: str,
    stored: StoredJob,
    after: Status,
    *,
    announced: Collection[str],
    action: str | None,
) -> None:
    """Write the events of a change with it; most changes have none.

    Args:
        stored: the job as it was.
        announced: the states that are told when a job comes to them.
        action: the state whose action has made the change.
    """
    before = stored.status
    if (before.run, before.entry) == (after.run, after.entry):
        return
    for kind in _types(after.state, announced, action):
        _append(connection, kind, ledger, stored, after, action=action)


def job_expired(connection: Connection, ledger: str, stored: StoredJob, now: datetime) -> None:
    """Write with its removal that a job was without news for too long."""
    status = stored.status
    _append(connection, LedgerEventType.EXPIRED, ledger, stored, status, at=now)


def _types(state: str, announced: Collection[str], action: str | None) -> Iterator[LedgerEventType]:
    if state in (FAILED, PARSE_ERROR):
        yield LedgerEventType.FAILED
        return
    if action is not None:
        yield LedgerEventType.ACTION_DONE
    if state == COMPLETE:
        yield LedgerEventType.COMPLETED
    elif state in announced:
        yield LedgerEventType.STATE_CHANGED


def _append(
    connection: Connection,
    kind: LedgerEventType,
    ledger: str,
    stored: StoredJob,
    status: Status,
    *,
    at: datetime | None = None,
    action: str | None = None,
) -> None:
    job = stored.job
    data = {
        "ledger": ledger,
        "id": stored.key,
        "experiment": job.experiment,
        "datatype": job.datatype,
        "date": job.date.isoformat(),
        "from": status.prev,
        "state": status.state,
        "reason": status.detail[:_LONGEST_REASON],
        "action": action,
    }
    time = at or status.state_change_time
    events.append(
        connection, Event(type=kind, subject=stored.key, time=time, owner=SITE, data=data)
    )
