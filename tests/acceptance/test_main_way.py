"""Post an id, have the job followed, find its logs saved: on the sandbox and on a real cluster."""

from __future__ import annotations

from functools import partial

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.stands import RealStand, Stand, access
from tests.waiting import until
from tracker_service.domain.applications import ApplicationId
from tracker_service.errors import AccessDenied, PathNotFound

pytestmark = pytest.mark.slow


#: On the real cluster `test_formats` does the same, in each format.
ON_THE_SANDBOX = pytest.mark.parametrize("stand", ["sandbox"], indirect=True)


def saved_log(stand: Stand, path: str) -> bytes:
    """Read a saved log straight from HDFS, as the user who asked for it."""
    return b"".join(access(stand).hdfs.read(path))


def assert_all_logs_are_saved(service: RunningService, stand: Stand, job: str) -> None:
    copies = service.wait_saved(job)
    assert {f"application_{app}" for app in copies} == stand.yarn_applications(job)
    for application, copy in copies.items():
        assert copy["status"] == "SUCCEEDED", copy
        expected = stand.yarn_logs(f"application_{application}", "guest")
        assert saved_log(stand, copy["path"]) == expected
        assert service.get(f"job/{job}/logs/{application}").content == expected
    whole = service.get(f"job/{job}/logs")
    assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert len(whole.content) == sum(copy["bytes"] for copy in copies.values())


def wait_until_running(stand: Stand, application: str) -> None:
    """Wait until an application has a container, which alone can log anything."""
    yarn = access(stand).yarn
    until(lambda: yarn.application(ApplicationId(application)).state == "RUNNING")


def test_a_job_that_succeeds_is_followed_to_its_end_and_nothing_is_copied(
    service: RunningService, stand: Stand
) -> None:
    job = stand.start("ok")
    service.track(job)

    service.wait_for(job, "SUCCEEDED")

    until(lambda: service.live_tasks(job) == 0)
    assert service.get(f"job/{job}/logs/status").json() == {
        "finished": True,
        "succeeded": True,
        "jobs": {},
    }
    answer = service.get(f"job/{job}/logs")
    assert answer.status_code == 404
    assert "SUCCEEDED" in answer.json()["message"]


def test_the_log_of_a_job_that_fails_is_saved_as_yarn_prints_it(
    service: RunningService, stand: Stand
) -> None:
    job = stand.start("fail")

    service.track(job)

    assert_all_logs_are_saved(service, stand, job)
    assert b"FileNotFoundError" in service.get(f"job/{job}/logs").content


def test_a_job_tells_why_it_failed_and_how_it_came_to_that(
    service: RunningService, saved_job: str
) -> None:
    told = service.get(f"job/{saved_job}").json()

    [failed] = [action for action in told["actions"] if action["status"] == "ERROR"]
    assert failed["error-message"] == (
        "Main Class [org.apache.oozie.action.hadoop.ShellMain], exit code [1]"
    )
    assert [change["to"] for change in told["history"]][-1] == "KILLED"
    assert (told["status"], told["user"], told["run"]) == ("KILLED", "guest", 0)
    assert told["applications-ids"] == told["application-ids"] == list(told["log-jobs"])


@ON_THE_SANDBOX
def test_a_killed_job_has_its_log_saved(service: RunningService, stand: Stand) -> None:
    job = stand.start("sleep")
    service.track(job)
    ids = until(lambda: service.get(f"job/{job}?refresh=true").json()["application-ids"])
    wait_until_running(stand, f"application_{ids[0]}")

    stand.kill(job)

    assert_all_logs_are_saved(service, stand, job)


@ON_THE_SANDBOX
@pytest.mark.parametrize("workflow", ["fork", "parent", "denied"])
def test_each_application_of_a_forked_of_a_nested_and_of_a_map_reduce_job_is_saved(
    service: RunningService, stand: Stand, workflow: str
) -> None:
    job = stand.start(workflow)

    service.track(job)

    assert_all_logs_are_saved(service, stand, job)


@pytest.mark.cluster
def test_a_child_that_oozie_had_no_time_to_write_down_is_saved_too(
    run: Run, real: RealStand
) -> None:
    service = run(real)

    job = killed_before_oozie_writes(service, real)

    assert_all_logs_are_saved(service, real, job)
    told = service.get(f"job/{job}").json()
    assert {action["external-child-ids"] for action in told["actions"]} == {None}


def killed_before_oozie_writes(service: RunningService, real: RealStand) -> str:
    """Track a job that launches another, and kill it before Oozie has written that one down."""
    for _ in range(20):
        job = real.start("count")
        service.track(job)
        both = until(partial(real.yarn_applications, job), lambda found: len(found) == 2)
        wait_until_running(real, max(both))  # the job that the launcher has launched
        real.kill(job)
        if not recorded_children(real, job):
            return job
    raise AssertionError("each time Oozie had the time to write it down")


