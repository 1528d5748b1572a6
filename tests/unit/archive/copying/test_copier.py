from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tests.unit.archive_parts import build
from tests.unit.fakes import (
    APP_1,
    APP_2,
    APP_3,
    NOW,
    Clock,
    FakeCluster,
    FakeHdfs,
    FragileStore,
    Ticks,
    action,
    details,
    job,
    seen,
)
from tests.unit.held import Held
from tracker_service.archive.copying.copier import Copier
from tracker_service.archive.copying.progress import Progress
from tracker_service.domain.applications import ApplicationId, applications_of
from tracker_service.domain.copies import (
    Contents,
    Copy,
    CopyStatus,
    WrittenLog,
    part_path,
)
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.errors import (
    AccessDenied,
    CopyChanged,
    CredentialsRefused,
    GatewayUnavailable,
    RequestRefused,
)
from tracker_service.identities import Identities
from tracker_service.identities.keys import KeyRing
from tracker_service.metrics import Metrics
from tracker_service.store import copies, jobs, track_tasks
from tracker_service.store.database import Store
from tracker_service.tracking import outcome


@dataclass
class Copying(Held):
    """The copier of one worker, and what the tests ask about it."""

    copier: Copier
    progress: Progress
    clock: Clock

    def want(
        self, *applications: ApplicationId, owner: str = "guest", number: int = 1, **more
    ) -> None:
        """Decide to copy the logs of these applications of one failed job."""
        self.track(number, owner=owner, password=f"{owner}-password")
        for application in applications:
            self.cluster.yarn.has(application, "SUCCEEDED")
        failed = details(job(number), "KILLED", **more)
        [task] = [t for t in self.tasks() if (t.owner, t.job_id) == (owner, job(number))]
        with self.store.begin() as connection:
            task = outcome.record_details(connection, task, failed, (), NOW)
            copies.decide(connection, task, applications, NOW)
            track_tasks.start_copying(connection, task)

    def leases(self) -> dict[int, Lease]:
        return {task.lease.jobset_id: task.lease for task in self.tasks()}

    def advance(self, seconds: float = 0) -> None:
        self.clock.advance(seconds=seconds)
        self.copier.advance(self.leases())

    def copy(self) -> Copy:
        """Return the only copy."""
        [only] = self.copies(1)
        return only

    def start(self) -> Copy:
        """Make the only copy's workflow run."""
        self.want(APP_1)
        self.advance()
        return self.copy()

    def says(self, status: str, *actions, **more) -> None:
        """Put the workflow of the only copy into this state."""
        workflow = self.copy().job
        assert workflow is not None
        self.cluster.oozie.has(details(JobId(workflow), status, *actions, **more))

    def wrote(self, content: bytes = b"log\n") -> None:
        """Write this much of the log, as the workflow of the only copy."""
        self.home.files[part_path(self.copy())] = content

    @property
    def home(self) -> FakeHdfs:
        return self.cluster.homes["guest"]

    def statuses(self, number: int = 1) -> list[str]:
        return sorted(copy.status for copy in self.copies(number))


@pytest.fixture
def copying(
    store: FragileStore,
    identities: Identities,
    fake_cluster: FakeCluster,
    key_ring: KeyRing,
    now: Clock,
    ticks: Ticks,
) -> Copying:
    parts = build(store, identities, now)
    return Copying(store, fake_cluster, key_ring, ticks, parts.copier, parts.progress, now)


@pytest.fixture
def oozie(fake_cluster: FakeCluster):
    return fake_cluster.oozie


def test_a_complete_log_is_copied_by_a_workflow(copying, oozie):
    started = copying.start()

    assert (started.status, started.attempt, started.failures) == ("RUNNING", 1, 0)
    assert started.job in oozie.known
    directory = f"/user/guest/WORK/logs/.tracker/{started.id}/1"
    assert {f"{directory}/workflow.xml", f"{directory}/copy-log.sh"} == set(copying.home.files)


def test_a_log_that_is_not_complete_is_waited_for(copying, oozie, fake_cluster):
    copying.want(APP_1)
    fake_cluster.yarn.has(APP_1, "RUNNING")

    copying.advance()

    assert (copying.copy().status, copying.copy().attempt) == ("WAITING", 0)
    assert "until YARN has collected the log" in copying.copy().reason
    assert oozie.submitted == []


