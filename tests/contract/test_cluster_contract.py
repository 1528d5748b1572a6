"""What the service relies on when it asks a cluster: the same of the sandbox and of a real one."""

from __future__ import annotations

import pytest

from tests.stands import Stand, access
from tests.waiting import until
from tracker_service.archive.copying.workflow_copy import configuration
from tracker_service.domain.applications import ApplicationId, applications_of
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.errors import (
    AccessDenied,
    ApplicationNotFound,
    CredentialsRefused,
    JobNotFound,
    PathNotFound,
    RequestRefused,
)
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.yarn import LogAggregation

UNKNOWN = JobId("0009999-200101000000000-oozie-test-W")


@pytest.fixture
def guest(stand: Stand) -> ClusterAccess:
    return access(stand)


@pytest.fixture
def directory(guest: ClusterAccess, request: pytest.FixtureRequest) -> str:
    """An empty directory of guest's own."""
    path = f"/user/guest/contract/{request.node.originalname}"
    guest.hdfs.delete(path)
    guest.hdfs.make_directory(path)
    return path


def ended(guest: ClusterAccess, job: JobId) -> JobStatus:
    return until(lambda: guest.oozie.jobs([job])[job].status, lambda status: status.is_terminal)


def test_the_gateway_names_the_user_whose_credentials_they_are(stand: Stand) -> None:
    assert access(stand).hdfs.user() == "guest"
    assert access(stand, "sam").hdfs.user() == "sam"


@pytest.mark.parametrize(("user", "password"), [("guest", "wrong"), ("nobody", "nobody-password")])
def test_wrong_credentials_are_refused(stand: Stand, user: str, password: str) -> None:
    with pytest.raises(CredentialsRefused):
        access(stand, user, password).hdfs.user()


def test_a_bulk_answer_has_the_known_jobs_only(stand: Stand, guest: ClusterAccess) -> None:
    running, killed = JobId(stand.start("sleep")), JobId(stand.start("sleep"))
    until(lambda: guest.oozie.jobs([killed])[killed].status == JobStatus.RUNNING)
    stand.kill(killed)

    seen = guest.oozie.jobs([running, UNKNOWN, killed])

    assert set(seen) == {running, killed}
    assert (seen[killed].status, seen[killed].run) == (JobStatus.KILLED, 0)
    assert seen[running].user == "guest"
    assert seen[running].created_at is not None
    assert seen[running].ended_at is None
    stand.kill(running)


def test_a_bulk_answer_may_be_empty(guest: ClusterAccess) -> None:
    assert guest.oozie.jobs([UNKNOWN]) == {}


def test_coordinators_and_bundles_that_are_unknown_are_left_out_too(guest: ClusterAccess) -> None:
    coordinator, bundle = (JobId(UNKNOWN[:-1] + letter) for letter in "CB")

    assert guest.oozie.jobs([coordinator, bundle]) == {}
    with pytest.raises(JobNotFound):
        guest.oozie.details(coordinator)


def test_an_unknown_job_is_told_from_trouble(guest: ClusterAccess) -> None:
    with pytest.raises(JobNotFound):
        guest.oozie.details(UNKNOWN)


def test_details_of_a_failed_job_name_the_error_and_the_application(
    stand: Stand, guest: ClusterAccess
) -> None:
    job = JobId(stand.shared("fail"))
    assert ended(guest, job) == JobStatus.KILLED

    details = guest.oozie.details(job)

    [work] = [action for action in details.actions if action.name == "work"]
    assert (work.type, work.status, work.error_code) == ("shell", "ERROR", "1")
    assert work.external_status == "FAILED/KILLED"
    assert work.error_message == (
        "Main Class [org.apache.oozie.action.hadoop.ShellMain], exit code [1]"
    )
    assert details.observation.ended_at is not None
    [application] = applications_of(job, details.actions)
    assert application.role == "launcher"


def test_yarn_says_when_the_log_of_an_ended_application_is_complete(
    stand: Stand, guest: ClusterAccess
) -> None:
    job = JobId(stand.shared("fail"))
    ended(guest, job)
    [application] = applications_of(job, guest.oozie.details(job).actions)

    report = until(
        lambda: guest.yarn.application(application.id),
        lambda report: report.log_aggregation == LogAggregation.SUCCEEDED,
    )

    assert (report.user, report.state, report.has_ended) == ("guest", "FINISHED", True)


def test_yarn_says_that_the_log_of_a_running_application_is_not_there(
    stand: Stand, guest: ClusterAccess
) -> None:
    job = JobId(stand.start("sleep"))
    [application] = until(lambda: list(applications_of(job, guest.oozie.details(job).actions)))

    report = until(lambda: guest.yarn.application(application.id), lambda r: r.state == "RUNNING")

    assert not report.log_aggregation.has_ended
    assert not report.has_ended
    stand.kill(job)


def test_an_unknown_application_is_told_from_trouble(guest: ClusterAccess) -> None:
    with pytest.raises(ApplicationNotFound):
        guest.yarn.application(ApplicationId("application_1_0001"))


