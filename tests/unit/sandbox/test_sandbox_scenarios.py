from __future__ import annotations

import gzip
from importlib import resources

import pytest

from tracker_service.sandbox.recordings import recording
from tracker_service.sandbox.scenarios import scenarios, schedules

IFILE_UUID_BYTES = 32


def actions(info):
    return {action["name"]: action for action in info["actions"] if ":" not in action["type"]}


def ended(guest, cluster, clock, scenario):
    """Run a scenario to its end, and return what Oozie tells of the job."""
    job_id = cluster.start(scenario)
    for _ in range(30):
        clock.advance(1)
        info = guest.info(job_id)
        if info["endTime"]:
            return info
    raise AssertionError(f"{scenario} does not end: {info}")


@pytest.mark.parametrize(
    ("scenario", "status", "failed", "code", "message"),
    [
        ("fails", "KILLED", "work", "1", "exit code [1]"),
        ("java-exception", "KILLED", "index", "JA018", "File does not exist"),
        ("missing-input", "KILLED", "count", "JA018", "Input path does not exist"),
        ("out-of-memory", "KILLED", "count", None, None),
        ("permission-denied", "KILLED", "count", None, None),
        ("fork", "KILLED", "check", "JA018", "resource-types.xml not found"),
        ("sub-workflow", "KILLED", "call", None, None),
        ("retried", "KILLED", "index", "JA018", "File does not exist"),
    ],
)
def test_a_job_fails_by_one_action(guest, cluster, clock, scenario, status, failed, code, message):
    info = ended(guest, cluster, clock, scenario)

    action = actions(info)[failed]
    assert (info["status"], action["status"], action["errorCode"]) == (status, "ERROR", code)
    assert message is None or message in action["errorMessage"]
    assert (info["actions"][-1]["type"], info["actions"][-1]["errorCode"]) == (":KILL:", "E0729")
    assert info["actions"][-1]["errorMessage"] == (action["errorMessage"] or "")


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("fails", "FileNotFoundError: [Errno 2] No such file or directory: 'daily.csv'"),
        ("java-exception", "java.io.FileNotFoundException: File does not exist: /user/guest/java"),
        ("missing-input", "Input path does not exist: /user/guest/missing/2026-11-22"),
        ("out-of-memory", "Container killed on request. Exit code is 143"),
        ("permission-denied", "Permission denied: user=guest, access=WRITE"),
        ("fork", "/no/such/file"),
        ("sub-workflow", "FileNotFoundError: [Errno 2]"),
        ("retried", "java.io.FileNotFoundException: File does not exist: /user/guest/retried"),
        ("killed", "tick 2"),
    ],
)
def test_the_cause_stands_in_a_log(guest, cluster, clock, scenario, words):
    ended(guest, cluster, clock, scenario)

    logs = [application.text.decode() for application in cluster.applications.values()]

    assert any(words in log for log in logs)


def test_a_job_that_the_launcher_started_is_named_by_oozie_and_by_its_tag(guest, cluster, clock):
    info = ended(guest, cluster, clock, "permission-denied")

    count = actions(info)["count"]
    child = count["externalChildIDs"].replace("job_", "application_")
    assert guest.app(count["externalId"])["finalStatus"] == "SUCCEEDED"
    app = guest.app(child)
    assert (app["applicationType"], app["finalStatus"]) == ("MAPREDUCE", "FAILED")
    assert app["name"].startswith("oozie:action:T=map-reduce:W=permission-denied:A=count:ID=")
    tagged = guest.ask(f"resourcemanager/v1/cluster/apps?applicationTags={app['applicationTags']}")
    assert [each["id"] for each in tagged.json["apps"]["app"]] == [child]


def test_tasks_that_use_too_much_memory_fail_their_job(guest, cluster, clock):
    count = actions(ended(guest, cluster, clock, "out-of-memory"))["count"]

    app = guest.app(count["externalChildIDs"].replace("job_", "application_"))

    number = app["id"].removeprefix("application_")
    assert app["diagnostics"].startswith(f"Task failed task_{number}_m_000001\n")


def test_a_launcher_and_its_job_name_each_other_in_their_logs(guest, cluster, clock):
    count = actions(ended(guest, cluster, clock, "permission-denied"))["count"]

    log = cluster.applications[count["externalId"]].text.decode()

    assert count["externalChildIDs"] in log


def test_a_failing_branch_of_a_fork_kills_the_other(guest, cluster, clock):
    info = ended(guest, cluster, clock, "fork")

    assert {name: action["status"] for name, action in actions(info).items()} == {
        "work": "OK",
        "check": "ERROR",
        "count": "KILLED",
    }
    assert [a["type"] for a in info["actions"]][2] == ":FORK:"
    states = {
        name: guest.app(action["externalId"])["finalStatus"]
        for name, action in actions(info).items()
    }
    assert states == {"work": "SUCCEEDED", "check": "FAILED", "count": "KILLED"}


