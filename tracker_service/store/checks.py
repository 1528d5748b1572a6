"""Keep checks: each is a task of the kind `check`; a due time is recorded once, whoever ran it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from tracker_service.domain.chunks import chunks
from tracker_service.domain.leases import Lease
from tracker_service.store import jobsets, locks
from tracker_service.store.database import Connection, after, current_time, insert_new, upsert
from tracker_service.store.tables import check_files, check_hours, check_runs, checks, tasks
from tracker_service.store.tables import jobsets as jobset_table
from tracker_service.store.texts import storable

KIND = "check"
NEW = "new"  #: the state of a check that has not run yet
_CHECKING = "checking"  #: the state of every task that checks
_OWNER = ""  #: these tasks are of no user
_HOUR_MS = 3_600_000
# Statements are built once: to build one takes longer than SQLite takes to execute it.
_RECORD = (
    update(checks)
    .where(checks.c.task_id == bindparam("task"), checks.c.due_at < bindparam("due"))
    .values(
        {
            checks.c.due_at: bindparam("due"),
            **{
                checks.c[name]: bindparam(f"new_{name}")
                for name in (
                    *("state", "since", "in_a_row", "ran_at", "is_ok"),
                    *("status", "latency_ms", "phases", "error", "certificate_until"),
                )
            },
        }
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedCheck:
    """A check as a file of checks describes it."""

    file: str
    url: str  #: for people
    cron: str
    digest: str  #: keyed hash of the whole check
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """What a file of checks has, or which rule it breaks."""

    name: str
    checks: int = 0
    rule: str | None = None
    line: int | None = None
    message: str | None = None
    was_repaired: bool = False
    read_at: datetime | None = None


def enrol(
    connection: Connection,
    wanted: Mapping[str, WantedCheck],
    kept_files: Collection[str],
    now: datetime,
    *,
    seal: Callable[[str], str],
) -> list[str]:
    """Change the tasks so that there is one for each wanted check and no other.

    Args:
        wanted: the checks by their names.
        kept_files: files that cannot be used now; the checks of their last good version stay.
        seal: returns a wanted check, whole and encrypted, by its name.

    Returns:
        the names of the checks that stay though they are not wanted.
    """
    locks.take(connection, KIND)
    columns = (checks.c.task_id, checks.c.name, checks.c.file, checks.c.digest, tasks.c.jobset_id)
    rows = connection.execute(select(*columns).join(tasks, tasks.c.id == checks.c.task_id))
    found = {row.name: row for row in rows}
    kept = {_file(name) for name in kept_files}
    gone = [r for r in found.values() if r.name not in wanted and r.file not in kept]
    changed = [
        found[name]
        for name, check in wanted.items()
        if name in found and (found[name].digest, found[name].file) != _identity(check)
    ]
    _remove(connection, gone)
    for row in changed:
        new = update(checks).where(checks.c.task_id == row.task_id)
        values = _values(wanted[row.name], seal(row.name))
        connection.execute(new.values(**values))
    for jobset_id in sorted({row.jobset_id for row in changed}):
        jobsets.touch(connection, jobset_id)
    _add(connection, {n: c for n, c in wanted.items() if n not in found}, now, seal)
    return [r.name for r in found.values() if r.name not in wanted and r.file in kept]


def _file(name: str) -> str:
    return name[-255:]


def _identity(check: WantedCheck) -> tuple[str, str]:
    return check.digest, _file(check.file)


def _values(check: WantedCheck, sealed: str) -> dict[str, Any]:
    return {
        "file": _file(check.file),
        "url": check.url,
        "cron": check.cron[:255],
        "sealed": sealed,
        "digest": check.digest,
        "tags": list(check.tags),
    }


def _remove(connection: Connection, gone: Sequence[Any]) -> None:
    sizes = dict[int, int]()
    for row in gone:
        sizes[row.jobset_id] = sizes.get(row.jobset_id, 0) + 1
    for jobset_id in sorted(sizes):
        jobsets.shrink(connection, jobset_id, sizes[jobset_id])  # first: `record` waits
    for ids in chunks([row.task_id for row in gone]):
        connection.execute(delete(tasks).where(tasks.c.id.in_(ids)))


def _add(
    connection: Connection,
    new: Mapping[str, WantedCheck],
    now: datetime,
    seal: Callable[[str], str],
) -> None:
    if not new:
        return
    places = jobsets.place(connection, KIND, _OWNER, len(new))
    base = {"kind": KIND, "owner": _OWNER, "state": _CHECKING, "created_at": now}
    rows = [
        base | {"subject": name, "jobset_id": jobset_id}
        for name, jobset_id in zip(new, places, strict=True)
    ]
    connection.execute(insert(tasks), rows)
    added = select(tasks.c.id, tasks.c.subject).where(
        tasks.c.kind == KIND, tasks.c.id.not_in(select(checks.c.task_id))
    )
    begin = {"state": NEW, "since": now, "in_a_row": 0, "due_at": now}
    connection.execute(
        insert(checks),
        [
            {
                "task_id": row.id,
                "name": row.subject,
                **begin,
                **_values(new[row.subject], seal(row.subject)),
            }
            for row in connection.execute(added)
        ],
    )


def note_files(connection: Connection, found: Sequence[FoundFile], now: datetime) -> None:
    """Replace what is known of the files of checks."""
    connection.execute(delete(check_files))
    for file in found:
        row = {
            "name": _file(file.name),
            "read_at": now,
            "checks": file.checks,
            "rule": file.rule,
            "line": file.line,
            "message": storable(file.message),
            "was_repaired": file.was_repaired,
        }
        upsert(connection, check_files, row)


def files(connection: Connection) -> list[FoundFile]:
    """Return what is known of the files of checks, in the order of their names."""
    rows = connection.execute(select(check_files).order_by(check_files.c.name))
    return [FoundFile(**row._mapping) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCheck:
    """A check as its worker loads it."""

    task_id: int
    name: str
    sealed: str
    digest: str
    state: str
    since: datetime
    in_a_row: int
    due_at: datetime  #: the last due time that is recorded, or when the check was added


def of_jobset(connection: Connection, lease: Lease) -> list[HeldCheck]:
    """Return the checks of a jobset."""
    names = ("task_id", "name", "sealed", "digest", "state", "since", "in_a_row", "due_at")
    rows = connection.execute(
        select(*(checks.c[name] for name in names))
        .join(tasks, tasks.c.id == checks.c.task_id)
        .where(tasks.c.jobset_id == lease.jobset_id)
    )
    return [HeldCheck(**row._mapping) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a check, and the state of the check after it."""

    task_id: int
    due_at: datetime
    ran_at: datetime
    late_ms: int
    is_ok: bool
    in_maintenance: bool
    status: int | None
    latency_ms: int
    phases: Mapping[str, float]
    values: Mapping[str, Any] | None
    error: str | None
    worker: str
    state: str
    since: datetime
    in_a_row: int
    certificate_until: datetime | None = None