@pytest.mark.parametrize("state", ["RUNNING", "DISABLED", "SUCCEEDED"])
def test_a_copy_names_the_path_in_the_home_that_hdfs_names(copying, fake_cluster, state):
    copying.home.homes = "/home"
    copying.want(APP_1)
    fake_cluster.yarn.has(APP_1, state)

    copying.advance()

    assert copying.copy().path == f"/home/guest/WORK/logs/{job(1)}/{APP_1}.log"


def test_a_log_that_there_will_never_be_fails_at_once(copying, oozie, fake_cluster):
    copying.want(APP_1)
    fake_cluster.yarn.has(APP_1, "DISABLED", diagnostics="exit code 143")

    copying.advance()

    assert copying.copy().status == "FAILED"
    assert copying.copy().diagnostics == "exit code 143"
    assert "log aggregation is off" in copying.copy().reason
    assert oozie.submitted == []


def test_what_yarn_says_of_an_application_is_kept_with_its_copy(copying, fake_cluster):
    copying.want(APP_1)
    fake_cluster.yarn.has(APP_1, "SUCCEEDED", diagnostics="exit code 143")
    copying.advance()
    del fake_cluster.yarn.reports[APP_1]  # the resource manager forgets

    copying.says("SUCCEEDED")
    copying.wrote()
    copying.advance(2)

    assert copying.copy().status == "SUCCEEDED"
    assert copying.copy().diagnostics == "exit code 143"


def test_a_workflow_that_oozie_refuses_is_a_failed_try(copying, oozie):
    oozie.refusal = RequestRefused("no such queue")

    refused = copying.start()

    assert (refused.status, refused.attempt, refused.failures) == ("WAITING", 1, 1)
    assert refused.reason == "try 1 of 3 failed: no such queue"


def test_after_a_failed_try_the_next_one_waits_longer_and_longer(copying, oozie):
    oozie.refusal = RequestRefused("no")
    copying.start()

    copying.advance(59)
    assert len(oozie.submitted) == 1
    copying.advance(1)
    assert len(oozie.submitted) == 2
    copying.advance(179)
    assert len(oozie.submitted) == 2
    copying.advance(1)
    assert len(oozie.submitted) == 3


def test_when_all_tries_are_used_up_the_last_reason_is_told(copying, oozie):
    oozie.refusal = RequestRefused("no such queue")
    copying.start()
    copying.advance(60)
    copying.advance(180)

    assert (copying.copy().status, copying.copy().reason) == ("FAILED", "no such queue")

    copying.advance(9999)
    assert len(oozie.submitted) == 3


def test_a_workflow_whose_submission_is_unclear_is_found_by_its_name(copying, oozie):
    oozie.loses_answers = True
    unclear = copying.start()
    assert (unclear.status, unclear.job) == ("RUNNING", None)

    copying.advance(10)

    assert copying.copy().job in oozie.known
    assert len(oozie.submitted) == 1
    assert (copying.copy().attempt, copying.copy().failures) == (1, 0)


def test_a_workflow_that_never_arrived_is_submitted_again_and_no_try_is_used_up(copying, oozie):
    oozie.refusal = GatewayUnavailable("away")
    copying.start()
    oozie.refusal = None

    copying.advance(10)
    copying.advance()

    assert len(oozie.submitted) == 2
    assert (copying.copy().status, copying.copy().failures) == ("RUNNING", 0)
    assert copying.copy().job in oozie.known


def test_a_workflow_that_never_arrives_is_submitted_less_and_less_often(copying, oozie):
    oozie.refusal = GatewayUnavailable("HDFS is full")
    copying.start()
    submitted = []
    for _ in range(6):
        before = len(oozie.submitted)
        for _ in range(30):
            copying.advance(20)
        submitted.append(len(oozie.submitted) - before)

    assert submitted[0] > 3
    assert submitted[-1] <= 1
    assert "HDFS is full" in (copying.copy().reason or "")
    assert (copying.copy().failures, copying.copy().status.is_finished) == (0, False)
    oozie.refusal = None
    for _ in range(35):
        copying.advance(20)
    assert copying.copy().job in oozie.known


def test_after_a_crash_in_the_middle_of_a_submission_it_is_looked_into(copying, oozie):
    copying.want(APP_1)
    copying.progress.start_workflow(copying.copy(), *copying.leases().values(), "told so")

    copying.advance(4)
    assert oozie.submitted == []

    copying.advance(1)
    copying.advance()
    assert (copying.copy().status, copying.copy().failures) == ("RUNNING", 0)
    assert len(oozie.submitted) == 1