def test_no_application_has_an_unknown_tag(guest: ClusterAccess) -> None:
    assert guest.yarn.tagged(["oozie-0123456789abcdef0123456789abcdef"]) == []


def test_a_job_is_found_by_its_name(stand: Stand, guest: ClusterAccess) -> None:
    job = JobId(stand.start("ok"))
    name = guest.oozie.details(job).observation.name
    assert name

    assert guest.oozie.named(name, "guest") == job
    assert guest.oozie.named(name, "whom Oozie knows by the login") == job
    assert access(stand, "sam").oozie.named(name, "tom") is None
    assert guest.oozie.named("no-such-name", "guest") is None


def test_a_workflow_without_a_definition_is_refused_with_oozies_words(
    guest: ClusterAccess, directory: str
) -> None:
    document = configuration(
        {
            "user.name": "guest",
            "oozie.wf.application.path": directory,
            "nameNode": "hdfs://namenode",
        }
    )

    with pytest.raises(RequestRefused, match=r"E0307|E0504|does not exist"):
        guest.oozie.submit(document)


def test_a_file_is_written_with_its_rights_and_read_back(
    guest: ClusterAccess, directory: str
) -> None:
    content = b"\x00\xff no text \xc3\xa9\n" * 20_000
    guest.hdfs.write(f"{directory}/file", content)

    status = guest.hdfs.status(f"{directory}/file")

    assert (status.length, status.owner, status.permission) == (len(content), "guest", "600")
    assert b"".join(guest.hdfs.read(f"{directory}/file")) == content
    assert guest.hdfs.head(f"{directory}/file", 5) == content[:5]
    assert [file.name for file in guest.hdfs.list(directory)] == ["file"]


def test_a_file_is_written_in_pieces_and_parts_of_it_are_read(
    guest: ClusterAccess, directory: str
) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(10)]
    guest.hdfs.write_pieces(f"{directory}/file", iter(pieces))

    assert guest.hdfs.status(f"{directory}/file").length == 1_000_000
    assert b"".join(guest.hdfs.read(f"{directory}/file")) == b"".join(pieces)
    end = b"".join(guest.hdfs.read_range(f"{directory}/file", 899_999, 100_001))
    assert end == pieces[8][-1:] + pieces[9]


def test_only_an_empty_directory_is_removed_for_being_empty(
    guest: ClusterAccess, directory: str
) -> None:
    guest.hdfs.write(f"{directory}/below/file", b"x")

    assert not guest.hdfs.delete_if_empty(f"{directory}/below")
    guest.hdfs.delete(f"{directory}/below/file")
    assert guest.hdfs.delete_if_empty(f"{directory}/below")

    assert not guest.hdfs.delete_if_empty(f"{directory}/below")


def test_names_with_blanks_and_other_letters_are_kept(guest: ClusterAccess, directory: str) -> None:
    guest.hdfs.write(f"{directory}/a b+é%2F", b"x")

    assert [file.name for file in guest.hdfs.list(directory)] == ["a b+é%2F"]


def test_a_rename_replaces_the_target_in_one_step(guest: ClusterAccess, directory: str) -> None:
    guest.hdfs.write(f"{directory}/part", b"new")
    guest.hdfs.write(f"{directory}/log", b"older")

    guest.hdfs.rename(f"{directory}/part", f"{directory}/log")

    assert b"".join(guest.hdfs.read(f"{directory}/log")) == b"new"
    with pytest.raises(PathNotFound):
        guest.hdfs.status(f"{directory}/part")


def test_a_rename_of_nothing_is_an_error(guest: ClusterAccess, directory: str) -> None:
    with pytest.raises(PathNotFound):
        guest.hdfs.rename(f"{directory}/nothing", f"{directory}/log")


def test_a_missing_path_is_an_error_and_deleting_it_is_none(
    guest: ClusterAccess, directory: str
) -> None:
    with pytest.raises(PathNotFound):
        guest.hdfs.status(f"{directory}/nothing")
    with pytest.raises(PathNotFound):
        guest.hdfs.read(f"{directory}/nothing")
    with pytest.raises(PathNotFound):
        guest.hdfs.list(f"{directory}/nothing")
    assert guest.hdfs.delete(f"{directory}/nothing") is False


def test_a_private_directory_hides_what_is_in_it(
    stand: Stand, guest: ClusterAccess, directory: str
) -> None:
    guest.hdfs.write(f"{directory}/log", b"secret")
    sam = access(stand, "sam").hdfs

    with pytest.raises(AccessDenied):
        sam.read(f"{directory}/log")
    with pytest.raises(AccessDenied):
        sam.list(directory)
    with pytest.raises(AccessDenied):
        sam.write(f"{directory}/other", b"x")
    with pytest.raises(AccessDenied):
        sam.delete(f"{directory}/log")


def test_nobody_may_list_the_aggregated_logs_of_another_user(
    stand: Stand, guest: ClusterAccess
) -> None:
    job = JobId(stand.shared("fail"))
    ended(guest, job)
    until(lambda: [entry.name for entry in guest.hdfs.list("/app-logs")])

    with pytest.raises(AccessDenied):
        access(stand, "sam").hdfs.list("/app-logs/guest")