def test_a_sub_workflow_is_a_job_of_its_own(guest, cluster, clock):
    info = ended(guest, cluster, clock, "sub-workflow")

    child = guest.info(actions(info)["call"]["externalId"])

    assert (child["parentId"], child["externalId"]) == (info["id"], f"{info['id']}@call@0")
    assert (child["status"], actions(info)["call"]["externalStatus"]) == ("KILLED", "KILLED")
    assert actions(child)["work"]["errorCode"] == "1"
    assert info["endTime"] == child["endTime"]


def test_killing_a_job_kills_its_sub_workflow(guest, cluster, clock):
    job_id = cluster.start("sub-workflow")
    clock.advance(2)
    child = actions(guest.info(job_id))["call"]["externalId"]

    guest.ask(f"oozie/v1/job/{job_id}?action=kill", "PUT")

    assert guest.info(child)["status"] == guest.info(job_id)["status"] == "KILLED"


def test_a_retried_action_shows_its_last_try(guest, cluster, clock):
    job_id = cluster.start("retried")
    clock.advance(2)
    first = actions(guest.info(job_id))["index"]
    clock.advance(4)

    second = actions(guest.info(job_id))["index"]

    assert (first["userRetryCount"], second["userRetryCount"], second["userRetryMax"]) == (0, 1, 1)
    assert first["externalId"] != second["externalId"]
    assert first["startTime"] == second["startTime"]
    assert guest.app(first["externalId"])["finalStatus"] == "FAILED"
    assert guest.app(second["externalId"])["state"] == "RUNNING"


def test_an_action_that_is_killed_in_its_first_try_has_no_other(guest, cluster, clock):
    job_id = cluster.start("retried")
    clock.advance(2)
    cluster.kill(job_id)
    clock.advance(10)

    index = actions(guest.info(job_id))["index"]

    assert (index["status"], index["userRetryCount"]) == ("KILLED", 0)
    assert guest.app(index["externalId"])["state"] == "KILLED"


def test_the_former_tries_of_an_action_are_told(guest, cluster, clock):
    info = ended(guest, cluster, clock, "retried")

    index = actions(info)["index"]
    retries = guest.ask(f"oozie/v2/job/{index['id']}?show=retries").json["retries"]

    [first] = retries
    assert (first["attempt"], first["startTime"]) == ("1", index["startTime"])
    assert "/yarn/proxy/application_" in first["consoleUrl"]
    assert index["externalId"] not in first["consoleUrl"]
    assert guest.ask(f"oozie/v2/job/{info['id']}@failed?show=retries").json == {"retries": []}


def test_an_action_is_told_alone(guest, cluster, clock):
    info = ended(guest, cluster, clock, "fork")

    for action in info["actions"]:
        assert guest.ask(f"oozie/v2/job/{action['id']}?show=info").json == action


def test_a_job_is_killed_by_its_user_without_help(guest, cluster, clock):
    info = ended(guest, cluster, clock, "killed")

    [work] = actions(info).values()
    assert (info["status"], work["status"], work["errorCode"]) == ("KILLED", "KILLED", None)
    assert guest.app(work["externalId"])["diagnostics"].endswith(
        "was killed by user guest at 127.0.0.1"
    )


def test_a_scenario_may_be_made_shorter(guest, cluster, clock):
    jobs = [cluster.start(name, runs_s=0, aggregates_s=0) for name in scenarios()]
    clock.advance(0.1)

    assert all(guest.info(job_id)["endTime"] for job_id in jobs)


def test_logs_are_of_both_formats_and_of_more_than_one_node():
    runs = [
        run
        for course in scenarios().values()
        for action in course.actions
        for runs in action.tries
        for run in runs
    ]

    assert {run.recording.format for run in runs} == {"tfile", "ifile"}
    assert max(len(run.recording.nodes) for run in runs) == 2


def test_an_indexed_file_keeps_its_mark_and_its_length_for_another_application(
    guest, cluster, clock
):
    index = actions(ended(guest, cluster, clock, "java-exception"))["index"]
    application = cluster.applications[index["externalId"]]
    clock.advance(1)

    [file] = guest.hdfs(application.log_directory, "LISTSTATUS").json["FileStatuses"]["FileStatus"]
    log = guest.read(f"{application.log_directory}/{file['pathSuffix']}")

    assert "/bucket-logs-ifile/" in application.log_directory
    assert log[:IFILE_UUID_BYTES] == log[-IFILE_UUID_BYTES:]
    assert application.run.recording.number.encode() not in log
    assert len(log) == file["length"] == len(next(iter(application.run.recording.nodes.values())))


def test_every_recording_belongs_to_a_job():
    folder = resources.files("tracker_service.sandbox") / "logs"
    recorded = {f"{w.name}/{a.name}" for w in folder.iterdir() for a in w.iterdir()}
    courses = [*scenarios().values(), *(c for s in schedules().values() for c in s.workflows)]
    courses += [a.child for course in courses for a in course.actions if a.child]

    used = {
        run.recording.name
        for course in courses
        for action in course.actions
        for runs in action.tries
        for run in runs
    }

    assert recorded == used


def test_a_recording_is_what_the_cluster_printed():
    folder = resources.files("tracker_service.sandbox") / "logs" / "fail" / "work"

    assert recording("fail/work").text == gzip.decompress(
        (folder / "yarn-logs.txt.gz").read_bytes()
    )
