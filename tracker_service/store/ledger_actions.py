"""Who carries out the post-processing of which job: claimed by lease, at most once at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Update, and_, delete, or_, select, update

from tracker_service.domain.ledger import StoredJob
from tracker_service.errors import LeaseLost
from tracker_service.store.database import Connection, after, database_now, insert_new
from tracker_service.store.ledger_jobs import IS_THERE, stored_job
from tracker_service.store.tables import ledger_actions, ledger_jobs

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's right to carry out the action of one job in one state."""

    worker: str
    stored: StoredJob
    attempts: int  #: that were to be repeated
    reference: str | None  #: id of the workflow that an attempt before has started

    @property
    def name(self) -> str:
        """Return a name for what the action starts: the same after a crash."""
        status = self.stored.status
        return f"ledger-{self.stored.id}-{status.run}-{status.entry}"


def claim(
    connection: Connection,
    ledger: str,
    states: Collection[str],
    worker: str,
    lease_s: float,
    most: int,
) -> list[Claim]:
    """Claim jobs whose action is due: nobody carries it out, or whoever did has died."""
    actions = ledger_actions.c
    is_free = or_(
        actions.job_id.is_(None),
        and_(actions.lease_until <= database_now(), or_(actions.due_at <= database_now(), _MOVED)),
    )
    due = (
        select(ledger_jobs, actions.run.label("a_run"), actions.entry.label("a_entry"))
        .add_columns(actions.attempts, actions.reference)
        .join_from(ledger_jobs, ledger_actions, isouter=True)
        .where(ledger_jobs.c.ledger == ledger, ledger_jobs.c.state.in_(list(states)), IS_THERE)
        .where(is_free)
        .order_by(ledger_jobs.c.started_at, ledger_jobs.c.id)
        .limit(most)
    )
    found = []
    for row in connection.execute(due).all():
        stored = stored_job(row)
        is_same = (row.a_run, row.a_entry) == (row.run, row.entry)
        claimed = Claim(
            worker=worker,
            stored=stored,
            attempts=row.attempts if is_same else 0,
            reference=row.reference if is_same else None,
        )
        if _take(connection, claimed, lease_s, is_new=row.a_run is None):
            found.append(claimed)
    return found


def _take(connection: Connection, claimed: Claim, lease_s: float, *, is_new: bool) -> bool:
    """Take a claim, if no other worker has been faster."""
    status = claimed.stored.status
    values = {
        "run": status.run,
        "entry": status.entry,
        "worker": claimed.worker,
        "attempts": claimed.attempts,
        "reference": claimed.reference,
    }
    if is_new:
        free = {"job_id": claimed.stored.id, "lease_until": _LONG_AGO, "due_at": _LONG_AGO}
        insert_new(connection, ledger_actions, [values | free | {"worker": None}])
    taken = connection.execute(
        update(ledger_actions)
        .where(
            ledger_actions.c.job_id == claimed.stored.id,
            ledger_actions.c.lease_until <= database_now(),
        )
        .values(**values, lease_until=after(lease_s), due_at=database_now())
    )
    return taken.rowcount == 1


def renew(connection: Connection, claims: Sequence[Claim], lease_s: float) -> None:
    """Hold claims for another while; one that was lost stays lost."""
    for claimed in claims:
        connection.execute(_held(claimed).values(lease_until=after(lease_s)))


def note_reference(connection: Connection, claimed: Claim, reference: str) -> Claim:
    """Note what an action has started, so that it goes on after a crash.

    Raises:
        LeaseLost: another worker carries out this action now.
    """
    if connection.execute(_held(claimed).values(reference=reference)).rowcount == 0:
        raise LeaseLost
    return replace(claimed, reference=reference)


def rest(connection: Connection, claimed: Claim, seconds: float, *, keeps_reference: bool) -> None:
    """Give a claim back; the action is due again later.

    Args:
        keeps_reference: it goes on with what it has started; otherwise it begins anew.

    Raises:
        LeaseLost: another worker carries out this action now.
    """
    values: dict[str, Any] = {
        "worker": None,
        "lease_until": database_now(),
        "due_at": after(seconds),
    }
    if not keeps_reference:
        values |= {"reference": None, "attempts": claimed.attempts + 1}
    if connection.execute(_held(claimed).values(**values)).rowcount == 0:
        raise LeaseLost


def finish(connection: Connection, claimed: Claim) -> None:
    """End an action.

    Raises:
        LeaseLost: another worker carries out this action now.
    """
    done = connection.execute(
        delete(ledger_actions).where(
            ledger_actions.c.job_id == claimed.stored.id, ledger_actions.c.worker == claimed.worker
        )
    )
    if done.rowcount == 0:
        raise LeaseLost


def _held(claimed: Claim) -> Update:
    return update(ledger_actions).where(
        ledger_actions.c.job_id == claimed.stored.id,
        ledger_actions.c.worker == claimed.worker,
        ledger_actions.c.run == claimed.stored.status.run,
        ledger_actions.c.entry == claimed.stored.status.entry,
    )


#: The job has gone on to another state since.
_MOVED = or_(
    ledger_actions.c.run != ledger_jobs.c.run, ledger_actions.c.entry != ledger_jobs.c.entry
)
