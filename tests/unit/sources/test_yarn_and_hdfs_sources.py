from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest

from tests.unit.fakes import APP_1, answer
from tests.unit.loopback_server import Reply
from tracker_service.errors import (
    AccessDenied,
    ApplicationNotFound,
    CredentialsRefused,
    GatewayUnavailable,
    LogFileBroken,
    PathNotFound,
    RequestRefused,
)
from tracker_service.redaction.masking import hidden
from tracker_service.redaction.secrets import Secrets
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.sources.yarn import LogAggregation, Yarn

LOG = "/user/guest/WORK/logs/x.log"
COUNT_TAG = "oozie-42ed0a3f9b02c71902f2e57589f97975"


@pytest.fixture
def yarn(session) -> Yarn:
    return Yarn(session)


@pytest.fixture
def hdfs(session) -> WebHdfs:
    return WebHdfs(session)


def told(value) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def remote(status: int, exception: str, message: str = "it went wrong\n\tat java.Stack") -> Reply:
    body = {"RemoteException": {"exception": exception, "message": message}}
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def file_status(length: int, **more) -> dict[str, Any]:
    return {
        "pathSuffix": "",
        "type": "FILE",
        "length": length,
        "owner": "guest",
        "permission": "600",
        "modificationTime": 1795323352874,
        **more,
    }


def test_a_recorded_application_tells_owner_and_aggregation(loopback, yarn):
    loopback.says(Reply(200, answer("app")))

    report = yarn.application(APP_1)

    assert loopback.asked[0].path.endswith(f"resourcemanager/v1/cluster/apps/{APP_1}")
    assert (report.user, report.state, report.has_ended) == ("guest", "FINISHED", True)
    assert report.log_aggregation == LogAggregation.SUCCEEDED


@pytest.mark.parametrize(
    ("told_", "kept"),
    [
        ("", None),
        (" \n", None),
        ("killed\0 \ud83d", "killed? ?"),
        ("x" * 70_000, "x" * 16_384),
    ],
)
def test_why_an_application_ended_is_told_in_what_can_be_kept(loopback, yarn, told_, kept):
    loopback.says(told({"app": {"diagnostics": told_}}))

    assert yarn.application(APP_1).diagnostics == kept


def test_a_secret_in_why_an_application_ended_is_hidden_before_anybody_keeps_it(loopback, session):
    yarn = Yarn(session, partial(hidden, Secrets({})))
    loopback.says(told({"app": {"diagnostics": "load --password=swordfish failed"}}))

    assert yarn.application(APP_1).diagnostics == "load --password=*** failed"


def test_an_application_that_was_forgotten_is_not_found(loopback, yarn):
    loopback.says(remote(404, "NotFoundException"))

    with pytest.raises(ApplicationNotFound, match=APP_1):
        yarn.application(APP_1)


def test_an_unknown_word_for_the_aggregation_is_no_end_of_it(loopback, yarn):
    loopback.says(told({"app": {"logAggregationStatus": "DREAMING"}}))

    assert not yarn.application(APP_1).log_aggregation.has_ended


@pytest.mark.parametrize(
    ("word", "has_ended"),
    [
        ("NOT_START", False),
        ("RUNNING", False),
        ("RUNNING_WITH_FAILURE", False),
        ("DISABLED", False),
        ("SUCCEEDED", True),
        ("FAILED", True),
        ("TIME_OUT", True),
    ],
)
def test_aggregation_has_ended_when_no_more_log_will_come(word, has_ended):
    assert LogAggregation(word).has_ended is has_ended


def test_applications_are_found_by_their_tag(loopback, yarn):
    loopback.says(Reply(200, answer("apps-of-user")))

    found = yarn.tagged({COUNT_TAG, "oozie-0"})

    assert found == [("application_1795323341942_0004", COUNT_TAG)]
    assert loopback.asked[0].query == {"applicationTags": f"oozie-0,{COUNT_TAG}"}


@pytest.mark.parametrize("body", [{"apps": None}, {"apps": {}}, {}, {"apps": {"app": []}}])
def test_no_application_carries_a_tag_that_nobody_gave(loopback, yarn, body):
    loopback.says(told(body))

    assert yarn.tagged({COUNT_TAG}) == []


