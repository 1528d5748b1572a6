"""Bodies as the field writes them: JSON that is none, lists of one, and errors without words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.fakes import APP_1, job
from tests.unit.loopback_server import Reply
from tracker_service.domain.jobs import JobStatus
from tracker_service.errors import (
    AccessDenied,
    GatewayError,
    GatewayUnavailable,
    RequestRefused,
)
from tracker_service.sources.bodies import items, json_object, nested_items
from tracker_service.sources.oozie import Oozie
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.sources.yarn import Yarn

TAG = "oozie-1"
APP = {"id": APP_1, "applicationTags": TAG, "user": "guest", "state": "RUNNING"}
WORKFLOW = {"id": job(1), "status": "RUNNING"}
FILE = {
    "pathSuffix": "n_8041",
    "type": "FILE",
    "length": 1,
    "owner": "guest",
    "permission": "640",
    "modificationTime": 0,
}
NOTHING: list[Any] = [None, {}, "", []]
PAGE = b"<html><head><title>Error 500 no way</title></head><body>x</body></html>"


def told(value: object) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def remote(status: int, exception: str, message: str) -> Reply:
    body = {"RemoteException": {"exception": exception, "message": message}}
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def yarn(session) -> Yarn:
    return Yarn(session)


@pytest.fixture
def oozie(session) -> Oozie:
    return Oozie(session)


@pytest.fixture
def hdfs(session) -> WebHdfs:
    return WebHdfs(session)


@pytest.mark.parametrize("number", ["INF", "-INF", "Infinity", "-Infinity", "NaN", "+INF"])
def test_a_number_that_is_none_is_null_and_spoils_nothing_beside_it(number):
    body = f'{{"a":{number},"b":[{number}, 1],"c":"INF, NaN \\" : INF","d":1.5}}'

    assert json_object(body.encode()) == {
        "a": None,
        "b": [None, 1],
        "c": 'INF, NaN " : INF',
        "d": 1.5,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf{}",
        '{"a": "ü"}'.encode("utf-16"),
        b'{"a": "line\nline\ttab"}',
        b'{"a": "\xe9"}',
    ],
)
def test_an_object_is_read_in_whatever_letters_it_comes(body):
    assert json_object(body) is not None


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"1", b'{"a": INFO}', b"{" * 100_000])
def test_what_is_no_object_is_none(body):
    assert json_object(body) is None


@pytest.mark.parametrize("number", ["INF", "NaN"])
def test_a_running_application_with_odd_numbers_is_told(loopback, yarn, number):
    body = json.dumps({"app": {**APP, "queueUsagePercentage": 7}}).replace("7", number, 1)
    loopback.says(Reply(200, body.replace(f"_{number}", "_7").encode()))

    assert yarn.application(APP_1).state == "RUNNING"


def test_one_many_and_none_are_lists():
    assert items([{"a": 1}, {"a": 2}]) == [{"a": 1}, {"a": 2}]
    assert items({"a": 1}) == [{"a": 1}]
    assert [items(nothing) for nothing in NOTHING] == [[], [], [], []]
    assert nested_items({}, "apps", "app") == []
    for text in ("x", 7, True):
        with pytest.raises(ValueError, match="is no list"):
            items(text)


@pytest.mark.parametrize(
    "body",
    [
        {"apps": {"app": [APP]}},
        {"apps": {"app": APP}},
        {"apps": [APP]},
        {"apps": APP},
        {"app": APP},
    ],
)
def test_one_application_is_found_by_its_tag_however_the_list_is_written(loopback, yarn, body):
    loopback.says(told(body))

    assert yarn.tagged({TAG}) == [(APP_1, TAG)]


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("depth", [1, 2])
def test_no_application_is_no_trouble_however_it_is_written(loopback, yarn, nothing, depth):
    loopback.says(told({"apps": nothing if depth == 1 else {"app": nothing}}))

    assert yarn.tagged({TAG}) == []


@pytest.mark.parametrize("body", [{"apps": "x"}, {"apps": {"app": ["x"]}}, {"apps": {"app": 7}}])
def test_what_is_no_list_of_applications_is_asked_for_again(loopback, yarn, body):
    loopback.says(told(body))

    with pytest.raises(GatewayUnavailable, match="makes no sense"):
        yarn.tagged({TAG})


def test_one_running_container_is_found(loopback, yarn):
    container = {"containerId": "container_1", "logUrl": "http://n:8042/node/containerlogs/c/u"}
    loopback.says(
        told({"appAttempts": {"appAttempt": {"appAttemptId": "attempt_1"}}}),
        told({"container": container}),
    )

    assert [found.id for found in yarn.running_containers(APP_1)] == ["container_1"]


@pytest.mark.parametrize("workflows", [[WORKFLOW], WORKFLOW])
def test_one_workflow_is_seen_however_the_list_is_written(loopback, oozie, workflows):
    loopback.says(told({"total": 1, "workflows": workflows}))

    assert oozie.jobs([job(1)])[job(1)].status == JobStatus.RUNNING


@pytest.mark.parametrize("nothing", NOTHING)
def test_no_workflow_is_none_where_oozie_counts_none(loopback, oozie, nothing):
    loopback.says(told({"total": 0, "offset": 1, "len": 1, "workflows": nothing}))

    assert oozie.jobs([job(1)]) == {}


@pytest.mark.parametrize("actions", NOTHING)
def test_a_job_without_actions_has_none(loopback, oozie, actions):
    loopback.says(told({**WORKFLOW, "actions": actions}))

    assert oozie.details(job(1)).actions == ()


def test_one_action_is_an_action(loopback, oozie):
    action = {"id": f"{job(1)}@a", "name": "a", "externalId": 1234, "userRetryCount": "x"}
    loopback.says(told({**WORKFLOW, "actions": action}))

    [found] = oozie.details(job(1)).actions

    assert (found.name, found.external_id, found.retry_count) == ("a", "1234", 0)


def test_one_child_is_a_child(loopback, oozie):
    loopback.says(
        told({"coordJobId": job(1, "C"), "status": "RUNNING", "actions": {"externalId": job(2)}})
    )

    assert oozie.children(job(1, "C")).started == (job(2),)


def test_details_of_another_job_are_an_outage(loopback, oozie):
    loopback.says(told({**WORKFLOW, "id": job(2)}))

    with pytest.raises(GatewayUnavailable, match="it is about"):
        oozie.details(job(1))


@pytest.mark.parametrize("files", [[FILE], FILE])
def test_one_file_is_listed_however_the_list_is_written(loopback, hdfs, files):
    loopback.says(told({"FileStatuses": {"FileStatus": files}}))

    assert [file.name for file in hdfs.list("/d")] == ["n_8041"]


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("depth", [1, 2])
def test_an_empty_directory_has_no_file_however_it_is_written(loopback, hdfs, nothing, depth):
    loopback.says(told({"FileStatuses": nothing if depth == 1 else {"FileStatus": nothing}}))

    assert hdfs.list("/d") == []


def test_a_file_is_no_directory(loopback, hdfs):
    loopback.says(told({"FileStatuses": {"FileStatus": [{**FILE, "pathSuffix": ""}]}}))

    with pytest.raises(RequestRefused, match="is a file"):
        hdfs.list("/d")


@pytest.mark.parametrize("day", [9223372036854775807, -1, 0, "x", None, 1.5, "1e400"])
def test_a_time_that_cannot_be_is_left_out(loopback, yarn, day):
    loopback.says(told({"app": {**APP, "finishedTime": day}}))

    assert yarn.application(APP_1).finished_at is None


def test_a_time_may_be_written_as_text(loopback, yarn):
    loopback.says(told({"app": {**APP, "finishedTime": "1795323352874"}}))

    assert yarn.application(APP_1).finished_at == datetime(2026, 11, 22, 4, 55, 52, 874000, UTC)


WITHOUT_WORDS = [b"", b"{}", b'{"a": 1}', b"\0\1\2", b"   ", b"[]"]


@pytest.mark.parametrize("body", WITHOUT_WORDS)
@pytest.mark.parametrize("status", [400, 404, 409, 500, 502])
def test_a_reason_is_never_empty_and_never_the_repr_of_bytes(loopback, hdfs, session, body, status):
    loopback.says(Reply(status, body))

    for ask in (
        lambda: hdfs.make_directory("/d"),
        lambda: hdfs.write("/f", b""),
        lambda: hdfs.list("/d"),
        lambda: hdfs.head("/f", 1),
        lambda: session.ask("PUT", "oozie/v2/job/x").json(),
    ):
        with pytest.raises(GatewayError) as caught:
            ask()
        assert "b'" not in str(caught.value)
        assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(403, b'{"errorMessage": "E0509: not yours", "httpStatusCode": 403}'), "E0509"),
        (Reply(403, b"<html><h1>Forbidden by <b>us</b></h1></html>"), "Forbidden by us"),
        (Reply(403, b"\n  Go away.\nat line 2"), "Go away."),
        (Reply(403, PAGE), "Error 500 no way"),
        (Reply(403, b'{"message": "no"}'), "no"),
        (Reply(403, b"see http://n/f?delegation=SECRET now"), "see http://n/f?… now"),
    ],
)
def test_the_words_of_any_server_are_told_in_one_line(loopback, session, reply, words):
    loopback.says(reply)

    with pytest.raises(AccessDenied) as caught:
        session.ask("GET", "oozie/v2/jobs").json()

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "SECRET" not in str(caught.value)


QUOTA = "The DiskSpace quota of /user/guest is exceeded: quota = 1 B but 2 B"


@pytest.mark.parametrize(
    "reply",
    [
        remote(507, "DSQuotaExceededException", QUOTA),
        remote(500, "DSQuotaExceededException", QUOTA),
        remote(500, "QuotaByStorageTypeExceededException", QUOTA),
        remote(507, "IOException", QUOTA),
        Reply(507, QUOTA.encode()),
    ],
)
def test_a_quota_is_named_and_is_no_outage(loopback, hdfs, reply):
    loopback.says(reply)

    with pytest.raises(RequestRefused, match="The DiskSpace quota of /user/guest"):
        hdfs.write("/f", b"x")


def test_the_quota_of_one_user_keeps_nobody_else_from_hdfs(loopback, hdfs):
    loopback.says(*[Reply(507, QUOTA.encode())] * 10, told({"FileStatuses": {"FileStatus": []}}))
    for _ in range(10):
        with pytest.raises(RequestRefused):
            hdfs.write("/f", b"x")

    assert hdfs.list("/d") == []


def test_another_5xx_is_an_outage_with_its_words(loopback, hdfs, session):
    loopback.says(remote(500, "NullPointerException", "java.lang.NullPointerException"))

    with pytest.raises(GatewayUnavailable, match=r"answered 500: java\.lang\.NullPointerException"):
        hdfs.make_directory("/d")
    loopback.says(Reply(500, PAGE))
    with pytest.raises(GatewayUnavailable, match="answered 500: Error 500 no way"):
        session.ask("GET", "oozie/v2/jobs")


@pytest.mark.parametrize(
    "exception", ["StandbyException", "RetriableException", "SafeModeException"]
)
def test_a_name_node_that_cannot_answer_now_refuses_nothing(loopback, hdfs, exception):
    loopback.says(
        remote(403, exception, "Operation category READ is not supported in state standby")
    )

    for ask in (hdfs.user, lambda: hdfs.list("/d"), lambda: hdfs.write("/f", b"")):
        with pytest.raises(GatewayUnavailable, match="state standby"):
            ask()


def test_what_a_data_node_hands_on_means_what_the_name_node_said(loopback, hdfs):
    wrapped = (
        "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.hdfs.server.namenode."
        "SafeModeException): Cannot create file /f. Name node is in safe mode."
    )
    loopback.says(remote(403, "RemoteException", wrapped))

    with pytest.raises(GatewayUnavailable, match="Cannot create file /f"):
        hdfs.make_directory("/d")


STANDBY = b"This is standby RM. Redirecting to the current active RM: http://rm2:8088/ws/v1"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, STANDBY, {"Content-Type": "text/plain"}),
        Reply(307, STANDBY, {"Location": "http://rm2:8088/ws/v1", "Refresh": "3; url=x"}),
        Reply(302, STANDBY, {"Location": "http://rm2:8088/ws/v1"}),
    ],
)
def test_a_standby_resource_manager_is_named_and_knows_nothing(loopback, yarn, reply):
    loopback.says(reply)

    for ask in (lambda: yarn.application(APP_1), lambda: yarn.tagged({TAG})):
        with pytest.raises(GatewayUnavailable, match="This is standby RM"):
            ask()