def still_held(connection: Connection, leases: Collection[Lease]) -> set[Lease]:
    """Return the leases that are valid, and keep them valid until this transaction ends."""
    ids = sorted(lease.jobset_id for lease in leases)
    found = connection.execute(
        select(jobset_table.c.id, jobset_table.c.epoch)
        .where(jobset_table.c.id.in_(ids), jobset_table.c.owner.is_not(None))
        .order_by(jobset_table.c.id)
        .with_for_update(key_share=True)
    )
    return {Lease(jobset_id=row.id, epoch=row.epoch) for row in found} & set(leases)


def present(connection: Connection, lease_of: Mapping[int, Lease]) -> set[int]:
    """Return the tasks, of some, that are still in the jobsets of their leases."""
    found: set[int] = set()
    for ids in chunks(sorted(lease_of)):
        rows = connection.execute(select(tasks.c.id, tasks.c.jobset_id).where(tasks.c.id.in_(ids)))
        found |= {row.id for row in rows if row.jobset_id == lease_of[row.id].jobset_id}
    return found


def record(connection: Connection, runs: Sequence[Run]) -> None:
    """Record runs; call it with runs of jobsets that are held, at most one of a check."""
    if not runs:
        return
    insert_new(connection, check_runs, [_run_row(run) for run in runs])
    connection.execute(_RECORD, [_state_row(run) for run in runs])


def _run_row(run: Run) -> dict[str, Any]:
    return {
        "task_id": run.task_id,
        "due_at": run.due_at,
        "ran_at": run.ran_at,
        "late_ms": run.late_ms,
        "is_ok": run.is_ok,
        "in_maintenance": run.in_maintenance,
        "status": run.status,
        "latency_ms": run.latency_ms,
        "phases": dict(run.phases),
        "values": storable(run.values),
        "error": storable(run.error),
        "worker": run.worker,
    }


