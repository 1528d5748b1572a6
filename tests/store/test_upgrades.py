from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text, update

from tests.store.old_worker import OldApi, OldWorker
from tests.store.rows import NOW, hold, job, seen, task_rows, track
from tests.store.schemas import EARLIER, THEN_MS, make
from tracker_service.domain.copies import Contents, CopyPolicy, CopyReason, CopyStatus, Strategy
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import TaskReason, TaskState, TrackTask
from tracker_service.errors import ConfigError, LeaseLost
from tracker_service.store import (
    adoption,
    copies,
    credentials,
    jobs,
    jobsets,
    tasks,
    track_tasks,
    tracked_jobs,
    workers,
)
from tracker_service.store.database import Store
from tracker_service.store.dialects import open_engine
from tracker_service.store.tables import jobsets as jobset_table
from tracker_service.store.tables import metadata
from tracker_service.store.tables import tasks as task_table

pytestmark = pytest.mark.slow

THEN = datetime.fromtimestamp(THEN_MS / 1000, UTC)


@pytest.fixture
def from_revision(bare_url: str) -> Iterator[Callable[[str], Store]]:
    """A database that an earlier release has filled, upgraded."""
    opened = []

    def upgraded(revision: str) -> Store:
        make(bare_url, revision)
        opened.append(store := Store(bare_url))
        store.upgrade()
        return store

    yield upgraded
    for store in opened:
        store.close()


@pytest.fixture(params=EARLIER)
def upgraded(request: pytest.FixtureRequest, kind: str, upgraded_once) -> Store:
    """The database of an earlier release, upgraded, for tests that change nothing."""
    return upgraded_once(kind, request.param)


def test_an_upgraded_schema_is_like_a_new_one(upgraded):
    with upgraded.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)

    assert differences == []


_KEPT = ("jobs", "job_state_changes", "jobsets", "tasks", "copies", "credentials")


def test_an_upgrade_keeps_all_there_is(upgraded):
    with upgraded.read() as connection:
        counts = {
            table: connection.scalar(text(f"SELECT count(*) FROM {table}"))
            for table in (*_KEPT, "track_tasks")
        }

    assert counts == {
        "jobs": 3,
        "job_state_changes": 3,
        "jobsets": 2,
        "tasks": 3,
        "copies": 4,
        "credentials": 1,
        "track_tasks": 3,
    }


def test_jobs_and_tasks_are_told_as_before_the_upgrade(upgraded):
    with upgraded.read() as connection:
        known = jobs.latest(connection, [job(1), job(2), job(3)])
        history = jobs.history(connection, known[job(2)].key)
        listing = tracked_jobs.Listing(owner="guest", since=THEN)
        tracked = tracked_jobs.listed(connection, listing)
        sealed = credentials.find(connection, ["guest"])["guest"].sealed

    assert {each.id: (each.status, each.run) for each in known.values()} == {
        job(1): (JobStatus.RUNNING, 0),
        job(2): (JobStatus.KILLED, 2),
        job(3): (JobStatus.SUCCEEDED, 0),
    }
    assert [change.to_status for change in history] == [JobStatus.KILLED]
    assert [(each.job_id, each.state) for each in tracked] == [
        (job(1), TaskState.WATCHING),
        (job(2), TaskState.COPYING),
        (job(3), TaskState.ENDED),
    ]
    assert not any(each.is_stopped for each in tracked)
    assert sealed == b"\0\xff"


def test_copies_are_whole_after_the_upgrade(upgraded):
    with upgraded.read() as connection:
        [task] = [row for row in task_rows(connection) if row.state == TaskState.COPYING]
        found = copies.of_tasks(connection, [task.id])[task.id]

    waiting, running, saved, failed = found
    assert [each.status for each in found] == [
        CopyStatus.WAITING,
        CopyStatus.RUNNING,
        CopyStatus.SUCCEEDED,
        CopyStatus.FAILED,
    ]
    assert {each.run for each in found} == {2}
    assert [each.log_at for each in found] == [each.created_at for each in found]
    assert (waiting.strategy, running.strategy) == (Strategy.AUTO, Strategy.WORKFLOW)
    assert running.job == "0002-oozie-W"
    assert saved.saved_at == THEN + timedelta(milliseconds=100)
    assert not any(each.saved_at for each in (waiting, running, failed))


