"""The jobs of ledgers and their histories. Many updates are carried out together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)

from tracker_service.domain.chunks import chunks
from tracker_service.domain.ledger import (
    COMPLETE,
    EVERYTHING,
    FAILED,
    LONGEST_KEY,
    Datasets,
    HistoryRow,
    LedgerJob,
    Scope,
    StateInfo,
    Status,
    StoredJob,
)
from tracker_service.errors import JobAlreadyExists, LedgerError, LedgerJobNotFound
from tracker_service.store import ledger_events
from tracker_service.store.database import Connection
from tracker_service.store.many_rows import insert_missing, insert_rows, update_rows
from tracker_service.store.tables import EPOCH, ledger_changes, ledger_jobs

MOST_ROWS = 10_000  #: of one job's history; of a longer one the oldest rows are left out
_LEFT_OUT_AT_ONCE = 1_000  #: so that not each further update removes a row
_PAGE = 1000  #: jobs that are read at once


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one job that shall be made."""

    ledger: str
    key: str
    apply: Callable[[Status], Status]  #: raises LedgerError if it refuses
    scope: Scope = EVERYTHING  #: of the writer
    announced: Collection[str] = ()  #: states that are told in an event when the job comes to one
    action: str | None = None  #: the state whose action of post-processing makes the change


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change has made of a job."""

    job: LedgerJob
    before: Status | None  #: None if the job was added
    after: Status


def change_all(connection: Connection, changes: Sequence[Change]) -> list[Changed | LedgerError]:
    """Carry out changes in their order, and return what came of each.

    Changes of one job all count, also those that other processes make at the same time: the rows
    are locked.
    """
    wanted: dict[str, set[str]] = {}
    for change in changes:
        wanted.setdefault(change.ledger, set()).add(change.key)
    found = {
        (ledger, stored.key): stored
        for ledger, keys in sorted(wanted.items())
        for stored in _locked(connection, ledger, keys)
    }
    outcomes: list[Changed | LedgerError] = []
    changed = dict[tuple[str, str], StoredJob]()
    for change in changes:
        place = change.ledger, change.key
        if place not in found:
            outcomes.append(LedgerJobNotFound(f"there is no job {change.key}"))
            continue
        stored = found[place]
        try:
            change.scope.check(stored.job.experiment, stored.job.datatype)
            after = change.apply(stored.status)
        except LedgerError as refused:
            outcomes.append(refused)
            continue
        ledger_events.job_changed(
            connection,
            change.ledger,
            stored,
            after,
            announced=change.announced,
            action=change.action,
        )
        outcomes.append(Changed(stored.job, stored.status, after))
        found[place] = changed[place] = replace(stored, status=after)
    _write(connection, list(changed.values()))
    return outcomes


def add_all(
    connection: Connection, ledger: str, jobs: Sequence[LedgerJob], now: datetime
) -> list[Changed | JobAlreadyExists]:
    """Add jobs; a job that was removed, has failed or is complete starts anew."""
    new = {job.key: (job, Status.new(now)) for job in jobs}
    # In one order, so that two writers of the same jobs wait for one another and not in a ring.
    added = _insert_missing(connection, ledger, {key: new[key] for key in sorted(new)})
    there = [key for key in new if key not in added]
    known = {row.job_key: row for row in _rows_of(connection, ledger, there)} if there else {}
    outcomes: list[Changed | JobAlreadyExists] = []
    again = dict[str, tuple[LedgerJob, Status]]()
    for job in jobs:
        key = job.key
        row = known.get(key)
        if key in added:
            del added[key]  # once: whoever asks for the same job after this one gets nothing
            outcomes.append(Changed(job, None, new[key][1]))
        elif row and key not in again and _may_start_again(row):
            status = Status.new(now, run=row.run + 1, rows=row.history_rows)
            again[key] = job, status
            outcomes.append(Changed(job, _status(row) if row.removed_at is None else None, status))
        else:
            outcomes.append(JobAlreadyExists(f"the ledger has {key} already"))
    _restart(connection, [(known[key].id, *started) for key, started in again.items()])
    return outcomes


def insert_all(
    connection: Connection, ledger: str, started: Sequence[tuple[LedgerJob, Status]]
) -> None:
    """Insert jobs that no ledger has had, with the rows of their histories."""
    if started:
        _insert(connection, ledger, {job.key: (job, status) for job, status in started})


def _insert_missing(
    connection: Connection, ledger: str, new: Mapping[str, tuple[LedgerJob, Status]]
) -> dict[str, int]:
    """Insert those jobs that the ledger has never had; return their ids by their keys."""
    if not new:
        return {}
    added = insert_missing(connection, ledger_jobs, _rows(ledger, new), "job_key")
    if added is not None:
        _append(connection, [(added[key], new[key][1]) for key in new if key in added])
        return added
    known = _ids(connection, ledger, new)
    return _insert(connection, ledger, {key: new[key] for key in new if key not in known})


def _insert(
    connection: Connection, ledger: str, new: Mapping[str, tuple[LedgerJob, Status]]
) -> dict[str, int]:
    insert_rows(connection, ledger_jobs, _rows(ledger, new))
    ids = _ids(connection, ledger, new)
    _append(connection, [(ids[key], status) for key, (_, status) in new.items()])
    return ids


def _rows(ledger: str, new: Mapping[str, tuple[LedgerJob, Status]]) -> list[dict[str, Any]]:
    return [
        _job_columns(key, job)
        | {"ledger": ledger, "heartbeat_at": status.heartbeat_time}
        | _columns(status)
        for key, (job, status) in new.items()
    ]


def _ids(connection: Connection, ledger: str, keys: Iterable[str]) -> dict[str, int]:
    found = dict[str, int]()
    for some in chunks(list(keys)):
        rows = connection.execute(_IDS, {"of_ledger": ledger, "keys": some})
        found |= {row.job_key: row.id for row in rows}
    return found


def _restart(connection: Connection, started: Sequence[tuple[int, LedgerJob, Status]]) -> None:
    if started:
        rows = [_job_columns(j.key, j) | _columns(s) | {"job_id": i} for i, j, s in started]
        connection.execute(_RESTART, rows)
        _append(connection, [(job_id, status) for job_id, _, status in started])


def _may_start_again(row: Row[Any]) -> bool:
    return row.removed_at is not None or row.state in (COMPLETE, FAILED)


def beat(connection: Connection, ledger: str, beats: Mapping[str, datetime]) -> None:
    """Note the last heartbeats of jobs, by their keys."""
    rows = [{"of": ledger, "key": key, "beat_at": at} for key, at in sorted(beats.items())]
    if rows:
        connection.execute(_BEAT, rows)


def find(connection: Connection, ledger: str, key: str) -> StoredJob | None:
    """Return a job, or None if the ledger does not have it."""
    if len(key) > LONGEST_KEY:
        return None
    found = _rows_of(connection, ledger, [key])
    there = (row for row in found if row.job_key == key and row.removed_at is None)
    return next(map(stored_job, there), None)


def known(connection: Connection, ledger: str, keys: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return the experiment and datatype of those jobs that a ledger has, by their keys."""
    fitting = [key for key in keys if len(key) <= LONGEST_KEY]
    rows = connection.execute(_KNOWN, {"of_ledger": ledger, "keys": fitting})
    return {row.job_key: (row.experiment, row.datatype) for row in rows if row.removed_at is None}


