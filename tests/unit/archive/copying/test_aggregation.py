from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.archive_parts import PATTERNS
from tests.unit.fakes import APP_1, NOW, Clock, FakeAccess, FakeHdfs, FakeOozie, FakeYarn, a_copy
from tracker_service.archive.copying.aggregation import Aggregation, NotReady, Ready
from tracker_service.archive.copying.log_files import LogFileFinder
from tracker_service.errors import AccessDenied, GatewayUnavailable
from tracker_service.sources.webhdfs import FileStatus

BUCKET = f"/app-logs/guest/bucket-logs-tfile/0002/{APP_1}"
OLD_LAYOUT = f"/tmp/logs/guest/logs/{APP_1}"


@pytest.fixture
def access() -> FakeAccess:
    return FakeAccess(FakeOozie(), FakeYarn(), FakeHdfs())


@pytest.fixture
def aggregation(now: Clock) -> Aggregation:
    return Aggregation(LogFileFinder(PATTERNS), 3600, now, retention=timedelta(days=7))


def owner_if_ready(told: Ready | NotReady) -> str | None:
    return told.owner if isinstance(told, Ready) else None


def node_file(length: int) -> FileStatus:
    return FileStatus(
        name="localhost_8041",
        is_directory=False,
        length=length,
        owner="guest",
        permission="640",
        modified_ms=length,
    )


@pytest.mark.parametrize("word", ["SUCCEEDED", "FAILED", "TIME_OUT"])
def test_a_log_is_ready_when_no_more_of_it_will_come(aggregation, access, word):
    access.yarn.has(APP_1, word, user="hive")

    ready = aggregation.look(access, a_copy())

    assert isinstance(ready, Ready)
    assert ready.owner == "hive"
    assert (ready.gap is None) == (word == "SUCCEEDED")


@pytest.mark.parametrize("word", ["RUNNING", "RUNNING_WITH_FAILURE"])
def test_a_log_that_is_still_collected_is_waited_for(aggregation, access, word):
    access.yarn.has(APP_1, word)

    waits = aggregation.look(access, a_copy())

    assert isinstance(waits, NotReady)
    assert not waits.is_final
    assert word in waits.reason


def test_after_the_deadline_a_log_is_taken_as_far_as_it_is_there(aggregation, access, now):
    access.yarn.has(APP_1, "RUNNING")
    now.advance(seconds=3601)

    assert owner_if_ready(aggregation.look(access, a_copy())) == "guest"


def test_a_cluster_that_keeps_no_logs_is_not_waited_for(aggregation, access, now):
    access.yarn.has(APP_1, "DISABLED")
    now.advance(hours=2)

    waits = aggregation.look(access, a_copy())

    assert isinstance(waits, NotReady)
    assert waits.is_final


def test_files_of_a_forgotten_application_are_ready_once_they_are_stable(aggregation, access, now):
    access.hdfs.directories[BUCKET] = [node_file(1)]

    first = aggregation.look(access, a_copy())
    now.advance(seconds=9)
    second = aggregation.look(access, a_copy())
    now.advance(seconds=1)
    third = aggregation.look(access, a_copy())

    assert isinstance(first, NotReady)
    assert isinstance(second, NotReady)
    assert third == Ready("guest")


def test_a_file_that_grows_is_waited_for_again(aggregation, access, now):
    access.hdfs.directories[BUCKET] = [node_file(1)]
    aggregation.look(access, a_copy())
    access.hdfs.directories[BUCKET] = [node_file(2)]
    now.advance(seconds=9)
    aggregation.look(access, a_copy())
    now.advance(seconds=9)

    assert isinstance(aggregation.look(access, a_copy()), NotReady)

    now.advance(seconds=1)
    assert owner_if_ready(aggregation.look(access, a_copy())) == "guest"


def test_files_of_older_releases_are_found_too(aggregation, access, now):
    access.hdfs.directories[OLD_LAYOUT] = [node_file(1)]
    aggregation.look(access, a_copy())
    now.advance(seconds=10)
    access.hdfs.directories[OLD_LAYOUT] = [node_file(2)]

    assert isinstance(aggregation.look(access, a_copy()), NotReady)


def test_files_are_looked_for_under_the_owner_of_the_job(aggregation, access):
    aggregation.look(access, a_copy(job_user="hive"))

    assert access.hdfs.listed == ["/app-logs/hive", "/tmp/logs/hive"]


def test_the_bucket_of_an_application_is_its_number_modulo_10000(aggregation, access):
    bucket = "/app-logs/guest/bucket-logs-tfile/0007/application_1_1230007"
    access.hdfs.files[f"{bucket}/node_1"] = b"x"

    aggregation.look(access, a_copy(application="application_1_1230007"))

    assert access.hdfs.listed[-1] == bucket


def test_without_any_files_the_command_will_say_why(aggregation, access, now):
    aggregation.look(access, a_copy())
    now.advance(seconds=59)
    assert isinstance(aggregation.look(access, a_copy()), NotReady)

    now.advance(seconds=1)
    assert owner_if_ready(aggregation.look(access, a_copy())) == "guest"


