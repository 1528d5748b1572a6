"""Keep jobs: the newest state of each run, its history, its actions and its applications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from tracker_service.domain.applications import Application, ApplicationId
from tracker_service.domain.chunks import chunks
from tracker_service.domain.jobs import (
    OOZIE,
    Action,
    JobDetails,
    JobId,
    JobStatus,
    Observation,
    supersedes,
)
from tracker_service.store import job_events
from tracker_service.store.database import Connection, insert_new
from tracker_service.store.job_events import NewStatus
from tracker_service.store.tables import applications, job_state_changes, jobs

_ACTION_FIELDS = frozenset(field.name for field in fields(Action))
_SUMMARY = [column for column in jobs.c if column.name != "actions"]

# Statements are built once: to build one takes longer than SQLite takes to execute it.
_RUNS = (  # no join with max(run): PostgreSQL takes seconds for it as long as it has no statistics
    select(*_SUMMARY)
    .where(jobs.c.kind == OOZIE, jobs.c.external_id.in_(bindparam("ids", expanding=True)))
    .order_by(jobs.c.run)  # the newest run of a job comes last
)
_KEYS = select(jobs.c.id, jobs.c.external_id).where(
    jobs.c.kind == OOZIE, jobs.c.external_id.in_(bindparam("ids", expanding=True))
)
_WITH_HISTORY = (
    select(job_state_changes.c.job_id)
    .where(job_state_changes.c.job_id.in_(bindparam("keys", expanding=True)))
    .distinct()
)
_NEW_CHANGES = insert(job_state_changes)
_NEW_DETAILS = (
    update(jobs)
    .where(jobs.c.id == bindparam("key"))
    .values(details_at=bindparam("seen_at"), actions=bindparam("new_actions"))
)
_APPLICATIONS = (
    select(applications.c.job_id, applications.c.application_id)
    .where(applications.c.job_id.in_(bindparam("keys", expanding=True)))
    .order_by(applications.c.id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """A job and run as the store knows it."""

    key: int
    id: JobId
    run: int
    status: JobStatus
    name: str | None
    user: str | None  #: owner in the cluster
    parent_id: str | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    observed_at: datetime | None
    details_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A change of a job's state; the first has no `from_status`."""

    sequence: int
    from_status: JobStatus | None
    to_status: JobStatus
    changed_at: datetime


def latest(connection: Connection, ids: Iterable[JobId]) -> dict[JobId, KeptJob]:
    """Return the newest known run of jobs, by id; unknown jobs are left out."""
    wanted = list(ids)
    found: dict[JobId, KeptJob] = {}
    for chunk in chunks(wanted):
        rows = connection.execute(_RUNS, {"ids": chunk})
        found |= {kept.id: kept for kept in map(kept_job, rows)}
    return found


def kept_job(row: Row[Any]) -> KeptJob:
    """Make a job from a row with the columns of the table `jobs`."""
    return KeptJob(
        key=row.id,
        id=JobId(row.external_id),
        run=row.run,
        status=JobStatus(row.status),
        name=row.name,
        user=row.owner,
        parent_id=row.parent_id,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        observed_at=row.observed_at,
        details_at=row.details_at,
    )


def record(connection: Connection, seen: Sequence[Observation]) -> dict[JobId, KeptJob]:
    """Update jobs by observations, and append each change of state to the history.

    An observation that is not newer than the kept state changes nothing. An observation of a
    higher run adds a row; the row of the old run stays as it is. Only a row of which nothing is
    known yet, because Oozie was away when its id was posted, takes the run of the first answer.

    Returns:
        the jobs as the store has them now, in the order of the observations.
    """
    known = latest(connection, [observation.id for observation in seen])
    added, changed = [], False
    for new in sorted(seen, key=lambda observation: observation.id):  # one order: no deadlocks
        old = known.get(new.id)
        if old is None:
            added.append(new)
        elif new.run > old.run and not _is_blank(connection, old):
            added.append(new)
            job_events.state_changed(connection, _news(old, new))
        elif supersedes(new, old.run, old.status):
            _change(connection, old, new)
            changed = True
    known |= _add(connection, added)
    now = latest(connection, list(known)) if changed else known
    return {observation.id: now[observation.id] for observation in seen}


def _is_blank(connection: Connection, old: KeptJob) -> bool:
    """Tell whether Oozie has never told anything of a run, so that nothing refers to its number."""
    if old.status != JobStatus.UNKNOWN or old.observed_at or old.details_at:
        return False
    return not applications_of(connection, [old.key])[old.key]


def _columns(seen: Observation) -> dict[str, Any]:
    return {
        "kind": OOZIE,
        "external_id": seen.id,
        "run": seen.run,
        "status": seen.status,
        "name": seen.name[:500] if seen.name else None,
        "owner": seen.user,
        "parent_id": seen.parent_id,
        "created_at": seen.created_at,
        "started_at": seen.started_at,
        "ended_at": seen.ended_at,
        "observed_at": None if seen.status == JobStatus.UNKNOWN else seen.observed_at,
    }


def _changes(seen: Observation) -> dict[str, Any]:
    """Return the columns that an observation knows; the other columns keep their values."""
    known = {name: value for name, value in _columns(seen).items() if value is not None}
    if seen.status in (JobStatus.UNKNOWN, JobStatus.NOT_FOUND):
        del known["run"]
    return known