def keys_ever(connection: Connection, ledger: str, keys: Sequence[str]) -> set[str]:
    """Return those keys of which a ledger has a job, also one that was removed."""
    found = set[str]()
    for some in chunks(keys):
        found |= {row.job_key for row in _rows_of(connection, ledger, some)}
    return found


def count(connection: Connection, ledger: str, state: str | None = None) -> int:
    """Count the jobs of a ledger, or those in one state."""
    counted = select(func.count()).where(ledger_jobs.c.ledger == ledger, IS_THERE)
    if state is not None:
        counted = counted.where(ledger_jobs.c.state == state)
    return connection.scalar(counted) or 0


def last_changes(connection: Connection, ledger: str) -> tuple[LedgerJob | None, datetime | None]:
    """Return the job that was started last, and when anything has changed."""
    c = ledger_jobs.c
    of_ledger = select(ledger_jobs).where(c.ledger == ledger, IS_THERE)
    newest = connection.execute(of_ledger.order_by(c.started_at.desc(), c.id.desc()).limit(1))
    row = newest.first()
    times = connection.execute(
        select(func.max(c.detail_at), func.max(c.heartbeat_at), func.max(c.removed_at)).where(
            c.ledger == ledger
        )
    ).one()
    return (
        stored_job(row).job if row else None,
        max((time for time in times if time is not None), default=None),
    )


