"""What each service says of itself, and how Oozie lists and refuses: the same of both clusters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.stands import Stand, access, ask
from tests.waiting import until
from tracker_service.archive.copying.workflow_copy import configuration
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.errors import BadInput

UNKNOWN = "0009999-200101000000000-oozie-test-W"
ROUTES = [
    "oozie/versions",
    "oozie/v1/admin/status",
    "oozie/v2/jobs?len=1",
    "resourcemanager/v1/cluster/info",
    "jobhistory/ws/v1/history/info",
    "webhdfs/v1/?op=GETHOMEDIRECTORY",
]
WORKFLOW = b"""<workflow-app xmlns="uri:oozie:workflow:1.0" name="contract-${word}">
  <start to="work"/>
  <action name="work">
    <shell xmlns="uri:oozie:shell-action:1.0">
      <resource-manager>${resourceManager}</resource-manager><name-node>${nameNode}</name-node>
      <exec>work.sh</exec><argument>${wf:conf('word')}</argument><file>work.sh</file>
    </shell>
    <ok to="end"/><error to="failed"/>
  </action>
  <kill name="failed"><message>it failed</message></kill>
  <end name="end"/>
</workflow-app>"""


@pytest.fixture
def uploaded(stand: Stand) -> str:
    """The directory of a workflow of guest."""
    directory, hdfs = "/user/guest/contract/workflow", access(stand).hdfs
    hdfs.make_directory(directory)
    hdfs.write(f"{directory}/workflow.xml", WORKFLOW)
    hdfs.write(f"{directory}/work.sh", b"#!/bin/bash\necho $1\n")
    return directory


def document(directory: str, word: str) -> bytes:
    """Return a configuration whose addresses the gateway replaces."""
    return configuration(
        {
            "user.name": "guest",
            "nameNode": "hdfs://namenode",
            "resourceManager": "resourcemanager",
            "oozie.wf.application.path": directory,
            "word": word,
        }
    )


def post(stand: Stand, body: bytes, query: str = "") -> requests.Response:
    headers = {"Content-Type": "application/xml;charset=UTF-8"}
    return ask(stand, f"oozie/v1/jobs{query}", "POST", data=body, headers=headers)


def test_oozie_tells_its_versions_and_its_mode(stand: Stand) -> None:
    assert ask(stand, "oozie/versions").json() == [0, 1, 2]
    assert ask(stand, "oozie/v1/admin/status").json() == {"systemMode": "NORMAL"}


def test_yarn_and_the_job_history_tell_that_they_are_up(stand: Stand) -> None:
    cluster = ask(stand, "resourcemanager/v1/cluster/info").json()["clusterInfo"]
    history = ask(stand, "jobhistory/ws/v1/history/info").json()["historyInfo"]

    assert (cluster["state"], cluster["haState"]) == ("STARTED", "ACTIVE")
    assert cluster["id"] == cluster["startedOn"]
    assert cluster["hadoopVersion"] == history["hadoopVersion"]
    assert set(history) == {
        "startedOn",
        "hadoopVersion",
        "hadoopBuildVersion",
        "hadoopVersionBuiltOn",
    }


@pytest.mark.parametrize("route", ROUTES)
def test_each_answer_tells_the_time_of_the_gateway_and_of_the_service(
    stand: Stand, route: str
) -> None:
    answer = ask(stand, route)

    assert answer.status_code == 200
    dates = answer.raw.headers.getlist("Date")
    assert len(dates) >= 2
    for date in dates:
        assert abs(datetime.now(UTC) - parsedate_to_datetime(date)) < timedelta(seconds=30)


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_refuses_a_wrong_password(stand: Stand, route: str) -> None:
    answer = ask(stand, route, password="wrong")

    assert (answer.status_code, answer.content) == (401, b"")
    assert "oozie-error-code" not in answer.headers


@pytest.fixture(scope="module", params=["sleep", "daily"])
def pair(stand: Stand, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Two workflows, or two coordinators, of which the first one is older."""
    jobs = [stand.start(request.param) for _ in range(2)]
    yield jobs
    for job in jobs:
        stand.kill(job)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_jobs_are_listed_newest_first_in_pages(stand: Stand, pair: list[str], version: str) -> None:
    jobs = pair
    kind, key, id_key = (
        ("coord", "coordinatorjobs", "coordJobId")
        if jobs[0].endswith("-C")
        else ("wf", "workflows", "id")
    )
    wanted = f"oozie/{version}/jobs?jobtype={kind}&filter=id%3D{jobs[0]}%3Bid%3D{jobs[1]}"

    def page(query: str) -> list[str]:
        told = ask(stand, f"{wanted}&{query}").json()
        assert set(told) == {"total", "offset", "len", key}
        assert (told["total"], told["len"]) == (2, 1 if "len=1" in query else 50)
        return [job[id_key] for job in told[key]]

    assert page("") == page("len=0&offset=0") == jobs[::-1]
    assert [page("len=1"), page("len=1&offset=2"), page("len=1&offset=3")] == [
        [jobs[1]],
        [jobs[0]],
        [],
    ]