def test_the_oldest_application_comes_first_also_after_9999(loopback, yarn):
    apps = [{"id": f"application_1_{n}", "applicationTags": "t"} for n in ("10000", "9999")]
    loopback.says(told({"apps": {"app": apps}}))

    assert [app for app, _ in yarn.tagged({"t"})] == ["application_1_9999", "application_1_10000"]


def test_the_user_is_whom_the_gateway_names(loopback, hdfs):
    loopback.says(told({"Path": "/user/guest"}))

    assert hdfs.user() == "guest"
    assert loopback.asked[0].query == {"op": "GETHOMEDIRECTORY"}


@pytest.mark.parametrize("path", ["/user/..", "/user/a\0b", "/user/-rf", "/", "/user/" + "x" * 256])
def test_a_name_that_no_user_has_lets_nobody_in(loopback, hdfs, path):
    loopback.says(told({"Path": path}))

    with pytest.raises(CredentialsRefused):
        hdfs.user()


@pytest.mark.parametrize(
    "name", ["svc_etl$", "alice@example.com", "a+b", "EXAMPLE\\alice", "alice smith", "álvaro"]
)
def test_whom_hdfs_takes_for_a_user_is_one_and_keeps_the_name_in_paths(loopback, hdfs, name):
    loopback.says(told({"Path": f"/user/{name}"}), told({"FileStatus": file_status(89)}))

    assert hdfs.user() == name
    hdfs.status(f"/user/{name}/WORK/logs/x.log")

    assert unquote(loopback.asked[1].path).endswith(f"/webhdfs/v1/user/{name}/WORK/logs/x.log")


@pytest.mark.parametrize("body", [{}, {"Path": None}, {"Path": 7}])
def test_a_gateway_that_names_nobody_cannot_say(loopback, hdfs, body):
    loopback.says(told(body))

    with pytest.raises(GatewayUnavailable):
        hdfs.user()


def test_the_status_of_a_file_is_told(loopback, hdfs):
    loopback.says(told({"FileStatus": file_status(89)}))

    status = hdfs.status(LOG)

    assert (status.name, status.length, status.owner) == ("x.log", 89, "guest")
    assert not status.is_directory


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (remote(404, "FileNotFoundException"), PathNotFound),
        (remote(403, "AccessControlException"), AccessDenied),
        (remote(403, "StandbyException"), GatewayUnavailable),
        (remote(403, "SafeModeException"), GatewayUnavailable),
        (remote(400, "IllegalArgumentException"), RequestRefused),
        (remote(403, "FileAlreadyExistsException"), RequestRefused),
    ],
)
def test_errors_of_hdfs_are_sorted_by_their_exception(loopback, hdfs, reply, error):
    loopback.says(reply)

    with pytest.raises(error) as caught:
        hdfs.status(LOG)

    assert str(caught.value) == f"{LOG}: it went wrong"


def test_wrong_credentials_are_refused_by_hdfs_as_by_all(loopback, hdfs):
    loopback.says(Reply(401))

    with pytest.raises(CredentialsRefused):
        hdfs.status(LOG)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"FileStatus": {}}'])
def test_a_status_that_is_not_whole_is_an_outage(loopback, hdfs, body):
    loopback.says(Reply(200, body))

    with pytest.raises(GatewayUnavailable):
        hdfs.status(LOG)


@pytest.mark.parametrize("body", [b"[]", b'{"FileStatus": null}'])
def test_a_status_of_the_wrong_type_is_an_outage(loopback, hdfs, body):
    loopback.says(Reply(200, body))

    with pytest.raises(GatewayUnavailable):
        hdfs.status(LOG)


def test_a_file_is_read_whole(loopback, hdfs):
    loopback.says(told({"FileStatus": file_status(9)}), Reply(200, b"Container"))

    assert b"".join(hdfs.read(LOG)) == b"Container"


def test_fewer_bytes_than_the_file_has_are_an_outage(loopback, hdfs):
    loopback.says(told({"FileStatus": file_status(1000)}), Reply(200, b"Container"))
    stream = hdfs.read(LOG).pieces

    assert next(stream) == b"Container"
    with pytest.raises(GatewayUnavailable, match="9 bytes came of 1000"):
        next(stream)


