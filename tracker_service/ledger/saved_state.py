"""Move jobs from a Gardener and back: its saved state, and the dates of its iterators.

The file `gardener-tracker-state-v2.json` is `{"SaveTime": …, "Statuses": {key: Status}, "Jobs":
{key: Job}}`; the files of the iterators are `{"Date": …}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from tracker_service.domain.ledger import (
    LONGEST_DETAIL,
    LONGEST_KEY,
    LONGEST_STATE,
    HistoryRow,
    LedgerJob,
    StateInfo,
    Status,
    StoredJob,
    history_of,
)
from tracker_service.errors import BadInput
from tracker_service.ledger import go_json
from tracker_service.ledger.job_service import JobService
from tracker_service.store import ledger_cursors, ledger_jobs
from tracker_service.store.database import Connection, Store

_AT_ONCE = 500


def export_state(store: Store, ledger: str, now: datetime) -> Iterator[str]:
    """Yield the saved state of a ledger, as Gardener would write it, piece by piece."""
    with store.read() as connection:
        found = sorted(ledger_jobs.listed(connection, ledger), key=lambda stored: stored.key)
        yield f'{{"SaveTime":{go_json.dumps(go_json.time_text(now))},"Statuses":{{'
        yield from _joined(_statuses(connection, found))
        yield '},"Jobs":{'
        yield from _joined(
            f"{go_json.dumps(stored.key)}:{go_json.dumps(go_json.job_body(stored.job))}"
            for stored in found
        )
        yield "}}"


def _statuses(connection: Connection, jobs: Sequence[StoredJob]) -> Iterator[str]:
    left = iter(jobs)
    while some := list(islice(left, _AT_ONCE)):
        rows = ledger_jobs.histories(connection, [stored.id for stored in some])
        for stored in some:
            status = stored.status
            history = history_of(rows[stored.id], status.run)
            body = go_json.status_body(status.heartbeat_time, status.update_count, history)
            yield f"{go_json.dumps(stored.key)}:{go_json.dumps(body)}"


def _joined(pieces: Iterator[str]) -> Iterator[str]:
    for number, piece in enumerate(pieces):
        yield f",{piece}" if number else piece


def import_state(store: Store, ledger: str, text: str) -> int:
    """Add the jobs of a saved state to a ledger, all or none of them.

    Returns:
        the number of jobs.

    Raises:
        BadInput: it is no saved state, or the ledger has one of the jobs; the message names it.
    """
    jobs, statuses = _parts(text)
    started = [(_job(key, jobs), _status(key, body)) for key, body in sorted(statuses.items())]

    def write(connection: Connection) -> None:
        known = ledger_jobs.keys_ever(connection, ledger, [job.key for job, _ in started])
        if known:
            raise BadInput(
                f"the ledger {ledger} has {min(known)} already; import into a ledger without jobs"
            )
        for start in range(0, len(started), _AT_ONCE):
            ledger_jobs.insert_all(connection, ledger, started[start : start + _AT_ONCE])

    store.write(write)
    return len(started)


def import_dates(store: Store, ledger: str, service: JobService, dates: Mapping[str, str]) -> None:
    """Have the iterators of a ledger go on at saved dates.

    Args:
        dates: the text of the file of each iterator, by its name: `daily`, `historical`.

    Raises:
        BadInput: a text has no date.
    """
    begun = {iterator: _date(text) for iterator, text in dates.items()}
    cursors = service.begin(begun)

    def write(connection: Connection) -> None:
        ledger_cursors.lock(connection, ledger)
        places = {place: (cursor.round, cursor.date) for place, cursor in cursors.items()}
        ledger_cursors.write(connection, ledger, places)

    store.write(write)


def _date(text: str) -> datetime:
    body = _parsed(text)
    return go_json.date_of(str(body.get("Date", "")))


def _parts(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    body = {name.lower(): value for name, value in _parsed(text).items()}
    jobs, statuses = body.get("jobs") or {}, body.get("statuses") or {}
    if not isinstance(jobs, dict) or not isinstance(statuses, dict):
        raise BadInput("Jobs and Statuses are no objects of JSON")
    return jobs, statuses


def _parsed(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise BadInput(f"this is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadInput(f"expected an object of JSON, found {type(body).__name__}")
    return body


def _job(key: str, jobs: Mapping[str, Any]) -> LedgerJob:
    if key not in jobs:
        raise BadInput(f"Jobs has no {key}, which is in Statuses")
    try:
        job = go_json.job_of(jobs[key])
    except BadInput as error:
        raise BadInput(f"the job {key}: {error}") from error
    if job.key != key or len(key) > LONGEST_KEY:
        raise BadInput(f"the key {key} is not that of its job, {job.key[:LONGEST_KEY]}")
    return job


def _status(key: str, body: object) -> Status:
    try:
        heartbeat, count, history = go_json.status_of(body)  # type: ignore[arg-type]
    except BadInput as error:
        raise BadInput(f"the status of {key}: {error}") from error
    if any(
        len(info.state) > LONGEST_STATE or len(info.detail) > LONGEST_DETAIL for info in history
    ):
        raise BadInput(f"the status of {key}: a state or detail is too long")
    rows = tuple(_rows(history))
    return Status(
        start_time=history[0].start,
        last=history[-1],
        before=history[-2] if len(history) > 1 else None,
        heartbeat_time=heartbeat,
        update_count=count,
        entry=len(history) - 1,
        rows=len(rows),
        appended=rows,
    )


def _rows(history: Sequence[StateInfo]) -> Iterator[HistoryRow]:
    """Yield the rows from which the states are read again as they were."""
    number = 0
    for entry, info in enumerate(history):
        number += 1
        if info.detail_time != info.start:
            yield HistoryRow(number, 0, entry, info.state, info.start, "")
            number += 1
        yield HistoryRow(number, 0, entry, info.state, info.detail_time, info.detail)
