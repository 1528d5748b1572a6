from __future__ import annotations

import pytest

READY = "0000002-261122041514971-oozie-sandbox-W"


def shell(info):
    return next(action for action in info["actions"] if action["type"] == "shell")


def test_a_ready_made_job_begins_when_it_is_asked_about(guest, clock):
    clock.advance(3600)
    assert guest.ask(f"oozie/v2/job/{READY}?show=status").json == {"status": "RUNNING"}

    clock.advance(5)

    assert guest.ask(f"oozie/v2/job/{READY}?show=status").json == {"status": "KILLED"}


def test_a_ready_made_job_waits_while_others_are_listed(guest):
    jobs = guest.ask("oozie/v2/jobs?jobtype=wf").json

    assert {job["status"] for job in jobs["workflows"]} == {"PREP"}


def test_a_script_that_fails_shows_in_its_action(guest, cluster, clock):
    job_id = cluster.start("fails")
    clock.advance(5)

    info = guest.info(job_id)

    assert (info["status"], shell(info)["status"]) == ("KILLED", "ERROR")
    assert shell(info)["externalStatus"] == "FAILED/KILLED"
    assert shell(info)["errorCode"] == "1"
    assert shell(info)["errorMessage"].endswith("ShellMain], exit code [1]")
    assert info["actions"][-1]["errorCode"] == "E0729"


def test_the_log_appears_when_its_aggregation_is_over(guest, cluster, clock):
    job_id = cluster.start("fails", runs_s=5, aggregates_s=0.5)
    clock.advance(1)
    application_id = shell(guest.info(job_id))["externalId"]
    directory = f"/app-logs/guest/bucket-logs-tfile/0001/{application_id}"
    states = []

    for _ in range(3):
        app = guest.app(application_id)
        files = guest.hdfs(directory, "LISTSTATUS").json["FileStatuses"]["FileStatus"]
        states.append((app["state"], app["logAggregationStatus"], len(files)))
        clock.advance(4.1 if len(states) == 1 else 0.5)

    assert states == [
        ("RUNNING", "NOT_START", 0),
        ("FINISHED", "RUNNING", 0),
        ("FINISHED", "SUCCEEDED", 1),
    ]
    log = guest.read(f"{directory}/{files[0]['pathSuffix']}")
    assert log.startswith(bytes.fromhex("d111d36891b5d7b639df414092bae150"))
    assert application_id.removeprefix("application").encode() in log


def test_the_application_has_no_id_in_the_first_half_second(guest, cluster, clock):
    job_id = cluster.start("succeeds")

    assert shell(guest.info(job_id))["externalId"] is None
    clock.advance(0.5)
    assert shell(guest.info(job_id))["externalId"] == "application_1795323021266_0001"


def test_others_cannot_see_whether_there_is_a_log(sam, cluster):
    cluster.start("fails", runs_s=0, aggregates_s=0)

    answer = sam.hdfs("/app-logs/guest/bucket-logs-tfile", "LISTSTATUS")

    assert answer.json["RemoteException"]["message"] == (
        'Permission denied: user=sam, access=EXECUTE, inode="/app-logs/guest":'
        "guest:hadoop:drwxrwx---"
    )


def test_a_killed_job_stays_killed(guest, cluster, clock):
    job_id = cluster.start("never-ends")
    clock.advance(10)

    killed = guest.ask(f"oozie/v1/job/{job_id}?action=kill", "PUT")
    clock.advance(1)

    assert (killed.status_code, killed.data) == (200, b"")
    info = guest.info(job_id)
    assert (info["status"], shell(info)["status"]) == ("KILLED", "KILLED")
    app = guest.app(shell(info)["externalId"])
    assert (app["state"], app["finalStatus"]) == ("KILLED", "KILLED")
    assert app["logAggregationStatus"] == "SUCCEEDED"


def test_killing_what_has_ended_changes_nothing(guest, cluster):
    job_id = cluster.start("succeeds", runs_s=0)

    cluster.kill(job_id)

    assert guest.info(job_id)["status"] == "SUCCEEDED"


