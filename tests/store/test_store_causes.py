"""Why jobs failed: a card for each user and run, and families of those that failed alike."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select

from tests.store.rows import NOW, job, live_tasks, seen
from tracker_service.domain.applications import Application, ApplicationId
from tracker_service.domain.causes import Category, Cause, Quote, Retryable, Source
from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.failures import Witness
from tracker_service.store import causes, copies, failure_groups, jobs, track_tasks
from tracker_service.store.causes import KeptCause, Others
from tracker_service.store.failure_groups import GroupFilter
from tracker_service.store.tables import causes as cause_table
from tracker_service.store.tables import jobs as job_table
from tracker_service.store.tables import tasks as task_table

APP_1, APP_2 = ApplicationId("application_1_0001"), ApplicationId("application_1_0002")
QUOTE = Quote(
    source=Source.LOG,
    text="ValueError: '\N{SNOWMAN}'",
    action="load",
    application=APP_1,
    container="container_1_0001_01_000002",
    file="stderr",
    line=31,
    offset=4711,
)


def cause(fingerprint: str = "f1", **more) -> Cause:
    usual = {
        "category": Category.APPLICATION_ERROR,
        "summary": "load.py failed with a ValueError",
        "hint": "look at the data",
        "retryable": Retryable.NO,
        "confidence": 0.9,
        "rule": "python-traceback",
        "action": "load",
        "error": "ValueError",
        "exit_code": 1,
        "evidence": (QUOTE, Quote(source=Source.OOZIE, text="exit code [1]")),
        "is_complete": True,
    }
    return Cause(fingerprint=fingerprint, **{**usual, **more})


def fail(
    connection, number: int, *, at: datetime = NOW, owner: str = "guest", run: int = 0, **more
) -> None:
    """Record a failed job of a user, and keep its cause."""
    ended = seen(number, "KILLED", run, user=owner, ended_at=at)
    [kept] = jobs.record(connection, [ended]).values()
    track_tasks.track(connection, owner, owner, [kept], NOW)
    causes.keep(connection, _task_id(connection, kept.key, owner), kept.key, cause(**more), NOW)


def _task_id(connection, job_key: int, owner: str) -> int:
    mine = select(task_table.c.id).where(task_table.c.owner == owner)
    return connection.execute(mine.where(task_table.c.job_id == job_key)).scalar_one()


def minutes(number: int) -> datetime:
    return NOW + timedelta(minutes=number)


def listed(connection, **more) -> list[failure_groups.FailureGroup]:
    usual = {"owner": None, "since": NOW - timedelta(days=7), "limit": 100}
    return failure_groups.listed(connection, GroupFilter(**{**usual, **more}))


def kept_cause(connection, owner: str | None = "guest") -> KeptCause:
    """Return the cause of job 1, which is kept."""
    found = causes.find(connection, job(1), owner)
    assert found is not None
    return found


def others_of_f1(connection, owner: str | None = "guest", since: datetime = NOW) -> Others:
    """Return what there is of the family of job 1 beside it."""
    found = causes.count_others(connection, "f1", job(1), owner, since)
    assert found is not None
    return found


def test_a_cause_is_kept_as_it_was_concluded(connection):
    fail(connection, 1, at=minutes(-5))

    found = kept_cause(connection)

    assert found.cause == cause()
    assert (found.job_id, found.run) == (job(1), 0)
    assert (found.failed_at, found.decided_at) == (minutes(-5), NOW)


def test_a_later_conclusion_takes_the_place_of_the_earlier(connection):
    fail(connection, 1, is_complete=False)
    fail(connection, 1, fingerprint="f2", category=Category.MEMORY)

    assert kept_cause(connection).cause == cause("f2", category=Category.MEMORY)
    assert len(connection.execute(select(cause_table)).all()) == 1


def test_each_run_of_a_job_has_a_cause_of_its_own_and_the_newest_is_told(connection):
    fail(connection, 1)
    fail(connection, 1, run=1, fingerprint="f2")

    found = kept_cause(connection)

    assert (found.run, found.cause.fingerprint) == (1, "f2")
    assert len(connection.execute(select(cause_table)).all()) == 2


def test_the_cause_of_another_user_is_told_to_those_only_who_may_see_all(connection):
    fail(connection, 1, owner="sam")

    assert causes.find(connection, job(1), "guest") is None
    assert kept_cause(connection, None).cause == cause()


def test_it_is_known_whether_a_cause_is_kept(connection):
    fail(connection, 1)
    [row] = connection.execute(select(cause_table)).all()

    assert causes.is_kept(connection, row.task_id, row.job_id)
    assert not causes.is_kept(connection, row.task_id, row.job_id + 1)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\0b", "a?b"),
        ("half a pair: \ud83d", "half a pair: ?"),
        ("\N{SNOWMAN}" * 40_000, "\N{SNOWMAN}" * 40_000),
    ],
)
def test_whatever_a_log_had_in_it_can_be_kept(connection, text, kept):
    quote = Quote(source=Source.LOG, text=text)

    fail(connection, 1, summary=text, evidence=(quote,))

    found = kept_cause(connection).cause
    assert (found.summary, found.evidence) == (kept, (Quote(source=Source.LOG, text=kept),))


@pytest.mark.parametrize("table", [task_table, job_table])
def test_a_cause_goes_with_its_task_and_with_its_job(connection, table):
    fail(connection, 1)

    connection.execute(delete(table))

    assert connection.execute(select(cause_table)).all() == []


# Other jobs of the same family.


def test_others_of_the_family_are_counted_with_when_they_failed(connection):
    for number in (1, 2, 3):
        fail(connection, number, at=minutes(number))
    fail(connection, 4, fingerprint="f2")

    found = others_of_f1(connection)

    assert (found.jobs, found.first_at, found.last_at) == (2, minutes(2), minutes(3))


def test_runs_of_one_job_are_one_and_its_own_do_not_count(connection):
    fail(connection, 1)
    fail(connection, 1, run=1)
    fail(connection, 2)
    fail(connection, 2, run=1)

    assert others_of_f1(connection).jobs == 1


def test_what_failed_earlier_and_what_belongs_to_others_does_not_count(connection):
    fail(connection, 2, at=minutes(-1))
    fail(connection, 3, owner="sam")

    assert causes.count_others(connection, "f1", job(1), "guest", NOW) is None
    assert others_of_f1(connection, None, minutes(-1)).jobs == 2


# What a cause is concluded from.


def test_applications_are_told_with_what_yarn_and_their_logs_say(connection):
    [kept] = jobs.record(connection, [seen(1, "KILLED")]).values()
    track_tasks.track(connection, "guest", "guest", [kept], NOW)
    found = [
        Application(id=APP_1, action="load", workflow_id=job(1), role="launcher"),
        Application(id=APP_2, action="load", workflow_id=job(1), role="child"),
    ]
    jobs.record_applications(connection, kept.key, NOW, found)
    [task] = live_tasks(connection)
    copies.decide(connection, task, [APP_1], NOW)
    [copy] = copies.of_tasks(connection, [task.id])[task.id]
    noted = {"containers": 1, "findings": {"lines": [1, 2]}}
    copies.change(
        connection, copy, status=CopyStatus.SUCCEEDED, contents=noted, diagnostics="exit 143"
    )
    launcher, child = (
        Witness(application=app, action="load", workflow_id=job(1), role=role)
        for app, role in ((APP_1, "launcher"), (APP_2, "child"))
    )

    told = causes.witnesses(connection, task.id, kept.key)
    of_nobody = causes.witnesses(connection, None, kept.key)

    assert [(each.diagnostics, each.findings) for each in told] == [
        ("exit 143", {"lines": [1, 2]}),
        (None, None),
    ]
    assert of_nobody == [launcher, child]


# Families.


def test_failures_are_grouped_and_the_family_that_failed_last_stands_first(connection):
    fail(connection, 1, at=minutes(1), fingerprint="old")
    fail(connection, 2, at=minutes(2), fingerprint="new", summary="as it was")
    fail(connection, 3, at=minutes(9), fingerprint="new", category=Category.MEMORY, summary="heap")

    new, old = listed(connection)

    assert (new.fingerprint, new.category, new.summary) == ("new", Category.MEMORY, "heap")
    assert (new.count, new.first_at, new.last_at) == (2, minutes(2), minutes(9))
    assert (new.jobs, new.users) == ([job(3), job(2)], ["guest"])
    assert (old.fingerprint, old.count, old.jobs) == ("old", 1, [job(1)])


def test_a_job_that_two_users_track_is_one_job_and_each_sees_only_what_is_theirs(connection):
    fail(connection, 1, owner="guest")
    fail(connection, 1, owner="sam")
    fail(connection, 2, owner="sam", at=minutes(1))

    [all_of_them] = listed(connection)
    [guests] = listed(connection, owner="guest")

    assert (all_of_them.count, all_of_them.jobs) == (2, [job(2), job(1)])
    assert all_of_them.users == ["sam", "guest"]
    assert (guests.count, guests.jobs, guests.users) == (1, [job(1)], ["guest"])


def test_families_are_chosen_by_category_and_time(connection):
    fail(connection, 1, at=minutes(1), fingerprint="heap", category=Category.MEMORY)
    fail(connection, 2, at=minutes(5), fingerprint="disk", category=Category.DISK_OR_QUOTA)
    fail(connection, 3, at=minutes(-1), fingerprint="disk", category=Category.DISK_OR_QUOTA)

    [heap] = listed(connection, category=Category.MEMORY)
    [disk] = listed(connection, since=minutes(2))

    assert heap.fingerprint == "heap"
    assert (disk.fingerprint, disk.count, disk.first_at) == ("disk", 1, minutes(5))
    assert listed(connection, since=minutes(6)) == []


def test_pages_of_families_follow_each_other_without_gap_and_repetition(connection):
    for number in range(1, 8):  # two families each failed last in the same moment
        fail(connection, number, at=minutes(number // 2), fingerprint=f"f{number}")

    seen_, after = [], None
    while page := listed(connection, limit=2, after=after):
        seen_ += [each.fingerprint for each in page]
        after = page[-1].cursor

    assert seen_ == ["f6", "f7", "f4", "f5", "f2", "f3", "f1"]


def test_of_a_large_family_the_newest_jobs_and_users_are_named(connection):
    for number in range(failure_groups.NAMED + 5):
        fail(connection, number, at=minutes(number), owner=f"user{number}")

    [family] = listed(connection)

    newest = range(failure_groups.NAMED + 4, 4, -1)
    assert family.count == failure_groups.NAMED + 5
    assert family.jobs == [job(number) for number in newest]
    assert family.users == [f"user{number}" for number in newest]
