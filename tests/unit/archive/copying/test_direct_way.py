from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest

from tests.unit.archive_parts import Parts, build
from tests.unit.fakes import APP_1, APP_2, NOW, Clock, FakeCluster, FakeHdfs, details, job
from tests.unit.held import Held
from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.copies import Copy, CopyStatus, Strategy, part_path
from tracker_service.domain.leases import Lease
from tracker_service.errors import AccessDenied, GatewayUnavailable
from tracker_service.sandbox.recordings import recording, timed
from tracker_service.store import copies, track_tasks
from tracker_service.tracking import outcome

RECORDED = recording("fail/work")
APP = ApplicationId(f"application_{RECORDED.number}")
[(NODE, NODE_FILE)] = RECORDED.nodes.items()


@dataclass
class Copying(Held):
    """A copier whose threads run at once, and one failed job."""

    parts: Parts
    clock: Clock

    def want(self, *applications: ApplicationId) -> None:
        self.track(1)
        for application in applications:
            self.cluster.yarn.has(application, "SUCCEEDED")
        failed = details(job(1), "KILLED", ended_at=NOW)
        [task] = self.tasks()
        with self.store.begin() as connection:
            task = outcome.record_details(connection, task, failed, (), NOW)
            copies.decide(connection, task, applications, NOW)
            track_tasks.start_copying(connection, task)

    def lies_there(self, data: bytes = NODE_FILE, application: ApplicationId = APP) -> str:
        """Put an aggregated log into HDFS, and return its path."""
        bucket = application.rpartition("_")[2]
        directory = f"/app-logs/guest/bucket-logs-tfile/{bucket}/{application}"
        self.home.files[f"{directory}/{NODE}"] = data
        return f"{directory}/{NODE}"

    def advance(self, seconds: float = 0) -> None:
        self.clock.advance(seconds=seconds)
        self.parts.copier.advance(self.leases())

    def leases(self) -> dict[int, Lease]:
        return {task.lease.jobset_id: task.lease for task in self.tasks()}

    @property
    def home(self) -> FakeHdfs:
        return self.cluster.homes["guest"]

    def copy(self) -> Copy:
        [only] = self.copies(1)
        return only

    def parts_left(self) -> list[str]:
        return [path for path in self.home.files if ".part-" in path]


@pytest.fixture
def copying_with(store, identities, fake_cluster: FakeCluster, key_ring, now: Clock, ticks):
    def make(strategy: Strategy = Strategy.AUTO, limit: int = 1024**2) -> Copying:
        parts = build(store, identities, now, strategy, limit)
        return Copying(store, fake_cluster, key_ring, ticks, parts, now)

    return make


@pytest.fixture
def copying(copying_with) -> Copying:
    return copying_with()


TEXT = timed(RECORDED.text, 0.001)  # FakeHdfs says that its files are so old


def test_a_log_is_written_as_yarn_prints_it_and_nobody_waits_for_a_container(copying):
    copying.want(APP)
    source = copying.lies_there()

    copying.advance()

    copy = copying.copy()
    assert copying.home.files[copy.path] == TEXT
    assert (copy.status, copy.strategy, copy.job) == ("SUCCEEDED", "direct", copy.id)
    assert "can be read directly" in copy.strategy_reason
    assert copy.sha256 == hashlib.sha256(copying.home.files[copy.path]).hexdigest()
    assert copy.contents.sources == (source,)
    assert (copy.contents.containers, copy.contents.logs, copy.contents.gaps) == (1, 7, ())
    assert copying.cluster.oozie.submitted == []
    assert copying.parts_left() == []


def test_a_log_above_the_limit_is_left_to_a_workflow_and_the_status_says_why(copying_with):
    copying = copying_with(limit=1000)
    copying.want(APP)
    copying.lies_there()

    copying.advance()

    copy = copying.copy()
    assert (copy.status, copy.strategy) == ("RUNNING", "workflow")
    assert f"{len(NODE_FILE)} bytes are more than copying.direct_limit" in copy.strategy_reason


