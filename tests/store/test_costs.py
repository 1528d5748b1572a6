"""What is asked often reads what is shown, and not all that is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event

from tests.store.rows import NOW, job, live_tasks, seen, track
from tracker_service.domain.jobs import JobId
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import TaskReason, TaskState
from tracker_service.store import (
    adoption,
    children,
    credentials,
    deliveries,
    events,
    figures,
    hints,
    jobs,
    ledger_actions,
    ledger_jobs,
    purge,
    reruns,
    tasks,
    track_tasks,
    tracked_jobs,
)
from tracker_service.store.database import Connection, Store

GROWING = (
    *("jobs", "tasks", "track_tasks", "copies", "causes", "applications", "job_state_changes"),
    *("events", "deliveries", "ledger_jobs", "ledger_changes"),
)
#: Each of these alone is true of nearly all rows.
_UNSELECTIVE = r"(kind=\?|owner=\?|kind=\? AND owner=\?|ledger=\?)"
_READS_ALL = re.compile(
    rf"(SCAN ({'|'.join(GROWING)})\b)"
    rf"|SEARCH (jobs|tasks|track_tasks|events|deliveries|ledger_jobs) .*\({_UNSELECTIVE}\)$"
)
SINCE = NOW - timedelta(days=1)


@pytest.fixture
def sqlite(tmp_path) -> Iterator[Store]:
    """A database that explains how it finds rows."""
    store = Store(f"sqlite:///{tmp_path}/tracker.db")
    store.upgrade()
    with store.begin() as connection:
        # SQLite's plans change with the number of values in a condition.
        track(connection, *range(1, 121))
    yield store
    store.close()


@contextmanager
def scans(store: Store) -> Iterator[list[str]]:
    """Collect the statements that read all rows, or nearly all, of a table that grows."""
    found: list[str] = []

    def explain(_connection, cursor, statement, parameters, _context, is_many) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            values = parameters[0] if is_many else parameters
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plan = [row[3] for row in cursor.fetchall()]
            found.extend(f"{step}: {statement}" for step in plan if _READS_ALL.match(step))

    event.listen(store._engine, "before_cursor_execute", explain)
    yield found
    event.remove(store._engine, "before_cursor_execute", explain)


def listing(owner: str | None) -> tracked_jobs.Listing:
    return tracked_jobs.Listing(owner=owner, since=SINCE, limit=100)


def _explain(connection: Connection) -> None:
    tasks.explain(connection, "guest", Reason(TaskReason.NO_CREDENTIAL, "none"))


def _erase(connection: Connection) -> None:
    credentials.keep(connection, "guest", b"x", NOW)
    [kept] = credentials.find(connection, ["guest"]).values()
    credentials.erase_unneeded(connection, kept)


def _purge(connection: Connection) -> None:
    for last in (None, old_task()):
        purge.old_tasks(connection, 1, last, 100)
    purge.remove(connection, 1, [old_task()])


def _read_events(connection: Connection) -> None:
    events.last_sequence(connection)
    for owner in (None, "guest"):
        for types in ((), ("tracker.job.*", "tracker.logs.lost")):
            wanted = events.EventFilter(owner=owner, types=types)
            events.following(connection, 7, wanted, 100)


def _deliver(connection: Connection) -> None:
    deliveries.with_work(connection, [1, 2], NOW)
    deliveries.due(connection, 1, NOW, 100)
    deliveries.held(connection, 1, NOW)
    deliveries.last_sent(connection, 1, ["f"], SINCE)
    deliveries.hasten(connection, [1], NOW)
    deliveries.replay(connection, "guest", None)


def _report(connection: Connection) -> None:
    ledger_jobs.find(connection, "main", "20200101:ndt/tcpinfo")
    ledger_jobs.known(connection, "main", [f"key {n}" for n in range(120)])
    ledger_jobs.keys_ever(connection, "main", [f"key {n}" for n in range(120)])
    ledger_jobs.beat(connection, "main", {"key": NOW})


def old_task() -> purge.OldTask:
    return purge.OldTask(id=1, owner="guest", ended_at=NOW, job_id=job(1), parent_id=job(2))


ASKED_OFTEN: dict[str, Callable[[Connection], object]] = {
    "metrics": lambda c: (figures.figures(c, SINCE), figures.capacity(c, 60)),
    "list": lambda c: tracked_jobs.listed(c, listing("guest")),
    "list of all": lambda c: tracked_jobs.listed(c, listing(None)),
    "tag": lambda c: tracked_jobs.outline(c, listing("guest")),
    "tag of all": lambda c: tracked_jobs.outline(c, listing(None)),
    "one job": lambda c: tracked_jobs.of_job(c, "guest", job(1)),
    "post": lambda c: track(c, 1, 3),
    "stop": lambda c: track_tasks.stop(c, "guest", job(1), NOW),
    "end": lambda c: tasks.end(c, live_tasks(c)[0], NOW),
    "has_live": lambda c: tasks.has_live(c, "guest"),
    "waiting": lambda c: tasks.waiting(c, "guest", ["no-credential"]),
    "clear_reason": lambda c: tasks.clear_reason(c, "guest"),
    "explain": _explain,
    "erase_unneeded": _erase,
    "reruns": lambda c: (reruns.ended(c, "guest", SINCE), reruns.owners_to_ask_for(c, [])),
    "children": lambda c: (
        children.statuses(c, "guest", job(1)),
        children.without_task(c, "guest", [job(2)]),
    ),
    "hint": lambda c: hints.tasks_to_hint(c, "guest", job(1)),
    "observe": lambda c: jobs.record(c, [seen(1, "KILLED"), seen(2, run=1)]),
    "purge": _purge,
    "events": _read_events,
    "old events": lambda c: events.any_older(c, 60),
    "prune": lambda c: events.prune(c, 60, 100),
    "deliveries": _deliver,
    "ledger": _report,
    "ledger claim": lambda c: ledger_actions.claim(c, "main", ["Parsing"], "w", 60, 10),
    "ledger purge": lambda c: ledger_jobs.purge(c, NOW),
}


@pytest.mark.parametrize("asked", ASKED_OFTEN)
def test_what_is_asked_often_reads_no_table_that_grows_as_a_whole(sqlite, asked):
    with scans(sqlite) as found, sqlite.begin() as connection:
        ASKED_OFTEN[asked](connection)

    assert found == []


def test_the_look_for_rows_of_the_previous_release_reads_no_table_as_a_whole(sqlite):
    with scans(sqlite) as found:
        adoption.adopt_all(sqlite)

    assert found == []


def ended(connection: Connection, number: int, ended_at) -> JobId:
    track(connection, number)
    [task] = [task for task in live_tasks(connection) if task.job_id == job(number)]
    jobs.record(connection, [seen(number, "SUCCEEDED")])
    tasks.end(connection, task, ended_at)
    return job(number)


def test_figures_count_what_is_live_and_what_ended_lately(connection):
    track(connection, 1)
    ended(connection, 2, NOW)
    ended(connection, 3, SINCE - timedelta(hours=1))

    found = figures.figures(connection, SINCE)

    assert (found.jobs["RUNNING"], found.jobs["SUCCEEDED"]) == (1, 1)
    assert (found.tasks[TaskState.WATCHING], found.tasks[TaskState.ENDED]) == (1, 1)


def test_a_job_of_two_users_counts_once(connection):
    track(connection, 1)
    track(connection, 1, owner="sam")

    found = figures.figures(connection, SINCE)

    assert found.jobs["RUNNING"] == 1
    assert found.tasks[TaskState.WATCHING] == 2


def test_the_list_has_what_is_live_and_what_ended_lately_in_the_order_of_the_tasks(connection):
    for number, instant in enumerate((NOW, SINCE - timedelta(hours=1), NOW), start=1):
        ended(connection, number, instant)
    track(connection, 4)
    track(connection, 5, owner="sam")

    mine = tracked_jobs.listed(connection, listing("guest"))
    all_users = tracked_jobs.listed(connection, listing(None))

    assert [each.job_id for each in mine] == [job(1), job(3), job(4)]
    assert [each.job_id for each in all_users] == [job(1), job(3), job(4), job(5)]
    assert tracked_jobs.outline(connection, listing("guest")).task_ids == [each.id for each in mine]