def _add(connection: Connection, seen: Sequence[Observation]) -> dict[JobId, KeptJob]:
    if not seen:
        return {}
    insert_new(connection, jobs, [_columns(observation) for observation in seen])
    keys = latest(connection, [observation.id for observation in seen])
    # Another process that posted the same new id at the same time has begun its history.
    begun = _with_history(connection, [job.key for job in keys.values()])
    changes = [
        {
            "job_id": keys[observation.id].key,
            "from_status": None,
            "to_status": observation.status,
            "changed_at": observation.observed_at,
        }
        for observation in seen
        if keys[observation.id].key not in begun
    ]
    if changes:
        connection.execute(_NEW_CHANGES, changes)
    return keys


def _with_history(connection: Connection, keys: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for chunk in chunks(keys):
        found.update(connection.scalars(_WITH_HISTORY, {"keys": chunk}))
    return found


def _change(connection: Connection, old: KeptJob, new: Observation) -> None:
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.id == old.key, jobs.c.status == old.status, jobs.c.run == old.run)
        .values(_changes(new))
    )
    # 0: another process has changed the row meanwhile; this older observation loses.
    if changed.rowcount == 1:
        connection.execute(
            insert(job_state_changes).values(
                job_id=old.key,
                from_status=old.status,
                to_status=new.status,
                changed_at=new.observed_at,
            )
        )
        if old.status != new.status:
            job_events.state_changed(connection, _news(old, new))


def _news(old: KeptJob, new: Observation) -> NewStatus:
    return NewStatus(
        job_id=new.id,
        run=max(old.run, new.run),
        name=new.name or old.name,
        user=new.user or old.user,
        from_status=old.status,
        to_status=new.status,
        at=new.observed_at,
    )


def record_details(
    connection: Connection,
    key: int,
    run: int,
    details: JobDetails,
    found: Sequence[Application],
) -> None:
    """Keep a job's actions and its applications; actions that were not told stay as they are.

    Args:
        key: the row of the job and run.
        run: the run of that row; details of another run are ignored.
        found: the applications.
    """
    if details.observation.run != run:
        return
    seen_at = details.observation.observed_at
    if details.are_actions_told:
        actions = [_action_json(action) for action in details.actions]
        connection.execute(_NEW_DETAILS, {"key": key, "seen_at": seen_at, "new_actions": actions})
    else:
        connection.execute(update(jobs).where(jobs.c.id == key).values(details_at=seen_at))
    record_applications(connection, key, seen_at, found)


def record_applications(
    connection: Connection, key: int, seen_at: datetime, found: Sequence[Application]
) -> None:
    """Keep a job's applications; known applications stay as they are."""
    rows = [
        {
            "job_id": key,
            "application_id": application.id,
            "action": application.action[:255],
            "workflow_id": application.workflow_id,
            "role": application.role,
            "seen_at": seen_at,
        }
        for application in found
    ]
    insert_new(connection, applications, rows)


def _action_json(action: Action) -> dict[str, Any]:
    """Return an action as JSON for the column: its fields, with times as text (RFC 3339)."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(action).items()
    }


def _action(values: Mapping[str, Any]) -> Action:
    """Make an action from JSON that this or another release of the tracker has written."""
    known = {name: value for name, value in values.items() if name in _ACTION_FIELDS}
    times = {
        name: datetime.fromisoformat(known[name])
        for name in ("started_at", "ended_at")
        if known.get(name)
    }
    return Action(**{**known, **times})


def actions_of(connection: Connection, key: int) -> list[Action]:
    """Return a job's actions as of their last observation."""
    column = connection.scalar(select(jobs.c.actions).where(jobs.c.id == key)) or []
    return [_action(values) for values in column]


def applications_of(
    connection: Connection, keys: Iterable[int]
) -> Mapping[int, list[ApplicationId]]:
    """Return the known applications of jobs, by the jobs' keys, in the order they were found."""
    found: dict[int, list[ApplicationId]] = {key: [] for key in keys}
    wanted = list(found)
    for chunk in chunks(wanted):
        rows = connection.execute(_APPLICATIONS, {"keys": chunk})
        for row in rows:
            found[row.job_id].append(ApplicationId(row.application_id))
    return found


def keys_of(connection: Connection, ids: Sequence[JobId]) -> dict[int, JobId]:
    """Return the keys of all runs of jobs, with the ids of the jobs.

    What is then read by these keys reads nothing else: a statement that joins jobs with the tasks
    of a user may begin with all tasks that the user ever had.
    """
    return {
        row.id: JobId(row.external_id)
        for chunk in chunks(ids)
        for row in connection.execute(_KEYS, {"ids": chunk})
    }


def runs_of(connection: Connection, job_id: JobId) -> dict[int, KeptJob]:
    """Return the known runs of a job, by the number of the run."""
    rows = connection.execute(_RUNS, {"ids": [job_id]})
    return {kept.run: kept for kept in map(kept_job, rows)}


def history(connection: Connection, key: int) -> list[StateChange]:
    """Return every change of a job's state, oldest first."""
    rows = connection.execute(
        select(job_state_changes)
        .where(job_state_changes.c.job_id == key)
        .order_by(job_state_changes.c.sequence)
    )
    return [
        StateChange(
            sequence=row.sequence,
            from_status=JobStatus(row.from_status) if row.from_status else None,
            to_status=JobStatus(row.to_status),
            changed_at=row.changed_at,
        )
        for row in rows
    ]