def test_directly_means_directly_whatever_the_length(copying_with):
    copying = copying_with(Strategy.DIRECT, limit=10_000)
    copying.want(APP)
    copying.lies_there()

    copying.advance()

    assert (copying.copy().status, copying.copy().strategy) == ("SUCCEEDED", "direct")


@pytest.mark.parametrize("damaged", [b"", NODE_FILE[:-100], b"\0" * 4096])
def test_a_damaged_file_is_left_to_a_workflow_and_no_part_stays(copying, damaged):
    copying.want(APP)
    copying.lies_there(damaged)

    copying.advance()
    copying.advance(1)

    copy = copying.copy()
    assert (copy.status, copy.strategy) == ("RUNNING", "workflow")
    assert NODE in copy.strategy_reason
    assert copying.parts_left() == []


def test_a_damaged_file_is_a_failed_try_where_no_workflow_may_be_used(copying_with):
    copying = copying_with(Strategy.DIRECT)
    copying.want(APP)
    copying.lies_there(NODE_FILE[:-100])

    copying.advance()

    copy = copying.copy()
    assert (copy.status, copy.failures) == ("WAITING", 1)
    assert NODE in copy.reason


def test_what_may_not_be_read_is_left_to_a_workflow(copying):
    copying.want(APP)
    directory = copying.lies_there().rpartition("/")[0]
    copying.home.troubles[directory] = AccessDenied("Permission denied: user=guest")

    copying.advance()

    assert copying.copy().strategy == "workflow"
    assert "Permission denied" in copying.copy().strategy_reason


def test_without_any_file_in_an_unknown_cluster_a_workflow_is_asked(copying):
    copying.want(APP)

    copying.advance()

    assert copying.copy().strategy == "workflow"
    assert "copying.log_directories" in copying.copy().strategy_reason


def test_a_log_that_was_never_written_is_lost_once_the_place_of_logs_is_known(copying):
    copying.want(APP)
    copying.lies_there()
    copying.advance()
    copying.want(APP_2)
    copying.cluster.yarn.has(APP_2, "FAILED")

    copying.advance(1)

    lost = next(copy for copy in copying.copies(1) if copy.application == APP_2)
    assert (lost.status, lost.job) == ("FAILED", None)
    assert "YARN has kept no log" in lost.reason
    assert copying.cluster.oozie.submitted == []


def test_a_log_that_the_cluster_has_deleted_is_lost_and_says_so(copying):
    copying.want(APP, APP_2)
    copying.lies_there()
    copying.cluster.yarn.reports.clear()

    for _ in range(3):
        copying.advance(8 * 86_400)

    lost = next(copy for copy in copying.copies(1) if copy.application == APP_2)
    assert "the cluster has deleted the log" in lost.reason


def test_an_outage_while_a_log_is_opened_uses_up_no_try(copying):
    copying.want(APP)
    source = copying.lies_there()
    copying.home.troubles[source] = GatewayUnavailable("away")
    for _ in range(12):
        copying.advance(11)
    assert not copying.copy().status.is_finished
    assert copying.copy().failures == 0

    copying.home.troubles.clear()
    copying.advance(60)
    copying.advance()

    assert copying.copy().status == "SUCCEEDED"
    assert copying.parts_left() == []


def test_what_breaks_in_its_middle_again_and_again_is_left_to_a_workflow(copying):
    copying.want(APP)
    copying.lies_there()

    for _ in range(3):
        part = f"{copying.copy().path}.part-{copying.copy().id}-{copying.copy().attempt + 1}"
        copying.home.troubles[part] = GatewayUnavailable("cut")
        copying.advance(3600)
        copying.home.troubles.clear()

    copy = copying.copy()
    assert copy.strategy == "workflow"
    assert "broke off after" in copy.strategy_reason


def test_after_a_crash_while_it_was_written_a_log_is_copied_again(copying):
    copying.want(APP)
    copying.lies_there()
    [lease] = copying.leases().values()
    started = copying.parts.progress.start_directly(copying.copy(), lease, "why")
    copying.home.files[part_path(started)] = b"half a lo"

    copying.advance(6)
    assert "was interrupted" in copying.copy().reason
    copying.advance()

    copy = copying.copy()
    assert (copy.status, copy.attempt) == ("SUCCEEDED", 2)
    assert copying.parts_left() == []