def test_a_list_has_no_details(stand: Stand) -> None:
    job = stand.shared("ok")

    [told] = ask(stand, f"oozie/v2/jobs?filter=id%3D{job}").json()["workflows"]

    assert (told["id"], told["actions"], told["conf"], told["appPath"]) == (job, [], None, None)
    assert (told["user"], told["run"]) == ("guest", 0)


def test_jobs_are_filtered_by_status_user_and_name(stand: Stand) -> None:
    running, killed = stand.start("sleep"), stand.start("sleep")
    until(lambda: ask(stand, f"oozie/v2/job/{killed}?show=status").json()["status"] == "RUNNING")
    stand.kill(killed)
    name = ask(stand, f"oozie/v2/job/{running}").json()["appName"]

    def found(*conditions: str) -> set[str]:
        wanted = "%3B".join(condition.replace("=", "%3D") for condition in conditions)
        listed = ask(stand, f"oozie/v2/jobs?jobtype=wf&len=1000&filter={wanted}").json()
        return {job["id"] for job in listed["workflows"]} & {running, killed}

    assert found(f"name={name}", "user=guest") == {running, killed}
    assert found("status=RUNNING", "user=guest") == {running}
    assert found("status=KILLED", "STATUS=SUCCEEDED", f"name={name}") == {killed}
    assert found("user=tom") == found("name=no-such-name") == set()
    stand.kill(running)


def test_jobs_are_filtered_by_the_time_of_their_creation_and_by_a_text(stand: Stand) -> None:
    job = stand.shared("ok")

    def found(wanted: str) -> bool:
        listed = access(stand).oozie.listing({"filter": wanted, "len": "1000", "jobtype": "wf"})
        return job in [each["id"] for each in listed["workflows"]]

    assert found("startcreatedtime=-1h")
    assert found("startcreatedtime=2020-01-01T00:00Z;user=guest;sortby=lastModifiedTime")
    assert not found("endcreatedtime=-1h")
    assert not found("endcreatedtime=2020-01-01T00:00Z")
    assert found(f"text={job}")
    assert found("text=guest")
    assert not found("text=no-such-text")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filter", "odd=1"),
        ("filter", "status=ODD"),
        ("filter", "startcreatedtime=odd"),
        ("len", "odd"),
        ("offset", "odd"),
    ],
)
def test_the_services_own_client_tells_a_bad_parameter_from_trouble(
    stand: Stand, name: str, value: str
) -> None:
    with pytest.raises(BadInput):
        access(stand).oozie.listing({name: value})


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("filter=odd%3D1", "E0420", "E0420: Invalid jobs filter [odd=1], invalid name [odd]"),
        (
            "filter=status%3DODD",
            "E0420",
            "E0420: Invalid jobs filter [status=ODD], invalid status [ODD]",
        ),
        (
            "filter=status%3Drunning",
            "E0420",
            "E0420: Invalid jobs filter [status=running], invalid status [running]",
        ),
        (
            "jobtype=wf&filter=status%3DDONEWITHERROR",
            "E0420",
            "E0420: Invalid jobs filter [status=DONEWITHERROR], invalid status [DONEWITHERROR]",
        ),
        (
            "jobtype=coord&filter=status%3DODD",
            "E0420",
            "E0420: Invalid jobs filter [status=ODD], invalid status [ODD]",
        ),
        (
            "filter=user%3D",
            "E0420",
            "E0420: Invalid jobs filter [user=], elements must be semicolon-separated"
            " name=value pairs",
        ),
        (
            "filter=name%3Da%3Db",
            "E0420",
            "E0420: Invalid jobs filter [name=a=b], elements must be semicolon-separated"
            " name=value pairs",
        ),
        ("len=x", "E1603", 'For input string: "x"'),
        ("offset=x", "E1603", 'For input string: "x"'),
        ("jobtype=coord&len=x", "E1603", 'For input string: "x"'),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_with_oozies_code(
    stand: Stand, query: str, code: str, message: str
) -> None:
    answer = ask(stand, f"oozie/v2/jobs?{query}")

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, code)
    assert answer.headers["oozie-error-message"] == message
    assert answer.json() == {
        "errorMessage": message.replace('"', "&quot;"),
        "httpStatusCode": 400,
    }