def test_copies_that_run_are_put_off_with_one_statement(copying, oozie, monkeypatch):
    copying.want(APP_1, APP_2)
    copying.advance()
    put_off, postpone = [], copies.postpone

    def spied(connection, ids, due_at, reason):
        put_off.append((len(ids), due_at, reason))
        postpone(connection, ids, due_at, reason)

    monkeypatch.setattr(copies, "postpone", spied)
    oozie.asked.clear()

    copying.advance(1)

    assert put_off == [(2, copying.clock() + timedelta(seconds=1), "is being copied")]
    assert oozie.asked == []


def test_a_log_gets_its_name_when_its_workflow_has_succeeded(copying):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.wrote(b"log\n")

    copying.advance(1)

    assert copying.home.files == {started.path: b"log\n"}
    saved = copying.copy()
    assert (saved.status, saved.bytes, saved.reason) == ("SUCCEEDED", 4, None)


def test_a_log_replaces_an_older_copy(copying):
    started = copying.start()
    copying.home.files[started.path] = b"of an earlier time\n"
    copying.says("SUCCEEDED")
    copying.wrote(b"log\n")

    copying.advance(1)

    assert copying.home.files == {started.path: b"log\n"}


def test_an_empty_log_is_a_failed_try(copying):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.wrote(b"")

    copying.advance(1)

    assert (copying.copy().status, copying.copy().failures) == ("WAITING", 1)
    assert "empty" in copying.copy().reason
    assert started.path not in copying.home.files


def test_after_a_crash_behind_the_rename_the_log_counts(copying, store):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.home.files[started.path] = b"log\n"
    copying.progress.measured(started, *copying.leases().values(), WrittenLog(4, "5ha", Contents()))

    copying.advance(1)

    assert (copying.copy().status, copying.copy().bytes) == ("SUCCEEDED", 4)


def test_a_log_of_another_length_than_measured_is_a_failed_try(copying):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.home.files[started.path] = b"of an earlier time\n"
    copying.progress.measured(started, *copying.leases().values(), WrittenLog(4, "5ha", Contents()))

    copying.advance(1)

    assert (copying.copy().status, copying.copy().failures) == ("WAITING", 1)


def test_a_log_that_nobody_wrote_is_a_failed_try(copying):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.home.files[started.path] = b"of an earlier time\n"

    copying.advance(1)

    assert (copying.copy().status, copying.copy().failures) == ("WAITING", 1)
    assert "there is no such file" in copying.copy().reason


def test_what_cannot_be_tidied_does_not_make_a_saved_log_unsaved(copying):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.wrote()
    copying.home.troubles[f"/user/guest/WORK/logs/.tracker/{started.id}"] = AccessDenied()

    copying.advance(1)

    assert copying.copy().status == "SUCCEEDED"


def test_a_workflow_that_somebody_killed_is_not_started_again(copying, oozie):
    started = copying.start()
    copying.says("KILLED", action(started.job, "copy", status="KILLED"))

    copying.advance(1)
    copying.advance(9999)

    assert copying.copy().status == "KILLED"
    assert started.job in copying.copy().reason
    assert len(oozie.submitted) == 1
    assert copying.home.files == {}


def test_a_suspended_workflow_is_killed_and_counts_as_a_failed_try(copying, oozie):
    started = copying.start()
    copying.says("SUSPENDED")

    copying.advance(1)

    assert oozie.killed == [started.job]
    assert (copying.copy().status, copying.copy().failures) == ("WAITING", 1)
    assert "SUSPENDED" in copying.copy().reason


def test_a_workflow_that_runs_for_hours_is_killed_and_counts_as_a_failed_try(copying, oozie):
    started = copying.start()

    copying.advance(6 * 3600)
    assert oozie.killed == []

    copying.advance(1)
    assert oozie.killed == [started.job]
    assert (copying.copy().status, copying.copy().failures) == ("WAITING", 1)


def test_a_workflow_that_is_only_missing_in_the_bulk_answer_goes_on(copying, oozie):
    started = copying.start()
    oozie.left_out = {started.job}

    copying.advance(1)

    assert oozie.killed == []
    assert (copying.copy().status, copying.copy().failures) == ("RUNNING", 0)