def test_jobs_are_found_by_id_newest_first_and_without_details(guest, cluster):
    first, second = cluster.start("succeeds"), cluster.start("never-ends")

    found = guest.ask(f"oozie/v2/jobs?jobtype=wf&filter=id={first};id={second};id=x&len=9").json

    assert (found["total"], found["offset"], found["len"]) == (2, 1, 9)
    assert [job["id"] for job in found["workflows"]] == [second, first]
    assert found["workflows"][0]["actions"] == []
    assert found["workflows"][0]["conf"] is None


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("user=sam", ["fails"]),
        ("status=SUCCEEDED;status=KILLED", ["fails", "succeeds"]),
        ("status=RUNNING;user=guest", ["never-ends"]),
        ("name=nothing", []),
        ("text=s;user=sam", ["fails"]),
        ("text=never;status=RUNNING", ["never-ends"]),
        ("startcreatedtime=-1h;endcreatedtime=-0m;user=sam", ["fails"]),
        ("startcreatedtime=2100-01-01T00:00Z", []),
        ("endcreatedtime=-1d", []),
        ("USER=sam;group=any", ["fails"]),
    ],
)
def test_jobs_are_filtered(guest, cluster, wanted, names):
    cluster.start("never-ends")
    cluster.start("succeeds", runs_s=0)
    cluster.start("fails", "sam", runs_s=0)

    found = guest.ask(f"oozie/v2/jobs?filter={wanted}").json["workflows"]

    assert [job["appName"] for job in found] == names


def test_jobs_come_in_pages_of_fifty(guest, cluster):
    for _ in range(60):
        cluster.start("never-ends", "sam")

    first = guest.ask("oozie/v2/jobs?filter=user=sam").json
    last = guest.ask("oozie/v2/jobs?filter=user=sam&offset=51").json

    assert (first["total"], len(first["workflows"]), len(last["workflows"])) == (60, 50, 10)


def test_a_kind_of_job_that_does_not_exist_is_an_error_of_oozie(guest):
    assert guest.ask("oozie/v2/jobs?jobtype=odd").status_code == 500
    assert "coordinatorjobs" in guest.ask("oozie/v2/jobs?jobtype=coordinator").json


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("job/nonsense", "GET", "E0604"),
        (f"job/{READY}?show=nonsense", "GET", "E0303"),
        ("jobs?filter=nonsense=1", "GET", "E0420"),
        ("jobs?filter=id", "GET", "E0420"),
        ("jobs?filter=status=ODD", "GET", "E0420"),
        ("jobs?filter=user=", "GET", "E0420"),
        ("jobs?filter=name=a=b", "GET", "E0420"),
        ("jobs?filter=status=running", "GET", "E0420"),
        ("jobs?filter=status=DONEWITHERROR", "GET", "E0420"),
        ("jobs?jobtype=coord&filter=status=ODD", "GET", "E0420"),
        (f"job/{READY}@nonsense", "GET", "E0605"),
        ("job/nonsense?action=kill", "PUT", "E0605"),
        (f"job/{READY}?action=nonsense", "PUT", "E0303"),
        (f"job/{READY}", "PUT", "E0305"),
    ],
)
def test_oozie_refuses_with_its_code(guest, path, method, code):
    answer = guest.ask(f"oozie/v2/{path}", method)

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, code)
    assert answer.headers["oozie-error-message"].startswith(f"{code}: ")
    assert bool(answer.data) is (method == "GET")


def test_jobs_are_sorted_by_their_last_change(guest, cluster, clock):
    first, second = cluster.start("never-ends"), cluster.start("never-ends")
    clock.advance(1)
    cluster.kill(first)

    def listed(sort):
        found = guest.ask(f"oozie/v2/jobs?filter=id={first};id={second}{sort}").json
        return [job["id"] for job in found["workflows"]]

    assert listed("") == listed(";sortby=createdTime") == [second, first]
    assert listed(";sortby=lastModifiedTime") == [first, second]


@pytest.mark.parametrize("value", ["odd", "2026-11-01", "yesterday"])
def test_a_time_of_another_form_is_refused_in_two_codes(guest, value):
    answer = guest.ask(f"oozie/v2/jobs?filter=startcreatedtime={value}")

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, "E0603")
    assert "E0302: Invalid parameter" in answer.headers["oozie-error-message"]


@pytest.mark.parametrize("parameter", ["len", "offset"])
def test_what_is_no_number_is_refused_without_the_code_in_the_words(guest, parameter):
    answer = guest.ask(f"oozie/v2/jobs?{parameter}=x")

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, "E1603")
    assert answer.headers["oozie-error-message"] == 'For input string: "x"'
    assert answer.json["errorMessage"] == "For input string: &quot;x&quot;"


@pytest.mark.parametrize("page", ["len=0", "len=-1&offset=0", ""])
def test_a_page_that_is_missing_or_below_one_is_the_usual_one(guest, page):
    found = guest.ask(f"oozie/v1/jobs?{page}").json

    assert (found["offset"], found["len"]) == (1, 50)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("oozie/versions", [0, 1, 2]),
        ("oozie/v1/admin/status", {"systemMode": "NORMAL"}),
        ("oozie/v2/admin/status", {"systemMode": "NORMAL"}),
    ],
)
def test_oozie_says_that_it_is_there(guest, path, answer):
    assert guest.ask(path).json == answer