def _state_row(run: Run) -> dict[str, Any]:
    return {
        "task": run.task_id,
        "due": run.due_at,
        "new_state": run.state,
        "new_since": run.since,
        "new_in_a_row": run.in_a_row,
        "new_ran_at": run.ran_at,
        "new_is_ok": run.is_ok,
        "new_status": run.status,
        "new_latency_ms": run.latency_ms,
        "new_phases": dict(run.phases),
        "new_error": storable(run.error),
        "new_certificate_until": run.certificate_until,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCheck:
    """A check and its last run, for people."""

    task_id: int
    name: str
    file: str
    url: str
    cron: str
    tags: Sequence[str]
    state: str
    since: datetime
    ran_at: datetime | None
    is_ok: bool | None
    status: int | None
    latency_ms: int | None
    phases: Mapping[str, float] | None
    error: str | None
    certificate_until: datetime | None


_KNOWN = select(*(checks.c[name] for name in KnownCheck.__slots__))


def known(
    connection: Connection, after_name: str = "", limit: int | None = None
) -> list[KnownCheck]:
    """Return checks in the order of their names, those after a name."""
    rows = _KNOWN.where(checks.c.name > after_name).order_by(checks.c.name).limit(limit)
    return [KnownCheck(**row._mapping) for row in connection.execute(rows)]


def one(connection: Connection, name: str) -> KnownCheck | None:
    """Return a check by its name."""
    row = connection.execute(_KNOWN.where(checks.c.name == name)).first()
    return KnownCheck(**row._mapping) if row else None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """A run in the history."""

    due_at: datetime
    ran_at: datetime
    late_ms: int
    is_ok: bool
    in_maintenance: bool
    status: int | None
    latency_ms: int
    phases: Mapping[str, float]
    values: Mapping[str, Any] | None
    error: str | None
    worker: str


def runs(connection: Connection, task_id: int, limit: int) -> list[KeptRun]:
    """Return the last runs of a check, the newest first."""
    rows = (
        select(*(check_runs.c[name] for name in KeptRun.__slots__))
        .where(check_runs.c.task_id == task_id)
        .order_by(check_runs.c.due_at.desc())
        .limit(limit)
    )
    return [KeptRun(**row._mapping) for row in connection.execute(rows)]


def availability(connection: Connection, task_id: int, hours: float) -> float | None:
    """Return the part of the runs of the last hours that succeeded; None if there were none.

    Runs during maintenance do not count. What is older than the last hour that was added up is
    taken by the hour.
    """
    now = current_time(connection)
    since = now - timedelta(hours=hours)
    summed = connection.scalar(
        select(func.max(check_hours.c.hour)).where(check_hours.c.task_id == task_id)
    )
    until = max(since, summed + timedelta(hours=1)) if summed and hours > 24 else since
    good = func.sum(case((check_runs.c.is_ok, 1), else_=0))
    total, ok = connection.execute(
        select(func.count(), good).where(
            check_runs.c.task_id == task_id,
            check_runs.c.due_at > until,
            check_runs.c.in_maintenance.is_(False),
        )
    ).one()
    if until > since:
        more = connection.execute(
            select(func.sum(check_hours.c.runs), func.sum(check_hours.c.ok)).where(
                check_hours.c.task_id == task_id,
                check_hours.c.hour > since - timedelta(hours=1),
                check_hours.c.hour < until,
            )
        ).one()
        total, ok = total + int(more[0] or 0), int(ok or 0) + int(more[1] or 0)
    return int(ok or 0) / total if total else None


def counts(connection: Connection) -> dict[str, int]:
    """Return how many checks are in each state."""
    rows = connection.execute(select(checks.c.state, func.count()).group_by(checks.c.state))
    return {row[0]: row[1] for row in rows}


def sum_hours(connection: Connection) -> None:
    """Add up the runs of the last hours that are over and are not added up yet."""
    locks.take(connection, "check_hours")
    now = current_time(connection)
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    last = connection.scalar(select(func.max(check_hours.c.hour)))
    begin = (
        last + timedelta(hours=1)
        if last
        else connection.scalar(select(func.min(check_runs.c.due_at)))
    )
    # Runs may be recorded a little after their hour.
    if begin is None or begin >= this_hour or now - this_hour < timedelta(minutes=5):
        return
    due_ms = type_coerce(check_runs.c.due_at, BigInteger)
    hour = due_ms - due_ms % _HOUR_MS
    rows = select(
        check_runs.c.task_id,
        hour.label("hour"),
        func.count().label("runs"),
        func.sum(case((check_runs.c.is_ok, 1), else_=0)).label("ok"),
    ).where(
        check_runs.c.due_at >= begin,
        check_runs.c.due_at < this_hour,
        check_runs.c.in_maintenance.is_(False),
    )
    names = ["task_id", "hour", "runs", "ok"]
    connection.execute(insert(check_hours).from_select(names, rows.group_by("task_id", "hour")))


def prune(connection: Connection, kept_s: float, hours_kept_s: float, limit: int) -> int:
    """Remove the oldest runs that are too old to be kept; return how many.

    Args:
        kept_s: how long runs are kept, in seconds of the database's clock.
        hours_kept_s: how long sums are kept.
        limit: the most runs to remove.
    """
    connection.execute(delete(check_hours).where(check_hours.c.hour < after(-hours_kept_s)))
    old = (
        select(check_runs.c.due_at)
        .where(check_runs.c.due_at < after(-kept_s))
        .order_by(check_runs.c.due_at)
        .offset(limit)
        .limit(1)
    )
    border = connection.scalar(old)
    which = check_runs.c.due_at < (border if border is not None else after(-kept_s))
    return connection.execute(delete(check_runs).where(which)).rowcount


def all_sealed(connection: Connection) -> list[tuple[int, str]]:
    """Return the encrypted checks, by their tasks."""
    rows = connection.execute(select(checks.c.task_id, checks.c.sealed))
    return [(row.task_id, row.sealed) for row in rows]


def replace_sealed(connection: Connection, task_id: int, old: str, new: str) -> None:
    """Replace an encrypted check, if it is still the old one."""
    this = (checks.c.task_id == task_id, checks.c.sealed == old)
    connection.execute(update(checks).where(*this).values(sealed=new))


def longest_lag_s(connection: Connection) -> float:
    """Return how many seconds too late the latest of the last minute's runs began."""
    found = select(func.max(check_runs.c.late_ms)).where(check_runs.c.due_at > after(-60.0))
    return (connection.scalar(found) or 0) / 1000