def test_after_a_crash_behind_the_rename_the_log_counts_and_is_not_copied_again(copying):
    copying.want(APP)
    copying.lies_there()
    copying.advance()
    before = copying.copy()
    part = {"length": before.bytes, "sha256": before.sha256, "contents": {"logs": 7}}
    with copying.store.begin() as connection:
        running = {"status": CopyStatus.RUNNING, "saved_at": None, "part": part}
        copies.change(connection, before, due_at=NOW, **running)
    copying.home.ranges.clear()

    copying.advance()

    copy = copying.copy()
    assert (copy.status, copy.attempt, copy.bytes) == ("SUCCEEDED", 1, before.bytes)
    assert (copy.sha256, copy.contents.logs, copy.part) == (before.sha256, 7, None)
    assert copying.home.ranges == []


def test_a_part_that_arrived_shorter_never_gets_the_name_of_the_log(copying, monkeypatch):
    copying.want(APP)
    copying.lies_there()
    whole = FakeHdfs.write_pieces

    def cut(home: FakeHdfs, path: str, pieces) -> None:
        whole(home, path, pieces)
        home.files[path] = home.files[path][:-1]

    monkeypatch.setattr(FakeHdfs, "write_pieces", cut)
    copying.advance()

    copy = copying.copy()
    assert copy.path not in copying.home.files
    assert (copy.status, copy.failures) == ("WAITING", 1)
    assert "bytes, not" in copy.reason


def test_a_log_of_which_another_worker_takes_over_is_not_published(copying, monkeypatch):
    copying.want(APP)
    copying.lies_there()
    whole = FakeHdfs.write_pieces

    def lose(home: FakeHdfs, path: str, pieces) -> None:
        whole(home, path, pieces)
        copying.lose_lease()

    monkeypatch.setattr(FakeHdfs, "write_pieces", lose)
    copying.advance()

    assert copying.copy().path not in copying.home.files
    assert copying.copy().status == "RUNNING"
    assert copying.parts_left() == []


def test_a_try_that_fails_after_another_worker_has_taken_over_leaves_nothing(copying, monkeypatch):
    copying.want(APP)
    copying.lies_there()
    whole = FakeHdfs.write_pieces

    def lose_and_break(home: FakeHdfs, path: str, pieces) -> None:
        whole(home, path, pieces)
        copying.lose_lease()
        raise AccessDenied("not here")

    monkeypatch.setattr(FakeHdfs, "write_pieces", lose_and_break)
    copying.advance()

    assert copying.copy().status == "RUNNING"
    assert copying.parts_left() == []


def test_a_worker_that_stops_breaks_off_and_the_next_one_copies_again(copying, monkeypatch):
    copying.want(APP)
    copying.lies_there()
    whole = FakeHdfs.read_range

    def stop(home: FakeHdfs, path: str, offset: int, length: int):
        yield from whole(home, path, offset, length - 10)
        copying.parts.streams.stop()
        yield from whole(home, path, offset + length - 10, 10)

    monkeypatch.setattr(FakeHdfs, "read_range", stop)
    copying.advance()

    assert copying.copy().status == "RUNNING"
    assert copying.copy().path not in copying.home.files


def test_the_log_that_the_cluster_deletes_first_is_copied_first(copying_with, store):
    copying = copying_with()
    copying.want(APP, APP_2)
    copying.cluster.yarn.reports.clear()
    with store.begin() as connection:
        for copy in copying.copies(1):
            days = 1 if copy.application == APP_2 else 3
            age = NOW.replace(day=NOW.day - days)
            copies.change(connection, copy, log_at=age)
    with store.read() as connection:
        due = copies.due(connection, copying.leases(), NOW, copies.DueFilter(), 10)

    assert [copy.application for copy, _ in due] == [APP, APP_2]