def test_an_odd_kind_of_job_is_trouble_of_oozie(stand: Stand) -> None:
    answer = ask(stand, "oozie/v2/jobs?jobtype=odd")

    assert (answer.status_code, answer.json()["httpStatusCode"]) == (500, 500)
    assert "oozie-error-code" not in answer.headers


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"job/{UNKNOWN}?show=info", "E0604"),
        (f"job/{UNKNOWN}?show=status", "E0605"),
        (f"job/{UNKNOWN}@work?show=info", "E0605"),
        (f"job/{UNKNOWN}@work?show=retries", "E0605"),
        ("job/0009999-200101000000000-oozie-test-C?show=info", "E0604"),
    ],
)
def test_what_is_unknown_has_a_code(stand: Stand, path: str, code: str) -> None:
    answer = ask(stand, f"oozie/v2/{path}")

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, code)


def test_the_services_own_client_submits_and_starts_a_workflow(stand: Stand, uploaded: str) -> None:
    oozie = access(stand).oozie

    job = oozie.submit(document(uploaded, "own"))

    until(lambda: oozie.jobs([job])[job].status == JobStatus.SUCCEEDED)
    assert oozie.named("contract-own", "guest") == job


@pytest.mark.parametrize("query", ["?action=start", ""])
def test_a_workflow_is_started_at_once_or_later(stand: Stand, uploaded: str, query: str) -> None:
    answer = post(stand, document(uploaded, "later"), query)
    assert answer.status_code == 201
    job = JobId(answer.json()["id"])
    oozie = access(stand).oozie

    if not query:
        assert oozie.jobs([job])[job].status == JobStatus.PREP
        assert ask(stand, f"oozie/v1/job/{job}?action=start", "PUT").status_code == 200

    until(lambda: oozie.jobs([job])[job].status == JobStatus.SUCCEEDED)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (b"${wf:conf('word')}", "Function [wf:conf] not found"),
        (b"${nothing}", "variable [nothing] cannot be resolved"),
    ],
)
def test_a_workflow_whose_name_cannot_be_known_is_refused(
    stand: Stand, uploaded: str, name: bytes, problem: str
) -> None:
    definition = WORKFLOW.replace(b"contract-${word}", name)
    access(stand).hdfs.write(f"{uploaded}/workflow.xml", definition)

    answer = post(stand, document(uploaded, "x"), "?action=start")

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, "E0803")
    assert answer.json()["errorMessage"] == f"E0803: IO error, {problem}"


def test_what_is_no_configuration_ends_in_the_gateway(stand: Stand) -> None:
    answer = post(stand, b"<conf", "?action=start")

    assert answer.status_code == 500
    assert "oozie-error-code" not in answer.headers


@pytest.fixture
def probe(stand: Stand) -> Iterator[str]:
    """A path where the service may leave and remove a file of its own."""
    path = "/user/guest/WORK/logs/.tracker/probe-contract"
    yield path
    access(stand).hdfs.delete(path)


def test_a_probe_is_written_moved_read_and_removed(stand: Stand, probe: str) -> None:
    hdfs = access(stand).hdfs
    hdfs.make_directory(probe)
    hdfs.make_directory(probe)  # one that is there stays

    hdfs.write(f"{probe}/file", b"probe")
    hdfs.rename(f"{probe}/file", f"{probe}/moved")

    assert b"".join(hdfs.read(f"{probe}/moved")) == b"probe"
    assert [file.name for file in hdfs.list(probe)] == ["moved"]
    assert hdfs.status(probe).permission == "700"
    assert hdfs.delete(probe) is True
    assert hdfs.delete(probe) is False