def test_a_workflow_in_a_state_that_nobody_knows_goes_on(copying, oozie):
    copying.start()
    copying.says("UNKNOWN")

    copying.advance(1)

    assert oozie.killed == []
    assert copying.copy().status == "RUNNING"


def test_a_workflow_that_oozie_lost_is_a_failed_try(copying, oozie):
    started = copying.start()
    del oozie.known[started.job]

    copying.advance(1)

    assert (copying.copy().status, copying.copy().failures) == ("WAITING", 1)
    assert started.job in copying.copy().reason


def test_what_the_command_said_is_a_better_reason_than_the_message_of_oozie(copying):
    started = copying.start()
    reason = f"/user/guest/WORK/logs/.tracker/{started.id}/1/reason"
    copying.home.files[reason] = b"Can not find any log file\n"
    copying.says("KILLED", action(started.job, "copy", status="ERROR", error_message="exit 1"))

    copying.advance(1)

    assert copying.copy().reason == "try 1 of 3 failed: Can not find any log file"


def test_without_a_word_of_the_command_the_message_of_oozie_is_told(copying):
    started = copying.start()
    copying.says("KILLED", action(started.job, "copy", status="ERROR", error_message="exit 1"))

    copying.advance(1)

    assert copying.copy().reason == "try 1 of 3 failed: exit 1"


def test_of_a_job_of_somebody_else_the_reason_says_whose_it_is(copying, oozie):
    oozie.refusal = RequestRefused("not found")
    copying.want(APP_1, user="hive")

    copying.advance()

    assert "not found (the job belongs to hive: guest needs the right" in copying.copy().reason


def test_what_a_failed_try_wrote_is_removed(copying):
    copying.start()
    copying.says("FAILED")
    copying.wrote(b"half")

    copying.advance(1)

    assert copying.home.files == {}


def test_no_two_tries_share_a_directory(copying, oozie):
    started = copying.start()
    copying.says("FAILED")
    copying.advance(1)

    copying.advance(60)

    assert copying.copy().attempt == 2
    assert f"/.tracker/{started.id}/2<" in oozie.submitted[1].decode()


def test_not_more_copies_of_a_user_run_than_allowed(copying, oozie):
    copying.want(APP_1, APP_2, APP_3)

    copying.advance()

    assert copying.statuses() == ["RUNNING", "RUNNING", "WAITING"]
    [waiting] = [c for c in copying.copies(1) if c.status == "WAITING"]
    assert waiting.reason == "waits for a place: 2 copy workflows of guest run already"
    assert waiting.attempt == 0


def test_not_more_copies_run_behind_the_gateway_than_allowed(copying, oozie):
    copying.want(APP_1, APP_2)
    copying.want(APP_1, APP_2, owner="sam", number=2)

    copying.advance()

    [waiting] = [copy for copy in all_copies(copying.store) if copy.status == "WAITING"]
    assert waiting.reason == "waits for a place: 3 copy workflows run already"


def all_copies(store: FragileStore) -> list[Copy]:
    with store.read() as connection:
        ids = connection.exec_driver_sql("SELECT id FROM tasks").scalars().all()
        return [c for theirs in copies.of_tasks(connection, ids).values() for c in theirs]


def test_a_copy_that_has_ended_makes_room(copying, oozie):
    copying.want(APP_1, APP_2, APP_3)
    copying.advance()
    for copy in copying.copies(1):
        if copy.job:
            oozie.has(details(copy.job, "SUCCEEDED"))
            copying.home.files[part_path(copy)] = b"log\n"

    copying.advance(1)

    assert copying.statuses() == ["RUNNING", "SUCCEEDED", "SUCCEEDED"]


def test_a_user_whose_credential_is_refused_takes_no_place(copying):
    copying.want(APP_1, APP_2)
    copying.advance()
    copying.want(APP_1, APP_2, owner="sam", number=2)
    refuse(copying.store, "guest")

    copying.advance(1)

    assert [c.status for c in all_copies(copying.store)] == ["RUNNING"] * 4


def refuse(store: FragileStore, owner: str) -> None:
    with store.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE credentials SET refusals = 1, retry_at = 9999999999999 WHERE owner = ?",
            (owner,),
        )