def test_a_stream_that_breaks_off_is_an_outage(loopback, hdfs):
    loopback.says(told({"FileStatus": file_status(1000)}), Reply(200, b"Container", length=1000))

    with pytest.raises(GatewayUnavailable, match="broke off"):
        list(hdfs.read(LOG))


def test_a_part_of_a_file_is_asked_for_by_its_place(loopback, hdfs):
    loopback.says(Reply(200, b"tain"))

    assert b"".join(hdfs.read_range(LOG, 3, 4)) == b"tain"
    query = loopback.asked[0].query
    assert (query["op"], query["offset"], query["length"]) == ("OPEN", "3", "4")


def test_of_no_bytes_nobody_is_asked(loopback, hdfs):
    assert list(hdfs.read_range(LOG, 3, 0)) == []
    assert loopback.asked == []


def test_fewer_bytes_than_were_asked_for_are_an_outage(loopback, hdfs):
    loopback.says(Reply(200, b"tai"))

    with pytest.raises(GatewayUnavailable, match="3 bytes came of 4"):
        list(hdfs.read_range(LOG, 3, 4))


def test_a_file_that_may_not_be_read_is_refused_before_the_first_byte(loopback, hdfs):
    loopback.says(
        told({"FileStatus": file_status(9)}), remote(403, "AccessControlException", "denied")
    )

    with pytest.raises(AccessDenied, match="denied"):
        hdfs.read(LOG)


def test_a_file_is_written_in_two_steps_and_only_for_its_owner(loopback, hdfs, knox):
    there = f"{knox.url}/webhdfs/data/v1{LOG}?_=signed"
    loopback.says(Reply(307, headers={"Location": there}), Reply(201))

    hdfs.write(LOG, b"text")

    assert loopback.asked[0].query["permission"] == "600"
    assert loopback.asked[0].query["overwrite"].lower() == "true"
    assert loopback.asked[1].body == b"text"


def test_what_breaks_off_while_it_is_written_is_an_error_as_it_was(loopback, hdfs, knox):
    there = f"{knox.url}/webhdfs/data/v1{LOG}?_=signed"
    loopback.says(Reply(307, headers={"Location": there}), Reply(201))

    def pieces():
        yield b"half a "
        raise LogFileBroken("no more")

    with pytest.raises(LogFileBroken, match="no more"):
        hdfs.write_pieces(LOG, pieces())


def test_a_directory_that_is_not_empty_is_left_alone(loopback, hdfs):
    loopback.says(remote(403, "PathIsNotEmptyDirectoryException", "/x is non empty"))

    assert hdfs.delete_if_empty("/x") is False
    assert loopback.asked[0].query["recursive"].lower() == "false"


def test_a_file_is_not_written_to_another_host(loopback, other_server, hdfs):
    loopback.says(Reply(307, headers={"Location": f"{other_server.origin}/webhdfs/v1{LOG}"}))

    with pytest.raises(GatewayUnavailable):
        hdfs.write(LOG, b"text")

    assert other_server.asked == []


def test_a_rename_replaces_and_needs_no_body_in_the_answer(loopback, hdfs):
    loopback.says(Reply(200))

    hdfs.rename("/a", "/b")

    assert loopback.asked[0].query == {
        "op": "RENAME",
        "destination": "/b",
        "renameoptions": "OVERWRITE",
    }


def test_a_directory_that_was_not_made_is_a_refusal(loopback, hdfs):
    loopback.says(told({"boolean": False}))

    with pytest.raises(RequestRefused):
        hdfs.make_directory("/user/guest/WORK")


@pytest.mark.parametrize("was_there", [True, False])
def test_deleting_tells_whether_there_was_anything(loopback, hdfs, was_there):
    loopback.says(told({"boolean": was_there}))

    assert hdfs.delete("/user/guest/x") is was_there
    assert loopback.asked[0].query["op"] == "DELETE"
    assert loopback.asked[0].query["recursive"].lower() == "true"


def test_a_directory_tells_what_it_holds(loopback, hdfs):
    listed = [file_status(1, pathSuffix="localhost_8041"), file_status(2, pathSuffix="b.tmp")]
    loopback.says(told({"FileStatuses": {"FileStatus": listed}}))

    found = [(file.name, file.length) for file in hdfs.list("/app-logs/guest")]

    assert found == [("localhost_8041", 1), ("b.tmp", 2)]
