"""How Oozie and YARN describe jobs of each kind: the same of the sandbox and of a real cluster."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.stands import Stand, access, ask
from tests.waiting import until
from tracker_service.domain.applications import Application, applications_of, yarn_tags
from tracker_service.domain.jobs import JobDetails, JobId
from tracker_service.errors import JobNotFound, PathNotFound
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.yarn import LogAggregation

JOB_KEYS = """
    appName externalId conf run acl appPath parentId lastModTime consoleUrl createdTime startTime
    toString id endTime user actions status group
"""
ACTION_KEYS = """
    cred userRetryMax trackerUri data errorMessage userRetryCount externalChildIDs externalId
    errorCode conf type transition retries consoleUrl stats userRetryInterval name startTime
    toString id endTime externalStatus status
"""
BUNDLE_KEYS = """
    bundleJobName bundleJobPath kickoffTime bundleCoordJobs conf acl bundleJobId bundleExternalId
    timeOut pauseTime consoleUrl createdTime startTime toString endTime user status timeUnit group
"""
EXIT_CODE = "Main Class [org.apache.oozie.action.hadoop.ShellMain], exit code [1]"
TFILE_MAGIC = bytes.fromhex("d111d36891b5d7b639df414092bae150")
Bean = dict[str, Any]


@pytest.fixture
def guest(stand: Stand) -> ClusterAccess:
    return access(stand)


def info(stand: Stand, job: str, query: str = "show=info") -> Bean:
    """Return all that Oozie tells of a job or of an action."""
    answer = ask(stand, f"oozie/v2/job/{job}?{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def at_its_end(stand: Stand, job: str) -> Bean:
    """Wait for the end of a job, and return all that Oozie tells of it."""
    return until(lambda: info(stand, job), is_at_its_end)


def is_at_its_end(told: Bean) -> bool:
    """Tell whether nothing will change any more: Oozie ends a job before the actions it kills."""
    return bool(told["endTime"]) and all(action["endTime"] for action in told["actions"])


def actions(told: Bean) -> dict[str, Bean]:
    """Return the actions of a job by name, without its control nodes."""
    return {a["name"]: a for a in told["actions"] if not a["type"].startswith(":")}


def launched(guest: ClusterAccess, job: str) -> list[Application]:
    return list(applications_of(job, guest.oozie.details(JobId(job)).actions))


def wait_for_state(guest: ClusterAccess, application: Application, state: str) -> None:
    until(lambda: guest.yarn.application(application.id).state == state)


@pytest.mark.parametrize(
    ("workflow", "name", "kind", "code", "message"),
    [
        ("fail", "work", "shell", "1", EXIT_CODE),
        ("java", "index", "java", "JA018", "File does not exist: /user/guest/java/table/data"),
        (
            "missing",
            "count",
            "map-reduce",
            "JA018",
            "Input path does not exist: /user/guest/missing/2026-11-22",
        ),
        ("denied", "count", "map-reduce", None, None),
        ("fork", "check", "java", "JA018", "resource-types.xml not found"),
        (
            "retried",
            "index",
            "java",
            "JA018",
            "File does not exist: /user/guest/retried/table/data",
        ),
    ],
)
def test_a_job_that_fails_tells_why_at_its_action_and_at_its_kill_node(
    stand: Stand, workflow: str, name: str, kind: str, code: str | None, message: str | None
) -> None:
    told = at_its_end(stand, stand.shared(workflow))

    assert (told["status"], told["run"], told["user"]) == ("KILLED", 0, "guest")
    failed = actions(told)[name]
    assert (failed["type"], failed["status"]) == (kind, "ERROR")
    assert (failed["errorCode"], failed["errorMessage"]) == (code, message)
    assert (failed["externalStatus"], failed["transition"]) == ("FAILED/KILLED", "failed")
    assert re.fullmatch(r"application_\d+_\d+", failed["externalId"])
    [node] = [a for a in told["actions"] if a["type"] == ":KILL:"]
    assert (node["name"], node["status"], node["errorCode"]) == ("failed", "OK", "E0729")
    assert node["errorMessage"] == (message or "")


@pytest.mark.parametrize("workflow", ["ok", "fork", "parent"])
def test_a_job_and_its_actions_have_all_of_oozies_words(stand: Stand, workflow: str) -> None:
    told = at_its_end(stand, stand.shared(workflow))

    assert set(told) == set(JOB_KEYS.split())
    assert told["actions"][0]["name"] == ":start:"
    assert told["actions"][0]["transition"] == told["actions"][1]["name"]
    for action in told["actions"]:
        assert set(action) == set(ACTION_KEYS.split())
        assert info(stand, action["id"]) == action


def test_a_branch_that_fails_ends_the_others_of_its_fork(
    stand: Stand, guest: ClusterAccess
) -> None:
    told = at_its_end(stand, stand.shared("fork"))

    assert {n: a["status"] for n, a in actions(told).items()} == {
        "work": "OK",
        "check": "ERROR",
        "count": "KILLED",
    }
    [split] = [a for a in told["actions"] if a["type"] == ":FORK:"]
    assert (split["name"], split["transition"], split["externalId"]) == ("split", "*", "-")
    applications = {each.action: each for each in launched(guest, told["id"])}
    assert set(applications) == {"work", "check", "count"}
    wait_for_state(guest, applications["work"], "FINISHED")
    wait_for_state(guest, applications["check"], "FINISHED")
    # KILLED, unless the launcher has come to its own end before the kill.
    until(lambda: guest.yarn.application(applications["count"].id).has_ended)


def test_a_sub_workflow_is_a_job_whose_parent_is_known(stand: Stand, guest: ClusterAccess) -> None:
    told = at_its_end(stand, stand.shared("parent"))

    call = actions(told)["call"]
    child = info(stand, call["externalId"])
    assert (told["status"], call["status"], call["externalStatus"]) == ("KILLED", "ERROR", "KILLED")
    assert (call["type"], call["trackerUri"], call["errorCode"]) == ("sub-workflow", "local", None)
    assert (child["parentId"], child["externalId"]) == (told["id"], f"{told['id']}@call@0")
    assert (child["status"], actions(child)["work"]["errorMessage"]) == ("KILLED", EXIT_CODE)
    assert guest.oozie.details(JobId(told["id"])).actions[1].sub_workflow == child["id"]


def test_a_job_that_a_launcher_starts_is_named_at_the_end_and_found_by_its_tag(
    stand: Stand, guest: ClusterAccess
) -> None:
    job = JobId(stand.shared("denied"))
    at_its_end(stand, job)
    details = guest.oozie.details(job)

    launcher, child = applications_of(details.observation.id, details.actions)
    assert (launcher.role, child.role) == ("launcher", "child")
    assert child_by_tag(guest, details) == {child.id}
    report = until(
        lambda: guest.yarn.application(child.id),
        lambda report: report.log_aggregation == LogAggregation.SUCCEEDED,
    )
    assert (report.state, report.user) == ("FINISHED", "guest")


def child_by_tag(guest: ClusterAccess, details: JobDetails) -> set[str]:
    tags = {tag for a in details.actions for tag in yarn_tags(details.observation, a)}
    return {application for application, _ in guest.yarn.tagged(tags)}


def test_an_action_that_is_repeated_names_its_last_launcher_and_tells_of_the_first(
    stand: Stand, guest: ClusterAccess
) -> None:
    told = at_its_end(stand, stand.shared("retried"))

    index = actions(told)["index"]
    [first] = info(stand, index["id"], "show=retries")["retries"]
    assert (index["userRetryCount"], index["userRetryMax"], index["retries"]) == (1, 1, 0)
    assert (first["attempt"], set(first)) == (
        "1",
        {"attempt", "consoleUrl", "startTime", "endTime"},
    )
    assert len(launched(guest, told["id"])) == 1
    assert len(stand.yarn_applications(told["id"])) == 2
    assert first["consoleUrl"].rpartition("/")[2] in stand.yarn_applications(told["id"])
    [last] = [a for a in guest.oozie.details(told["id"]).actions if a.retry_count]
    [earlier] = guest.oozie.earlier_tries(last)
    assert {earlier.external_id, last.external_id} == stand.yarn_applications(told["id"])


def test_a_job_that_its_user_kills_has_a_killed_action(stand: Stand, guest: ClusterAccess) -> None:
    job = JobId(stand.start("sleep"))
    [application] = until(lambda: launched(guest, job))

    guest.oozie.kill(job)

    told = info(stand, job)
    assert (told["status"], actions(told)["work"]["status"]) == ("KILLED", "KILLED")
    assert [a["type"] for a in told["actions"]] == [":START:", "shell"]
    until(lambda: actions(info(stand, job))["work"]["externalStatus"] == "KILLED")
    wait_for_state(guest, application, "KILLED")
    guest.oozie.kill(job)  # a second time changes nothing
    assert info(stand, job)["status"] == "KILLED"


def test_killing_an_unknown_job_is_refused(stand: Stand) -> None:
    answer = ask(stand, "oozie/v1/job/0009999-200101000000000-oozie-test-W?action=kill", "PUT")

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, "E0605")
    assert answer.content == b""


def test_a_coordinator_starts_a_workflow_for_each_action_and_ends_after_them(
    stand: Stand, guest: ClusterAccess
) -> None:
    coordinator = JobId(stand.shared("daily"))
    assert coordinator.endswith("-C")

    until(
        lambda: guest.oozie.jobs([coordinator])[coordinator].status,
        lambda status: status.is_terminal,
    )

    told = info(stand, coordinator, "show=info&len=10")
    assert (told["status"], told["total"], told["coordJobId"]) == ("DONEWITHERROR", 3, coordinator)
    assert [a["actionNumber"] for a in told["actions"]] == [1, 2, 3]
    assert [a["status"] for a in told["actions"]] == ["SUCCEEDED", "KILLED", "SUCCEEDED"]
    for action in told["actions"]:
        workflow = info(stand, action["externalId"])
        assert workflow["parentId"] == action["id"] == f"{coordinator}@{action['actionNumber']}"
        assert (workflow["status"], workflow["appName"]) == (action["status"], "daily")
        assert info(stand, action["id"]) == action
    assert len(stand.yarn_applications(coordinator)) == 3
    page = guest.oozie.children(coordinator)
    assert page.started == tuple(action["externalId"] for action in told["actions"])
    assert page.observation == replace(
        guest.oozie.details(coordinator).observation, observed_at=page.observation.observed_at
    )
    assert page.is_last


def test_a_coordinators_actions_come_only_with_a_length(stand: Stand) -> None:
    coordinator = stand.start("daily")
    until(lambda: info(stand, coordinator, "len=10")["actions"])

    assert info(stand, coordinator)["actions"] == []
    assert info(stand, coordinator, "offset=4&len=1000")["actions"] == []
    assert [a["actionNumber"] for a in info(stand, coordinator, "offset=2&len=1")["actions"]] == [2]

    stand.kill(coordinator)
    until(lambda: info(stand, coordinator, "show=status")["status"] == "KILLED")


def test_a_bundle_starts_coordinators_that_know_it_and_ends_after_them(
    stand: Stand, guest: ClusterAccess
) -> None:
    bundle = JobId(stand.start("bundle"))
    assert bundle.endswith("-B")

    coordinators = [
        job
        for job in until(
            lambda: guest.oozie.children(bundle).started, lambda started: len(started) == 2
        )
        if job is not None
    ]
    until(
        lambda: guest.oozie.jobs([bundle])[bundle].status,
        lambda status: status.is_terminal,
    )

    told = info(stand, bundle)
    assert set(told) == set(BUNDLE_KEYS.split())
    assert (told["status"], told["bundleJobName"]) == ("DONEWITHERROR", "bundle")
    assert (told["startTime"], told["endTime"]) == (None, None)
    assert {c["coordJobId"] for c in told["bundleCoordJobs"]} == set(coordinators)
    assert {c["coordJobName"] for c in told["bundleCoordJobs"]} == {"first", "second"}
    assert [c["actions"] for c in told["bundleCoordJobs"]] == [[], []]
    for seen in guest.oozie.jobs(coordinators).values():
        assert (seen.parent_id, seen.status) == (bundle, "DONEWITHERROR")


def test_a_job_that_is_run_again_keeps_its_id_and_forgets_the_application_before(
    stand: Stand, guest: ClusterAccess
) -> None:
    job = JobId(stand.start("fail"))
    before = at_its_end(stand, job)

    stand.rerun(job, "fail")

    assert guest.oozie.jobs([job])[job].run == 1
    after = until(lambda: info(stand, job), lambda told: told["endTime"])
    assert (after["run"], after["status"]) == (1, "KILLED")
    [first, second] = (actions(told)["work"]["externalId"] for told in (before, after))
    assert stand.yarn_applications(job) == {first, second}
    assert first != second


def test_a_job_that_runs_cannot_be_run_again(stand: Stand) -> None:
    job = stand.start("sleep")

    answer = ask(
        stand,
        f"oozie/v2/job/{job}?action=rerun",
        "PUT",
        data=b"<configuration/>",
        headers={"Content-Type": "application/xml;charset=UTF-8"},
    )

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, "E0805")
    stand.kill(job)


def test_an_unknown_action_of_a_coordinator_is_told_from_trouble(
    stand: Stand, guest: ClusterAccess
) -> None:
    with pytest.raises(JobNotFound):
        guest.oozie.details(JobId("0009999-200101000000000-oozie-test-C@1"))


@pytest.mark.parametrize("workflow", ["fail", "java"])
def test_each_node_leaves_a_file_with_the_mark_of_its_format(
    stand: Stand, guest: ClusterAccess, workflow: str
) -> None:
    job = stand.shared(workflow)
    at_its_end(stand, job)
    [application] = launched(guest, job)
    until(lambda: guest.yarn.application(application.id).log_aggregation.has_ended)

    [(kind, path)] = aggregated(guest, application.id)

    mark = {"tfile": TFILE_MAGIC, "ifile": hashlib.sha256(application.id.encode()).digest()}[kind]
    assert guest.hdfs.head(path, len(mark)) == mark
    assert guest.hdfs.status(path).permission == "640"


def aggregated(guest: ClusterAccess, application: str) -> list[tuple[str, str]]:
    """Return the format and the path of each node's file."""
    bucket = f"{int(application.rpartition('_')[2]) % 10000:04d}"
    found = []
    for kind in ("tfile", "ifile"):
        directory = f"/app-logs/guest/bucket-logs-{kind}/{bucket}/{application}"
        try:
            found += [(kind, f"{directory}/{file.name}") for file in guest.hdfs.list(directory)]
        except PathNotFound:
            continue
    return found