def recorded_children(real: RealStand, job: str) -> set[str]:
    """Return what Oozie has written down of the jobs that a launcher has launched."""
    actions = real.client().info(job)["actions"]
    return {each["externalChildIDs"] for each in actions if each["externalChildIDs"]}


def test_only_the_owner_may_look_at_the_copies_and_nothing_is_left_beside_them(
    service: RunningService, stand: Stand, saved_job: str
) -> None:
    job = saved_job
    [application] = service.wait_saved(job)
    hdfs, directory = access(stand).hdfs, f"/user/guest/WORK/logs/{job}"

    assert hdfs.status(directory).permission == "700"
    assert {file.name: file.permission for file in hdfs.list(directory)} == {
        f"application_{application}.log": "600",
        "manifest.json": "600",
    }
    with pytest.raises(PathNotFound):
        hdfs.status(f"/user/guest/WORK/logs/.tracker/{_copy_id(service, job)}")


def _copy_id(service: RunningService, job: str) -> str:
    [[copy_id]] = service.query(
        "SELECT copies.id FROM copies JOIN tasks ON tasks.id = copies.task_id"
        " JOIN jobs ON jobs.id = tasks.job_id WHERE jobs.external_id = ?",
        [job],
    )
    return str(copy_id)


def test_another_user_reads_nothing_and_is_told_why_the_log_is_not_copied_for_them(
    service: RunningService, stand: Stand
) -> None:
    job = stand.start("fail")
    service.track(job)
    [application] = service.wait_saved(job)

    with pytest.raises(AccessDenied):
        access(stand, "sam").hdfs.read(f"/user/guest/WORK/logs/{job}/application_{application}.log")
    untracked = service.get(f"job/{job}/logs", user="sam")
    assert untracked.status_code == 404
    assert b"FileNotFoundError" not in untracked.content
    assert service.get("jobs/tracking", user="sam").json() == []

    service.track(job, user="sam")

    copies = service.wait_saved(job, user="sam")
    assert copies[application]["status"] == "FAILED"
    assert "belongs to guest" in copies[application]["reason"]
    assert "Can not find any log file" in copies[application]["reason"]
    refused = service.get(f"job/{job}/logs", user="sam")
    assert refused.status_code == 404
    assert copies[application]["reason"] in refused.json()["message"]
    assert service.get(f"job/{job}/logs").status_code == 200


def test_ids_are_answered_once_each_in_their_order_and_unknown_ones_are_not_tracked(
    service: RunningService, stand: Stand
) -> None:
    first, second = stand.shared("ok"), stand.start("ok")
    unknown = "0009999-200101000000000-oozie-test-W"

    answer = service.post(f"{second}\n\n{unknown}\n{first}\n{second}\n")

    assert answer.status_code == 200
    assert [each["id"] for each in answer.json()] == [second, unknown, first]
    assert answer.json()[1] == {"id": unknown, "status": "NOT_FOUND", "applications-ids": []}
    assert service.post([unknown]).status_code == 404
    assert unknown not in [each["id"] for each in service.get("jobs/tracking").json()]


def test_a_client_of_the_original_tracker_still_works(
    service: RunningService, stand: Stand
) -> None:
    job = stand.shared("ok")

    answer = requests.post(
        f"{service.url}/api/task/track/",
        data=f'{{"id": "{job}"}}',
        headers={"Content-Type": "application/json; charset=UTF-8"},
        auth=("guest", "guest-password"),
        timeout=120,
    )

    assert answer.status_code == 200
    assert [each["id"] for each in answer.json()] == [job]


def test_a_wrong_password_opens_nothing(service: RunningService) -> None:
    answer = requests.get(f"{service.url}/api/jobs/tracking", auth=("guest", "wrong"), timeout=120)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="KNOX Credentials"'


def test_an_untracked_job_is_looked_up_and_not_tracked(
    service: RunningService, stand: Stand
) -> None:
    job = stand.shared("fail")

    told = service.get(f"job/{job}").json()

    assert (told["id"], told["tracked"]) == (job, False)
    assert service.get(f"job/{job}/status").json()["status_code"] == 200
    assert service.live_tasks(job) == 0
    missing = service.get("job/0009999-200101000000000-oozie-test-W")
    assert missing.status_code == 404


def test_a_copy_workflow_is_never_tracked_itself(run: Run, stand: Stand) -> None:
    service = run(stand, TRACKER_COPYING__STRATEGY="workflow")
    job = stand.start("fail")
    service.track(job)
    [copy] = service.wait_saved(job).values()

    answer = service.post([copy["job"]])

    assert answer.json()[0]["status"] == "SUCCEEDED"
    assert service.live_tasks(copy["job"]) == 0
    assert service.query("SELECT count(*) FROM jobs WHERE external_id = ?", [copy["job"]]) == [(0,)]