def listed(
    connection: Connection, ledger: str, state: str | None = None, last: StoredJob | None = None
) -> Iterator[StoredJob]:
    """Yield the jobs of a ledger, those first that were started first; reads them page by page.

    Args:
        state: only jobs in this state.
        last: begin after this job.
    """
    place = (last.status.start_time, last.id) if last else None
    while rows := connection.execute(_page(ledger, state, place)).all():
        yield from map(stored_job, rows)
        place = rows[-1].started_at, rows[-1].id


class Line(NamedTuple):
    """What the status page shows of a job: of ten thousand, within a moment."""

    started_us: int  #: microseconds since 1970
    id: int
    date: str  #: RFC 3339
    experiment: str
    datatype: str
    state: str
    detail: str
    before_detail: str | None
    detail_us: int  #: microseconds since 1970
    update_count: int


def lines(connection: Connection, ledger: str) -> Iterator[Line]:
    """Yield the lines of all jobs of a ledger, in the order of `listed`."""
    place = None
    while rows := connection.execute(_page(ledger, None, place, _LINE)).all():
        yield from map(Line._make, rows)
        place = EPOCH + timedelta(microseconds=rows[-1][0]), rows[-1][1]


def _page(
    ledger: str,
    state: str | None,
    last: tuple[datetime, int] | None,
    columns: Sequence[Any] = (ledger_jobs,),
) -> Select[Any]:
    started_at, key = ledger_jobs.c.started_at, ledger_jobs.c.id
    page = select(*columns).where(ledger_jobs.c.ledger == ledger, IS_THERE)
    if state is not None:
        page = page.where(ledger_jobs.c.state == state)
    if last is not None:
        is_next = and_(started_at == last[0], key > last[1])
        # The first condition is for the index, the second one is exact.
        page = page.where(started_at >= last[0], or_(started_at > last[0], is_next))
    return page.order_by(started_at, key).limit(_PAGE)


def history(connection: Connection, job_id: int) -> list[HistoryRow]:
    """Return the history of a job over all its runs, the oldest row first."""
    rows = select(ledger_changes).where(ledger_changes.c.job_id == job_id)
    return [_history_row(row) for row in connection.execute(rows.order_by(ledger_changes.c.number))]


def histories(connection: Connection, job_ids: Collection[int]) -> dict[int, list[HistoryRow]]:
    """Return the histories of several jobs, by their ids."""
    found: dict[int, list[HistoryRow]] = {job_id: [] for job_id in job_ids}
    rows = select(ledger_changes).where(ledger_changes.c.job_id.in_(list(job_ids)))
    for row in connection.execute(rows.order_by(ledger_changes.c.job_id, ledger_changes.c.number)):
        found[row.job_id].append(_history_row(row))
    return found