def test_the_log_of_an_application_that_runs_is_waited_for(aggregation, access, now):
    access.yarn.has(APP_1, "NOT_START", state="RUNNING")
    aggregation.look(access, a_copy())
    now.advance(minutes=5)

    waits = aggregation.look(access, a_copy())

    assert isinstance(waits, NotReady)
    assert waits.reason == "waits until the application has ended (now RUNNING)"


def test_the_deadline_begins_when_the_application_has_ended(aggregation, access, now):
    now.advance(hours=5)
    access.yarn.has(APP_1, "RUNNING", finished_at=now())
    now.advance(hours=1)
    assert isinstance(aggregation.look(access, a_copy()), NotReady)

    now.advance(seconds=1)
    assert owner_if_ready(aggregation.look(access, a_copy())) == "guest"


@pytest.mark.parametrize("state", ["FINISHED", "FAILED", "KILLED"])
def test_an_ended_application_whose_collection_is_not_told_is_judged_by_its_files(
    aggregation, access, now, state
):
    access.yarn.has(APP_1, "NOT_START", state=state)
    access.hdfs.directories[BUCKET] = [node_file(1)]

    assert isinstance(aggregation.look(access, a_copy()), NotReady)

    now.advance(seconds=10)
    assert owner_if_ready(aggregation.look(access, a_copy())) == "guest"


def test_an_application_killed_before_it_had_a_container_is_given_a_minute(
    aggregation, access, now
):
    access.yarn.has(APP_1, "NOT_START", state="KILLED")
    aggregation.look(access, a_copy())
    now.advance(seconds=59)
    assert isinstance(aggregation.look(access, a_copy()), NotReady)

    now.advance(seconds=1)
    assert owner_if_ready(aggregation.look(access, a_copy())) == "guest"


def test_a_file_that_is_still_uploaded_is_never_stable(aggregation, access, now):
    half = replace(node_file(1), name="node_1.tmp")
    access.hdfs.directories[BUCKET] = [half]
    for _ in range(5):
        aggregation.look(access, a_copy())
        now.advance(seconds=20)

    assert isinstance(aggregation.look(access, a_copy()), NotReady)


def test_two_copies_are_not_mixed_up(aggregation, access, now):
    aggregation.look(access, a_copy())
    now.advance(seconds=10)

    assert isinstance(aggregation.look(access, a_copy(id="another")), NotReady)


def test_a_resource_manager_that_tells_nothing_leaves_the_files(aggregation, access, now):
    access.yarn.trouble = AccessDenied()
    access.hdfs.troubles[BUCKET] = AccessDenied()
    aggregation.look(access, a_copy())
    now.advance(seconds=60)

    assert owner_if_ready(aggregation.look(access, a_copy())) == "guest"


def test_while_the_cluster_is_away_nobody_can_say(aggregation, access):
    access.yarn.trouble = GatewayUnavailable()

    with pytest.raises(GatewayUnavailable):
        aggregation.look(access, a_copy())


def test_while_hdfs_is_away_nobody_can_say(aggregation, access):
    access.hdfs.troubles[BUCKET] = GatewayUnavailable()

    with pytest.raises(GatewayUnavailable):
        aggregation.look(access, a_copy())


def test_an_application_of_a_job_that_goes_on_is_waited_for_however_long(aggregation, access, now):
    access.yarn.has(APP_1, "NOT_START", state="RUNNING")
    now.advance(days=300)

    waits = aggregation.look(access, a_copy())

    assert waits == NotReady("waits until the application has ended (now RUNNING)")


def test_an_application_that_outlives_its_job_is_waited_for_as_long_as_logs_are_kept(
    aggregation, access, now
):
    access.yarn.has(APP_1, "NOT_START", state="RUNNING")
    copy = a_copy(job_ended_at=NOW - timedelta(hours=1))
    now.advance(days=6, hours=23)

    waits = aggregation.look(access, copy)

    assert isinstance(waits, NotReady)
    assert not waits.is_final
    assert "until 2026-11-29 05:00 UTC at most" in waits.reason


def test_of_an_application_that_never_ends_the_files_that_are_there_are_taken(
    aggregation, access, now
):
    access.yarn.has(APP_1, "NOT_START", state="RUNNING", user="hive")
    access.hdfs.directories[BUCKET.replace("guest", "hive")] = [node_file(1)]
    now.advance(days=7)

    ready = aggregation.look(access, a_copy(job_ended_at=NOW))

    assert isinstance(ready, Ready)
    assert ready.owner == "hive"
    assert "still is RUNNING" in (ready.gap or "")


def test_without_a_file_the_copy_of_an_application_that_never_ends_is_given_up(
    aggregation, access, now
):
    access.yarn.has(APP_1, "NOT_START", state="ACCEPTED")
    now.advance(days=7)

    gives_up = aggregation.look(access, a_copy(job_ended_at=NOW))

    assert isinstance(gives_up, NotReady)
    assert gives_up.is_final
    assert "still is ACCEPTED" in gives_up.reason