def test_what_is_in_a_saved_log_is_still_known(from_revision):
    with from_revision("0003").read() as connection:
        found = copies.of_tasks(connection, [2])[2]

    assert found[2].contents == Contents(containers=1, sources=("/a",))


def test_wishes_are_still_known(from_revision):
    with from_revision("0002").read() as connection:
        wishes = {row.state: bool(row.copies_always) for row in task_rows(connection)}

    assert wishes == {"watching": False, "copying": True, "ended": False}


@pytest.mark.parametrize("revision", EARLIER)
def test_work_goes_on_after_the_upgrade(from_revision, revision):
    upgraded = from_revision(revision)
    with upgraded.begin() as connection:
        [lease] = hold(connection)  # the other one is held by a worker that still lives
        jobsets.guard(connection, lease)
        [task] = track_tasks.live(connection, lease)
        due = copies.due(connection, {lease.jobset_id: lease}, NOW, copies.DueFilter(), 10)
        for copy, _ in due:
            assert copies.change(connection, copy, status=CopyStatus.SUCCEEDED, saved_at=NOW)
        tasks.end(connection, task, NOW)
        track(connection, 4, 5)
        jobsets.note_polled(connection, {lease: NOW})

    with upgraded.read() as connection:
        rows = connection.execute(select(jobset_table).order_by(jobset_table.c.id)).all()
    assert [copy.application for copy, _ in due] == ["application_1_0001", "application_1_0002"]
    assert [row.size for row in rows] == [1, 0, 2]
    assert rows[1].polled_at == NOW


def test_a_schema_of_a_later_release_is_left_alone(bare_url):
    later = Store(bare_url)
    later.upgrade()
    with later.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigError, match=r"a later release.*9999"):
        later.upgrade()

    later.close()


def test_mariadb_tells_small_letters_from_capital_ones(from_revision, bare_url):
    if not bare_url.startswith("mysql"):
        pytest.skip("the other databases always do")

    with from_revision("0001").read() as connection:
        found = connection.execute(
            text(
                "SELECT DISTINCT collation_name FROM information_schema.columns"
                " WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
                " AND collation_name IS NOT NULL"
            )
        )
        collations = list(found.scalars())

    assert collations == ["utf8mb4_bin"]


@pytest.mark.parametrize(
    "undone", ["", "DROP TABLE track_tasks", "UPDATE tasks SET subject = NULL", "DROP TABLE locks"]
)
def test_an_upgrade_that_was_broken_off_can_be_repeated(from_revision, undone):
    """MariaDB cannot take back what has been done of it."""
    store = from_revision("0006")
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0006'"))
        if undone:
            connection.execute(text(undone))

    store.upgrade()

    with store.read() as connection:
        assert {row.subject for row in task_rows(connection)} == {job(1), job(2), job(3)}
        assert told(connection, 2).copies_always