def test_while_the_cluster_is_away_all_copies_wait_and_say_why(copying, oozie):
    copying.want(APP_1, APP_2)
    copying.advance()
    oozie.is_down = True

    copying.advance(1)
    oozie.bulks.clear()
    copying.advance(9)
    assert oozie.bulks == []

    copying.advance(1)
    assert len(oozie.bulks) == 1
    assert [c.failures for c in copying.copies(1)] == [0, 0]


def test_an_outage_of_hdfs_is_no_failed_try(copying):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.wrote()
    copying.home.troubles[part_path(started)] = GatewayUnavailable("away")

    copying.advance(1)
    assert (copying.copy().status, copying.copy().failures) == ("RUNNING", 0)
    assert copying.copy().reason == "away"

    copying.home.troubles.clear()
    copying.advance(10)
    assert copying.copy().status == "SUCCEEDED"


def test_trouble_with_one_copy_does_not_stop_the_next(copying, fake_cluster, monkeypatch):
    copying.want(APP_1, APP_2)
    tell = fake_cluster.yarn.application

    def broken(application):
        if application == APP_1:
            raise KeyError("broken")
        return tell(application)

    monkeypatch.setattr(fake_cluster.yarn, "application", broken)

    copying.advance()

    first, second = copying.copies(1)
    assert (first.status, first.failures) == ("WAITING", 1)
    assert "unexpected" in first.reason
    assert second.status == "RUNNING"


def test_a_refused_credential_stops_the_copies_of_its_user_and_uses_up_no_try(copying, oozie):
    oozie.refusal = CredentialsRefused("refused")
    copying.want(APP_1, APP_2)

    copying.advance()

    assert len(oozie.submitted) == 1
    assert [c.failures for c in copying.copies(1)] == [0, 0]
    assert copying.kept().refusals == 1


def test_a_worker_whose_lease_is_lost_writes_nothing_and_gives_no_log_its_name(copying):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.wrote()
    leases = copying.leases()
    copying.lose_lease()

    copying.clock.advance(seconds=1)
    copying.copier.advance(leases)

    assert copying.copy() == started
    assert started.path not in copying.home.files
    assert part_path(started) in copying.home.files


def test_a_worker_whose_lease_is_lost_starts_nothing(copying, oozie):
    copying.want(APP_1)
    before, leases = copying.copy(), copying.leases()
    copying.lose_lease()

    copying.copier.advance(leases)

    assert copying.copy() == before
    assert oozie.submitted == []


def test_a_copy_that_somebody_else_has_changed_is_left_alone(copying):
    started = copying.start()
    [lease] = copying.leases().values()
    copying.progress.succeeded(started, lease, WrittenLog(4, "5ha", Contents()))

    with pytest.raises(CopyChanged):
        copying.progress.failed(started, lease, "late")

    assert copying.copy().status == "SUCCEEDED"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def counted(
    copying: Copying, identities: Identities, now: Clock, metrics: Metrics
) -> Iterator[Copying]:
    """A copier whose worker counts lost leases."""
    watched = Store(copying.store.url, metrics.lease_lost)
    parts = build(watched, identities, now)
    yield replace(copying, copier=parts.copier, progress=parts.progress)
    watched.close()


def test_a_lost_lease_is_counted_and_logged_once(counted, metrics):
    started = counted.start()
    counted.says("SUCCEEDED")
    counted.wrote()
    leases = counted.leases()
    counted.lose_lease()
    counted.clock.advance(seconds=1)

    with capture_logs() as events:
        counted.copier.advance(leases)

    assert [event["copy"] for event in events if event["event"] == "lease_lost"] == [started.id]
    assert metrics.lease_losses() == 1


def test_a_copy_that_somebody_else_has_changed_is_no_lost_lease(counted, oozie, metrics):
    counted.want(APP_1)
    submit = oozie.submit

    def change_meanwhile(configuration: bytes) -> str:
        with counted.store.begin() as connection:
            copies.change(connection, counted.copy(), status=CopyStatus.KILLED)
        return submit(configuration)

    oozie.submit = change_meanwhile
    with capture_logs() as events:
        counted.advance()

    seen_events = [event["event"] for event in events]
    assert (seen_events.count("copy_changed"), seen_events.count("lease_lost")) == (1, 0)
    assert metrics.lease_losses() == 0
    assert counted.copy().status == "KILLED"