def _history_row(row: Row[Any]) -> HistoryRow:
    return HistoryRow(row.number, row.run, row.entry, row.state, row.at, row.detail)


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many jobs of an experiment and datatype are in a state."""

    experiment: str
    datatype: str
    label: str  #: the state, as `Status.label`
    state: str
    jobs: int


def in_flight(connection: Connection, ledger: str | None = None) -> list[InFlight]:
    """Count the jobs by experiment, datatype and state; of one ledger, or of all."""
    c = ledger_jobs.c
    before = case((c.state == FAILED, func.coalesce(c.before_state, "init")), else_=literal(""))
    columns = (c.experiment, c.datatype, c.state, before.label("before"))
    counted = select(*columns, func.count().label("jobs")).where(IS_THERE)
    if ledger is not None:
        counted = counted.where(c.ledger == ledger)
    return [
        InFlight(
            row.experiment,
            row.datatype,
            f"{row.before}-{FAILED}" if row.state == FAILED else row.state,
            row.state,
            row.jobs,
        )
        for row in connection.execute(counted.group_by(*columns))
    ]


def remove_old(
    connection: Connection,
    ledger: str,
    now: datetime,
    *,
    silent_since: datetime | None,
    complete_since: datetime,
    heartbeats_count: bool,
) -> list[StoredJob]:
    """Remove jobs that have expired, or have been complete for long enough.

    Args:
        silent_since: a job without a new detail since then has expired; None: jobs never expire.
        complete_since: a complete job without a new detail since then is cleaned up.
        heartbeats_count: a heartbeat counts like a detail.

    Returns:
        the jobs as they were.
    """
    c = ledger_jobs.c
    is_over = and_(c.state == COMPLETE, c.detail_at < complete_since)
    if silent_since is not None:
        is_silent = c.detail_at < silent_since
        if heartbeats_count:
            is_silent = and_(
                is_silent, or_(c.heartbeat_at.is_(None), c.heartbeat_at < silent_since)
            )
        is_over = or_(is_over, is_silent)
    rows = connection.execute(
        select(ledger_jobs)
        .where(c.ledger == ledger, IS_THERE, is_over)
        .order_by(c.id)
        .limit(_PAGE)
        .with_for_update()
    ).all()
    removed = update(ledger_jobs).where(c.id.in_([row.id for row in rows]))
    connection.execute(removed.values(removed_at=now))
    old = [stored_job(row) for row in rows]
    for stored in old:
        if stored.status.state != COMPLETE:
            ledger_events.job_expired(connection, ledger, stored, now)
    return old


def purge(connection: Connection, removed_before: datetime) -> int:
    """Delete jobs that were removed long ago, and their histories; return how many."""
    old = (
        select(ledger_jobs.c.id)
        .where(ledger_jobs.c.removed_at < removed_before)
        .order_by(ledger_jobs.c.removed_at)
        .limit(_PAGE)
    )
    ids = list(connection.scalars(old))
    return connection.execute(delete(ledger_jobs).where(ledger_jobs.c.id.in_(ids))).rowcount


IS_THERE = ledger_jobs.c.removed_at.is_(None)
_OF_KEYS = (
    ledger_jobs.c.ledger == bindparam("of_ledger"),
    ledger_jobs.c.job_key.in_(bindparam("keys", expanding=True)),
)
_BY_KEYS = select(ledger_jobs).where(*_OF_KEYS)
_IDS = select(ledger_jobs.c.job_key, ledger_jobs.c.id).where(*_OF_KEYS)
# Ordered, so that no two transactions wait for each other.
_LOCKED = _BY_KEYS.order_by(ledger_jobs.c.id).with_for_update()
# By the keys alone: with a condition on `removed_at`, SQLite reads all jobs of the ledger.
_KNOWN = select(
    *(ledger_jobs.c[name] for name in ("job_key", "experiment", "datatype", "removed_at"))
).where(*_OF_KEYS)
_BEAT = (
    update(ledger_jobs)
    .where(ledger_jobs.c.ledger == bindparam("of"), ledger_jobs.c.job_key == bindparam("key"))
    .values(heartbeat_at=bindparam("beat_at"))
)
_LINE = (
    type_coerce(ledger_jobs.c.started_at, BigInteger),
    *(ledger_jobs.c[name] for name in ("id", "date", "experiment", "datatype", "state")),
    ledger_jobs.c.detail,
    ledger_jobs.c.before_detail,
    type_coerce(ledger_jobs.c.detail_at, BigInteger),
    ledger_jobs.c.update_count,
)
_JOB_COLUMNS = ("bucket", "experiment", "datatype", "date", "filter", "datasets")
_RESTART = (
    update(ledger_jobs)
    .where(ledger_jobs.c.id == bindparam("job_id"))
    .values(heartbeat_at=None, removed_at=None)
)
_LEAVE_OUT = delete(ledger_changes).where(
    ledger_changes.c.job_id == bindparam("of_job"), ledger_changes.c.number <= bindparam("up_to")
)


def _locked(connection: Connection, ledger: str, keys: Collection[str]) -> list[StoredJob]:
    fitting = [key for key in keys if len(key) <= LONGEST_KEY]
    rows = connection.execute(_LOCKED, {"of_ledger": ledger, "keys": fitting})
    return [stored_job(row) for row in rows if row.removed_at is None]


def _rows_of(connection: Connection, ledger: str, keys: Sequence[str]) -> Sequence[Row[Any]]:
    return connection.execute(_BY_KEYS, {"of_ledger": ledger, "keys": keys}).all()


def _write(connection: Connection, changed: Sequence[StoredJob]) -> None:
    rows = [{"id": stored.id} | _columns(stored.status) for stored in changed]
    update_rows(connection, ledger_jobs, rows)
    _append(connection, [(stored.id, stored.status) for stored in changed])


def _append(connection: Connection, statuses: Sequence[tuple[int, Status]]) -> None:
    rows = [
        {
            "job_id": job_id,
            "number": row.number,
            "run": row.run,
            "entry": row.entry,
            "state": row.state,
            "at": row.at,
            "detail": row.detail,
        }
        for job_id, status in statuses
        for row in status.appended
    ]
    insert_rows(connection, ledger_changes, rows)
    for job_id, status in statuses:
        before = status.rows - len(status.appended)
        if status.rows > MOST_ROWS and (
            before // _LEFT_OUT_AT_ONCE < status.rows // _LEFT_OUT_AT_ONCE
        ):
            up_to = status.rows - MOST_ROWS
            connection.execute(_LEAVE_OUT, {"of_job": job_id, "up_to": up_to})


def _columns(status: Status) -> dict[str, Any]:
    before = status.before
    return {
        "run": status.run,
        "entry": status.entry,
        "history_rows": status.rows,
        "update_count": status.update_count,
        "state": status.last.state,
        "state_at": status.last.start,
        "detail": status.last.detail,
        "detail_at": status.last.detail_time,
        "before_state": before.state if before else None,
        "before_detail": before.detail if before else None,
        "started_at": status.start_time,
    }


def _job_columns(key: str, job: LedgerJob) -> dict[str, Any]:
    datasets = {"tmp": job.datasets.tmp, "raw": job.datasets.raw, "join": job.datasets.join}
    return {
        "job_key": key,
        "bucket": job.bucket,
        "experiment": job.experiment,
        "datatype": job.datatype,
        "date": job.date.isoformat(),
        "filter": job.filter,
        "datasets": datasets,
    }


def stored_job(row: Row[Any]) -> StoredJob:
    """Return the job of a row of the table."""
    job = LedgerJob(
        bucket=row.bucket,
        experiment=row.experiment,
        datatype=row.datatype,
        date=datetime.fromisoformat(row.date),
        filter=row.filter,
        datasets=Datasets(**row.datasets),
    )
    return StoredJob(row.id, job, _status(row), row.job_key)


def _status(row: Row[Any]) -> Status:
    before = None
    if row.before_state is not None:
        before = StateInfo(row.before_state, row.started_at, row.state_at, row.before_detail)
    return Status(
        start_time=row.started_at,
        last=StateInfo(row.state, row.state_at, row.detail_at, row.detail),
        before=before,
        heartbeat_time=row.heartbeat_at,
        update_count=row.update_count,
        run=row.run,
        entry=row.entry,
        rows=row.history_rows,
    )