def test_without_a_free_stream_a_log_waits_and_workflows_go_on(copying, monkeypatch):
    copying.want(APP, APP_2)
    copying.lies_there()
    monkeypatch.setattr(type(copying.parts.streams), "limit_reached", "2 logs are being copied")

    copying.advance()

    assert {copy.status for copy in copying.copies(1)} == {"WAITING"}


def test_of_a_log_that_a_node_could_not_upload_the_gap_is_known(copying):
    copying.want(APP)
    copying.lies_there()
    copying.cluster.yarn.has(APP, "FAILED")

    copying.advance()

    assert "FAILED" in copying.copy().contents.gaps[0]


def run_again(copying: Copying, run: int, application: ApplicationId) -> None:
    """Record that the job failed once more, with another application."""
    failed = details(job(1), "KILLED", run=run, ended_at=NOW)
    [task] = copying.tasks()
    with copying.store.begin() as connection:
        task = outcome.record_details(connection, task, failed, (), NOW)
        copies.decide(connection, task, [application], NOW)
        track_tasks.start_copying(connection, task)
    copying.cluster.yarn.has(application, "SUCCEEDED")
    copying.lies_there(application=application)


@pytest.fixture
def rerun(copying) -> Copying:
    """A job whose first run is saved, with a manifest, and that has failed a second time."""
    copying.want(APP)
    copying.lies_there()
    copying.advance()
    directory = copying.copy().path.rpartition("/")[0]
    copying.home.files[f"{directory}/manifest.json"] = b"of run 0"
    run_again(copying, 1, APP_2)
    return copying


def test_the_logs_of_an_earlier_run_make_room_for_those_of_the_newest(rerun):
    rerun.advance()

    old, new = sorted(rerun.copies(1), key=lambda copy: copy.run)
    directory = new.path.rpartition("/")[0]
    assert old.path == f"{directory}/run-0/{APP}.log"
    assert rerun.home.files[old.path] == TEXT
    assert rerun.home.files[f"{directory}/run-0/manifest.json"] == b"of run 0"
    assert f"{directory}/manifest.json" not in rerun.home.files
    assert (new.run, new.status) == (1, "SUCCEEDED")


def test_a_third_run_puts_away_the_second_and_leaves_the_first(rerun):
    rerun.advance()
    run_again(rerun, 2, APP_1)

    rerun.advance()

    paths = {copy.run: copy.path for copy in rerun.copies(1)}
    assert ["run-0" in paths[0], "run-1" in paths[1], "run-" in paths[2]] == [True, True, False]
    assert set(paths.values()) <= set(rerun.home.files)


def test_a_log_that_was_put_away_before_a_crash_is_only_noted(rerun):
    old = next(copy for copy in rerun.copies(1) if copy.run == 0)
    directory, _, name = old.path.rpartition("/")
    rerun.home.files[f"{directory}/run-0/{name}"] = rerun.home.files.pop(old.path)

    rerun.advance()

    moved = next(copy for copy in rerun.copies(1) if copy.run == 0)
    assert moved.path == f"{directory}/run-0/{name}"
    assert rerun.home.files[moved.path] == TEXT


def test_a_log_that_yarn_says_is_there_is_not_lost_because_it_was_not_found(copying):
    copying.want(APP, APP_2)
    copying.lies_there()

    copying.advance()
    copying.advance(1)

    other = next(copy for copy in copying.copies(1) if copy.application == APP_2)
    assert (other.status, other.strategy) == ("RUNNING", "workflow")


def test_what_may_not_be_read_directly_is_no_empty_log_but_lost(copying_with):
    copying = copying_with(Strategy.DIRECT)
    copying.want(APP)
    directory = copying.lies_there().rpartition("/")[0]
    copying.home.troubles[directory] = AccessDenied("Permission denied: user=guest")

    copying.advance()

    assert (copying.copy().status, copying.copy().saved_at) == ("FAILED", None)
    assert "Permission denied" in copying.copy().reason