def test_a_copy_that_breaks_off_because_its_worker_stops_is_no_lost_lease(
    counted, metrics, monkeypatch
):
    started = counted.start()
    counted.says("SUCCEEDED")
    counted.wrote()

    def stop(home: FakeHdfs, path: str) -> Iterator[bytes]:
        counted.copier.stop()
        yield home.files[path]

    monkeypatch.setattr(FakeHdfs, "_pieces", stop)
    with capture_logs() as events:
        counted.advance(1)

    seen_events = [event["event"] for event in events]
    assert (seen_events.count("copy_broken_off"), seen_events.count("lease_lost")) == (1, 0)
    assert metrics.lease_losses() == 0
    assert counted.copy() == started


def test_a_new_try_forgets_what_was_measured_in_the_last(copying):
    started = copying.start()
    [lease] = copying.leases().values()
    copying.progress.measured(started, lease, WrittenLog(4, "5ha", Contents()))
    copying.progress.failed(started, lease, "no")

    again = copying.progress.start_workflow(copying.copy(), lease, "told so")

    assert (copying.copy().bytes, copying.copy().job, again.attempt) == (None, None, 2)


def test_copies_of_other_workers_are_not_touched(copying, oozie):
    copying.want(APP_1)

    copying.copier.advance({})

    assert oozie.submitted == []


def test_what_was_not_committed_is_looked_at_again(copying, store):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.wrote()
    store.is_broken = True
    copying.advance(1)
    store.is_broken = False
    assert copying.copy() == started

    copying.advance()

    assert copying.copy().status == "SUCCEEDED"
    assert copying.home.files == {started.path: b"log\n"}


def test_copies_go_on_after_the_next_run_began(copying, oozie):
    started = copying.start()
    [task] = copying.tasks()
    with copying.store.begin() as connection:
        again = jobs.record(connection, [seen(job(1), run=1)])
        track_tasks.follow_run(connection, task, again[job(1)], NOW)
    copying.says("SUCCEEDED")
    copying.wrote()

    copying.advance(1)

    assert copying.copy().status == CopyStatus.SUCCEEDED
    assert started.path in copying.home.files


def test_a_workflow_that_succeeded_and_is_left_out_of_the_bulk_answer_is_published(copying, oozie):
    started = copying.start()
    copying.says("SUCCEEDED")
    copying.wrote()
    oozie.left_out = {started.job}

    copying.advance(1)

    assert (copying.copy().status, copying.copy().failures) == (CopyStatus.SUCCEEDED, 0)


def test_our_own_kill_is_not_taken_for_somebody_elses(copying, oozie):
    copying.start()
    copying.says("SUSPENDED")

    def kill(killed):
        oozie.has(details(killed, "KILLED", action(killed, "copy", status="KILLED")))
        raise GatewayUnavailable("no answer in time")

    oozie.kill = kill

    copying.advance(1)
    copying.advance(10)

    assert (copying.copy().status, copying.copy().failures) == (CopyStatus.WAITING, 1)


def test_what_is_unexpected_in_a_submission_uses_up_the_tries(copying, oozie):
    oozie.refusal = RuntimeError("nobody thought of this")
    copying.want(APP_1)

    for _ in range(10):
        copying.advance(3600)

    assert copying.copy().status == CopyStatus.FAILED
    assert "nobody thought of this" in copying.copy().reason


def test_a_task_does_not_end_before_the_copies_of_an_earlier_run(copying, oozie):
    copying.start()
    for status in ("RUNNING", "SUCCEEDED"):
        [task] = copying.tasks()
        with copying.store.begin() as connection:
            task = outcome.record_observation(connection, task, seen(job(1), status, run=1), NOW)
            outcome.next_step(connection, task, NOW)
    copying.says("SUCCEEDED")
    copying.wrote()

    copying.advance(1)

    assert copying.copy().status == CopyStatus.SUCCEEDED


@pytest.mark.parametrize(("status", "copied"), [("SUCCEEDED", 0), ("NOT_FOUND", 0), ("KILLED", 1)])
def test_logs_are_copied_of_jobs_that_failed_and_of_no_others(copying, status, copied):
    copying.start()
    [task] = copying.tasks()
    found = details(job(1), status, action(job(1), "more", APP_2))
    with copying.store.begin() as connection:
        more = list(applications_of(job(1), found.actions))
        jobs.record_details(connection, task.job_key, task.run, found, more)

        task = replace(task, status=JobStatus(status))

        assert outcome.decide_copies(connection, task, NOW) == copied