@pytest.mark.slow
@pytest.mark.parametrize("revision", [None, "0001"])
def test_processes_that_upgrade_at_once_do_not_disturb_each_other(bare_url, revision):
    code = (
        "import sys; from tracker_service.store.database import Store; store = Store(sys.argv[1]);"
        "print('ready', flush=True); sys.stdin.read(1); store.upgrade(); store.upgrade();"
        "store.read().__enter__()"
    )
    if revision:
        make(bare_url, revision)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, bare_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(".")
        process.stdin.flush()

    told = [process.communicate()[1] for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, told


# A rolling upgrade: a worker of the release before goes on beside a new one.


def test_an_old_worker_keeps_its_jobset_through_the_upgrade(from_revision):
    old = OldWorker()
    with from_revision("0006").begin() as connection:
        [held] = old.held(connection)
        assert jobsets.claim(connection, "new", ["track"], 30, 10) == 1  # the other one

        old.renew(connection)

        assert old.held(connection) == [held]
        assert old.may_write(connection, held)
        old.end(connection, held, old.live(connection, held)[0].task_id)
        assert [row.state for row in task_rows(connection)].count("ended") == 2


def test_what_an_old_worker_no_longer_holds_it_may_not_write(from_revision):
    old = OldWorker()
    with from_revision("0006").begin() as connection:
        [held] = old.held(connection)
        _let_leases_run_out(connection)

        assert jobsets.claim(connection, "new", ["track"], 30, 10) == 2

        old.renew(connection)  # takes nothing back
        assert old.held(connection) == []
        assert not old.may_write(connection, held)


def test_an_old_worker_takes_nothing_from_a_new_one(from_revision):
    old = OldWorker("another old one")
    with from_revision("0006").begin() as connection:
        [lease] = hold(connection, "new")

        assert old.claim(connection) == 0

        jobsets.guard(connection, lease)


def test_what_a_new_worker_lets_go_an_old_one_takes_in_a_new_epoch(from_revision):
    old = OldWorker("another old one")
    with from_revision("0006").begin() as connection:
        [lease] = hold(connection, "new")
        jobsets.release(connection, "new")

        assert old.claim(connection) == 1

        [held] = old.held(connection)
        assert (held.id, held.epoch) == (lease.jobset_id, lease.epoch + 1)
        with pytest.raises(LeaseLost):
            jobsets.guard(connection, lease)


def test_what_an_old_worker_lets_go_and_what_an_old_api_adds_a_new_worker_takes(from_revision):
    with from_revision("0006").begin() as connection:
        OldWorker().release(connection)
        OldApi("sam").track(connection, 1)

        leases = hold(connection, "new")

        found = [task.owner for lease in leases for task in loaded(connection, lease)]
        assert sorted(found) == ["guest", "guest", "sam"]


def test_what_a_new_worker_merges_into_an_old_ones_jobset_the_old_one_sees(from_revision):
    old = OldWorker()
    with from_revision("0006").begin() as connection:
        [held] = old.held(connection)
        [lease] = hold(connection, "new")

        assert jobsets.merge(connection, lease)

        [changed] = old.held(connection)
        assert (changed.epoch, changed.size) == (held.epoch, 2)
        assert changed.version > held.version
        assert len(old.live(connection, changed)) == 2


def test_an_old_worker_is_told_beside_new_ones(from_revision):
    with from_revision("0006").begin() as connection:
        workers.note(
            connection, workers.Presence(id="new", started_at=NOW, release="2", kinds=("track",))
        )

        known = workers.known(connection, 60)

    assert [(each.id, each.release, each.is_alive) for each in known] == [
        ("old", "", False),
        ("new", "2", True),
    ]


# Reasons have codes since this release; until then sentences alone told them.

TASK_SENTENCES = {
    "waiting-for-credentials: there is no stored credential; post it again": "no-credential",
    "waiting-for-credentials: the gateway refused the stored credential": "credential-refused",
    "waiting-for-credentials: the stored token has expired; log in": "credential-expired",
    "waiting-for-credentials: no key opens it; log in": "credential-unreadable",
    "you stopped tracking this job": "stopped",
    "Oozie does not know the job 7-W": "job-gone",
    "the job was run again, and that run is tracked too": "run-tracked",
    "part of the cluster could not be asked for applications": "incomplete",
}
COPY_SENTENCES = {
    ("RUNNING", "the tracker stopped the copy workflow: 1-W was SUSPENDED"): "stopped-by-tracker",
    ("FAILED", "the tracker stopped the copy workflow: 1-W was SUSPENDED"): None,
    ("WAITING", "waits for a place: 2 copy workflows of guest run already"): "no-user-slot",
    ("WAITING", "waits for a place: 9 copy workflows run already"): "no-gateway-slot",
    ("WAITING", "waits for a place: 4 logs are being copied already"): "no-stream",
    ("WAITING", "try 1 of 3 failed: no such queue"): None,
    ("KILLED", "you stopped tracking this job"): "not-tracked",
    ("KILLED", "you removed the logs"): "removed",
    ("KILLED", "removed: older than copying.keep_copies_h"): "expired",
    ("KILLED", "somebody killed 1-W"): None,
}


def write_sentences(connection) -> None:
    """Write all reasons as processes of the release before do: without a code."""
    old, new_task = OldWorker(), "INSERT INTO tasks (kind, owner, job_id, state, copies_always,"
    new_task += " created_at, ended_at, reason)"
    new_task += " VALUES ('track', :user, 3, 'ended', false, 5, :now, :reason)"
    now = round(time.time() * 1000)
    for number, sentence in enumerate(TASK_SENTENCES):
        values = {"user": f"user{number}", "reason": sentence, "now": now}
        connection.execute(text(new_task), values)
    new_copy = (
        "INSERT INTO copies (id, task_id, application_id, run, status, strategy, path, attempt,"
        " failures, due_at, log_at, created_at)"
        " VALUES (:id, 1, :id, 0, 'WAITING', 'auto', '/', 0, 0, 5, 5, 5)"
    )
    for number, (status, sentence) in enumerate(COPY_SENTENCES):
        connection.execute(text(new_copy), {"id": f"copy{number}"})
        old.explain_copy(connection, f"copy{number}", status, sentence)


def assert_codes(connection) -> None:
    rows = connection.execute(select(task_table).where(task_table.c.owner != "guest"))
    assert {row.reason: row.reason_code for row in rows} == TASK_SENTENCES
    found = copies.of_tasks(connection, [1])[1]
    assert {(each.status, each.reason): each.reason_code for each in found} == COPY_SENTENCES


def test_an_upgrade_finds_the_code_of_each_reason(bare_url):
    make(bare_url, "0006")
    store = Store(bare_url)
    engine = open_engine(bare_url)
    with engine.begin() as connection:
        write_sentences(connection)
    engine.dispose()

    store.upgrade()

    with store.read() as connection:
        assert_codes(connection)
    store.close()


def test_the_code_of_each_reason_of_an_old_process_is_found(from_revision):
    store = from_revision("0006")
    with store.begin() as connection:
        write_sentences(connection)

    adoption.adopt_all(store)

    with store.read() as connection:
        assert_codes(connection)


def test_a_worker_that_takes_over_from_an_old_one_knows_its_reasons(from_revision):
    old = OldWorker()
    with from_revision("0006").begin() as connection:
        tasks.explain(connection, "guest", Reason(TaskReason.CREDENTIAL_REFUSED, "refused"))
        old.explain(connection, "guest", None)
        running = next(
            each
            for each in copies.of_tasks(connection, [2])[2]
            if each.status == CopyStatus.RUNNING
        )
        ours = "the tracker stopped the copy workflow: 1-W was SUSPENDED"
        old.explain_copy(connection, running.id, "RUNNING", ours)

        for lease in hold(connection, "new"):
            adoption.adopt(connection, lease.jobset_id)

        [row] = [row for row in task_rows(connection) if row.id == 2]
        assert row.reason_code is None
        [running] = [each for each in copies.of_tasks(connection, [2])[2] if each.id == running.id]
        assert running.reason_code == CopyReason.STOPPED_BY_TRACKER

        old.explain_copy(connection, running.id, "RUNNING", "is being copied")
        adoption.adopt(connection, 2)
        [running] = [each for each in copies.of_tasks(connection, [2])[2] if each.id == running.id]
        assert running.reason_code is None


# Each side sees what the other has written about tasks.


def loaded(connection, lease) -> list[TrackTask]:
    """Return the tasks of a jobset as a new worker loads them."""
    adoption.adopt(connection, lease.jobset_id)
    return track_tasks.live(connection, lease)


def told(connection, number: int, user: str = "guest") -> tracked_jobs.TrackedJob:
    """Return what a new API tells a user of the newest run of a job."""
    return tracked_jobs.of_job(connection, user, job(number))[0]


def test_an_old_worker_follows_a_job_that_a_new_api_tracks_to_its_end(from_revision):
    old = OldWorker("another old one")
    with from_revision("0006").begin() as connection:
        track(connection, 4, owner="sam")
        assert old.claim(connection) == 2
        [(held, task)] = [
            (held, task)
            for held in old.held(connection)
            for task in old.live(connection, held)
            if task.owner == "sam"
        ]
        assert (task.external_id, task.copies_always, task.stopped_at) == (job(4), False, None)

        old.end(connection, held, task.task_id)

        assert told(connection, 4, "sam").state == TaskState.ENDED


def test_a_new_worker_hears_at_once_of_what_an_old_api_changes(from_revision):
    with from_revision("0006").begin() as connection:
        track(connection, 4, 5)
        leases = hold(connection, "new")
        before = {held.lease: held.version for held in jobsets.held(connection, "new")}
        assert [task.copies_always for task in tasks_of(connection, leases, 4)] == [False]
        keys = {number: told(connection, number).job.key for number in (4, 5)}

        OldApi("guest").want_copies(connection, keys[4])
        OldApi("guest").stop(connection, keys[5])

        after = {held.lease: held.version for held in jobsets.held(connection, "new")}
        assert any(after[lease] > before[lease] for lease in leases)
        assert [task.copies_always for task in tasks_of(connection, leases, 4)] == [True]
        assert tasks_of(connection, leases, 5) == []


def tasks_of(connection, leases, number: int) -> list[TrackTask]:
    found = [task for lease in leases for task in loaded(connection, lease)]
    return [task for task in found if task.job_id == job(number)]


def test_an_old_worker_hears_at_once_of_what_a_new_api_changes(from_revision):
    old = OldWorker()
    with from_revision("0006").begin() as connection:
        [held] = old.held(connection)
        kept = list(jobs.latest(connection, [job(1)]).values())

        track_tasks.track(connection, "guest", "guest", kept, NOW, CopyPolicy.ALL)

        [changed] = old.held(connection)
        assert changed.version > held.version
        assert [bool(task.copies_always) for task in old.live(connection, held)] == [True]

        assert track_tasks.stop(connection, "guest", job(1), NOW)

        assert old.live(connection, held) == []
        assert OldApi("guest").is_stopped(connection, kept[0].key)


def test_a_stop_by_an_old_api_is_told_by_a_new_one(from_revision):
    store = from_revision("0006")
    with store.begin() as connection:
        [kept] = track(connection, 4)
        OldApi("guest").stop(connection, kept.key)

    adoption.adopt_all(store)

    with store.read() as connection:
        assert told(connection, 4).is_stopped
        listing = tracked_jobs.Listing(owner="guest", since=THEN)
        assert job(4) not in {each.job_id for each in tracked_jobs.listed(connection, listing)}


def test_what_an_old_api_has_stopped_can_be_tracked_again_by_a_new_one(from_revision):
    with from_revision("0006").begin() as connection:
        [kept] = track(connection, 4)
        OldApi("guest").stop(connection, kept.key)

        track(connection, 4)

        assert not told(connection, 4).is_stopped
        assert told(connection, 4).state == TaskState.WATCHING


def test_what_an_old_api_tracks_is_tracked_once_whoever_is_asked_then(from_revision):
    with from_revision("0006").begin() as connection:
        [kept] = jobs.record(connection, [seen(4)]).values()
        OldApi("guest").track(connection, kept.key)

        track(connection, 4)
        assert track_tasks.stop(connection, "guest", job(4), NOW)

        assert [row.subject for row in task_rows(connection)].count(job(4)) == 1


def test_what_an_old_api_tracks_a_new_one_can_stop_at_once(from_revision):
    with from_revision("0006").begin() as connection:
        [kept] = jobs.record(connection, [seen(4)]).values()
        OldApi("guest").track(connection, kept.key)

        assert track_tasks.stop(connection, "guest", job(4), NOW)

        assert OldApi("guest").is_stopped(connection, kept.key)


def test_both_sides_know_which_run_a_task_follows(from_revision):
    old = OldWorker()
    store = from_revision("0006")
    with store.begin() as connection:
        [held] = old.held(connection)
        [again] = jobs.record(connection, [seen(1, run=1)]).values()
        old.follow_run(connection, held, old.live(connection, held)[0].task_id, again.key)
    adoption.adopt_all(store)
    with store.begin() as connection:
        assert told(connection, 1).job.run == 1

        old.release(connection)
        [task] = tasks_of(connection, hold(connection, "new"), 1)
        [third] = jobs.record(connection, [seen(1, run=2)]).values()
        track_tasks.follow_run(connection, task, third, NOW)
        jobsets.release(connection, "new")
        assert old.claim(connection) == 2

        runs = {
            each.external_id: each.run
            for held in old.held(connection)
            for each in old.live(connection, held)
        }
        assert runs[job(1)] == 2


def test_a_manifest_that_either_side_has_written_is_known_to_both(from_revision):
    store = from_revision("0006")
    with store.begin() as connection:
        OldWorker().note_manifest(connection, 2, THEN_MS)
    adoption.adopt_all(store)

    with store.begin() as connection:
        assert track_tasks.manifest_at(connection, 2) == THEN

        track_tasks.note_manifest(connection, 2, NOW)

        [row] = [row for row in task_rows(connection) if row.id == 2]
        assert row.manifest_at == NOW


def test_what_was_taken_over_is_not_taken_over_again(from_revision):
    store = from_revision("0006")
    with store.begin() as connection:
        OldApi("sam").track(connection, 1)
    adoption.adopt_all(store)
    with store.read() as connection:
        before = connection.execute(select(jobset_table).order_by(jobset_table.c.id)).all()

    adoption.adopt_all(store)

    with store.read() as connection:
        assert connection.execute(select(jobset_table).order_by(jobset_table.c.id)).all() == before


def _let_leases_run_out(connection) -> None:
    connection.execute(update(jobset_table).values(lease_until=THEN))