def test_a_gap_is_known_too_of_a_log_that_a_workflow_copies(copying_with):
    copying = copying_with(limit=1000)
    copying.want(APP)
    copying.lies_there()
    copying.cluster.yarn.has(APP, "TIME_OUT")
    copying.advance()

    copying.home.files[part_path(copying.copy())] = b"a log\n"
    copying.cluster.oozie.has(details(copying.copy().job, "SUCCEEDED"))
    copying.advance(1)

    assert copying.copy().status == "SUCCEEDED"
    assert "TIME_OUT" in copying.copy().contents.gaps[0]
    assert copying.copy().completeness == "PARTIAL"


def test_a_workflows_copy_that_cannot_be_read_back_counts_without_a_checksum(
    copying_with, monkeypatch
):
    copying = copying_with(limit=1000)
    copying.want(APP)
    copying.lies_there()
    copying.advance()
    copying.home.files[part_path(copying.copy())] = b"a log\n"
    copying.cluster.oozie.has(details(copying.copy().job, "SUCCEEDED"))

    def cut(home: FakeHdfs, path: str):
        yield home.files[path][:3]
        raise GatewayUnavailable("3 bytes came of 6")

    monkeypatch.setattr(FakeHdfs, "_pieces", cut)
    copying.advance(1)

    copy = copying.copy()
    assert (copy.status, copy.bytes, copy.sha256) == ("SUCCEEDED", 6, None)


def test_a_new_try_that_fails_leaves_what_is_known_of_the_saved_log(copying):
    copying.want(APP)
    source = copying.lies_there()
    copying.advance()
    before = copying.copy()
    with copying.store.begin() as connection:
        copies.restart(connection, [before.task_id], NOW, refresh=True)
    copying.home.files[source] = b"damaged"

    copying.advance()
    copying.advance(1)

    copy = copying.copy()
    assert copy.status == "RUNNING"
    assert (copy.bytes, copy.sha256, copy.contents) == (
        before.bytes,
        before.sha256,
        before.contents,
    )


def test_while_oozie_is_away_logs_are_copied_directly_all_the_same(copying_with):
    copying = copying_with(limit=50_000)
    copying.want(APP, APP_2)
    copying.lies_there(b"x" * 60_000)
    copying.cluster.yarn.has(APP_2, "RUNNING")
    copying.advance()
    copying.lies_there(application=APP_2)
    copying.cluster.yarn.has(APP_2, "SUCCEEDED")
    copying.cluster.oozie.is_down = True

    for _ in range(3):
        copying.advance(20)

    statuses = {copy.application: copy.status for copy in copying.copies(1)}
    assert statuses == {APP: "RUNNING", APP_2: "SUCCEEDED"}


def test_a_log_of_an_earlier_run_that_comes_late_is_put_aside(rerun):
    late = next(copy for copy in rerun.copies(1) if copy.run == 0)
    rerun.advance()
    with rerun.store.begin() as connection:
        copies.restart(connection, [late.task_id], NOW, refresh=True)

    rerun.advance()

    paths = {copy.run: copy.path for copy in rerun.copies(1)}
    assert "/run-0/" in paths[0]
    assert "/run-" not in paths[1]
    assert set(paths.values()) <= set(rerun.home.files)


def test_a_directory_without_any_file_means_that_nothing_was_uploaded(copying):
    copying.want(APP)
    copying.cluster.yarn.has(APP, "SUCCEEDED", finished_at=NOW)
    directory = copying.lies_there().rpartition("/")[0]
    copying.home.directories[directory] = []

    copying.advance()

    assert copying.copy().status == "FAILED"
    assert "YARN has kept no log" in copying.copy().reason
    assert copying.cluster.oozie.submitted == []


def test_an_empty_directory_proves_nothing_while_nobody_says_that_the_application_has_ended(
    copying,
):
    copying.want(APP)
    copying.cluster.yarn.reports.clear()
    directory = copying.lies_there().rpartition("/")[0]
    copying.home.directories[directory] = []

    copying.advance()
    copying.advance(61)

    assert (copying.copy().status, copying.copy().strategy) == ("RUNNING", "workflow")