def test_yarn_and_the_job_history_say_that_they_are_there(guest):
    cluster = guest.ask("resourcemanager/v1/cluster/info").json["clusterInfo"]
    history = guest.ask("jobhistory/ws/v1/history/info").json["historyInfo"]

    assert (cluster["state"], cluster["haState"]) == ("STARTED", "ACTIVE")
    assert cluster["hadoopVersion"] == history["hadoopVersion"] == "3.3.6"
    assert guest.ask("jobhistory/v1/history/info").status_code == 404


@pytest.mark.parametrize(
    ("application", "status", "exception"),
    [
        ("application_1_0001", 404, "NotFoundException"),
        ("application_1", 400, "BadRequestException"),
        ("nonsense", 400, "BadRequestException"),
        ("application_1795323021266_0005", 404, "NotFoundException"),
    ],
)
def test_unknown_applications_are_refused(guest, application, status, exception):
    answer = guest.ask(f"resourcemanager/v1/cluster/apps/{application}")

    assert answer.status_code == status
    assert answer.json["RemoteException"]["exception"] == exception


def test_applications_are_listed_by_state_user_and_tag(guest, cluster, clock):
    cluster.start("never-ends", "sam")
    clock.advance(1)
    apps = "resourcemanager/v1/cluster/apps"

    assert len(guest.ask(f"{apps}?states=RUNNING&user=sam").json["apps"]["app"]) == 1
    assert guest.ask(f"{apps}?applicationTags=none,nada").json == {"apps": {}}
    assert guest.ask(f"{apps}?states=ODD").status_code == 400


def test_a_hundred_of_ten_thousand_jobs_are_found_by_their_ids(guest, cluster):
    jobs = [cluster.start("never-ends") for _ in range(10_000)]
    wanted = ";".join(f"id={job}" for job in jobs[::100])

    found = guest.ask(f"oozie/v2/jobs?filter={wanted}&len=100").json

    assert found["total"] == 100
    assert {each["id"] for each in found["workflows"]} == set(jobs[::100])


RERUN = b"<configuration/>"


def rerun(guest, job_id, body=RERUN):
    path = f"oozie/v2/job/{job_id}?action=rerun"
    return guest.ask(path, "PUT", data=body, content_type="application/xml;charset=UTF-8")


def test_a_job_that_is_run_again_keeps_its_id_and_runs_anew(guest, cluster, clock):
    job_id = cluster.start("fails", runs_s=2)
    clock.advance(3)
    before = guest.info(job_id)

    answer = rerun(guest, job_id)

    assert (answer.status_code, answer.data) == (200, b"")
    clock.advance(1)
    running = guest.info(job_id)
    assert (running["run"], running["status"], running["endTime"]) == (1, "RUNNING", None)
    assert running["createdTime"] == before["createdTime"]
    assert running["startTime"] > before["startTime"]
    clock.advance(2)
    after = guest.info(job_id)
    assert (after["run"], after["status"]) == (1, "KILLED")
    ids = [told["actions"][1]["externalId"] for told in (before, after)]
    assert ids[0] != ids[1]
    assert [guest.app(each)["state"] for each in ids] == ["FINISHED", "FINISHED"]
    [listed] = guest.ask(f"oozie/v2/jobs?filter=id%3D{job_id}").json["workflows"]
    assert listed["run"] == 1


def test_the_logs_of_an_earlier_run_stay_in_hdfs(guest, cluster, clock):
    job_id = cluster.start("fails", runs_s=2)
    clock.advance(2.1)  # ended, and not yet aggregated

    cluster.rerun(job_id)
    clock.advance(5)

    with cluster.settled():
        first, second = (each for each in cluster.applications.values() if each.job.run in (0, 1))
    for application in (first, second):
        assert guest.hdfs(application.log_directory, "LISTSTATUS").status_code == 200
        assert application.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (RERUN, "E0805"),
        (
            b"<configuration>"
            b"<property><name>oozie.wf.rerun.failnodes</name><value>true</value></property>"
            b"<property><name>oozie.wf.rerun.skip.nodes</name><value>a</value></property>"
            b"</configuration>",
            "E0404",
        ),
    ],
)
def test_what_runs_still_cannot_be_run_again(guest, cluster, body, code):
    job_id = cluster.start("never-ends")

    answer = rerun(guest, job_id, body)

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, code)
    assert guest.info(job_id)["run"] == 0


def test_what_oozie_does_not_know_cannot_be_run_again(guest, cluster):
    for unknown in ("0009999-200101000000000-oozie-test-W", cluster.start_coordinator()):
        assert rerun(guest, unknown).headers["oozie-error-code"] == "E0605"
