from __future__ import annotations

import json
from html import escape

import pytest

from tests.unit.fakes import APP_1
from tests.unit.loopback_server import Asked, Reply
from tracker_service.archive.reading.live import Chosen, live_log
from tracker_service.errors import (
    ApplicationNotFound,
    GatewayUnavailable,
    NotAllowed,
    NotRunning,
    RouteClosed,
)
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.nodes import running_container

ATTEMPTS = f"resourcemanager/v1/cluster/apps/{APP_1}/appattempts"
PAGES = "yarn/nodemanager/node/containerlogs"
ALL = Chosen()


class Cluster:
    """YARN and its NodeManagers behind the gateway, with an application that runs."""

    def __init__(self) -> None:
        self.application = {"user": "guest", "state": "RUNNING"}
        self.containers = [container(1)]
        self.logs: dict[str, dict[str, bytes]] = {"c1": {"stderr": b"oh\n", "stdout": b"<a> & b\n"}}
        self.replies: dict[str, Reply] = {}  #: in place of what would be said at a path

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path.split("/gateway/sandbox/")[-1].strip("/")
        if path in self.replies:
            return self.replies[path]
        if path.startswith(PAGES):
            return self.page(asked, *path.removeprefix(PAGES).strip("/").split("/"))
        if path == ATTEMPTS:
            ended = {"appAttemptId": "old", "finishedTime": 5}
            return told({"appAttempts": {"appAttempt": [ended, {"appAttemptId": "new"}]}})
        if path == f"{ATTEMPTS}/new/containers":
            return told({"container": self.containers})
        if path == f"resourcemanager/v1/cluster/apps/{APP_1}":
            return told({"app": self.application})
        return Reply(404)

    def page(self, asked: Asked, name: str, user: str, log: str = "") -> Reply:
        assert (user, asked.query["host"], asked.query["port"]) == ("guest", "node1", "8042")
        if not log:
            links = (
                f'<p>\n <a href="x">{escape(each)} : Total file length is {len(data)} bytes.</a>'
                for each, data in self.logs[name].items()
            )
            return html("\n".join(links))
        start, end = int(asked.query["start"]), int(asked.query["end"])
        return html(f"<pre>{escape(self.logs[name][log][start:end].decode())}</pre>")


def container(number: int, **more) -> dict[str, str]:
    return {
        "containerId": f"c{number}",
        "assignedNodeId": "node1:8041",
        "logUrl": f"http://node1:8042/node/containerlogs/c{number}/guest",
        "containerState": "RUNNING",
        **more,
    }


def told(value: object) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def html(content: str) -> Reply:
    page = f"<html><style>p</style><td class='content'>{content}</td></html>"
    return Reply(200, page.encode(), {"Content-Type": "text/html;charset=utf-8"})


@pytest.fixture
def cluster(loopback) -> Cluster:
    cluster = Cluster()
    loopback.says(cluster)
    return cluster


@pytest.fixture
def access(knox, cluster):
    return ClusterAccess(knox, BasicCredential("guest", "guest-password"), 100)


def read(access: ClusterAccess, chosen: Chosen = ALL, caller: str = "guest") -> str:
    return b"".join(live_log(access, caller, APP_1, chosen)).decode()


def test_the_owner_reads_what_the_containers_have_written_until_now(access):
    assert read(access) == (
        "Container: c1 on node1_8041\n"
        "LogAggregationType: LOCAL\n"
        "===========================\n"
        "LogType:stderr\n"
        "LogLastModifiedTime:N/A\n"
        "LogLength:3\n"
        "LogContents:\n"
        "oh\n"
        "\n"
        "End of LogType:stderr\n"
        f"{'*' * 71}\n"
        "\n"
        "Container: c1 on node1_8041\n"
        "LogAggregationType: LOCAL\n"
        "===========================\n"
        "LogType:stdout\n"
        "LogLastModifiedTime:N/A\n"
        "LogLength:8\n"
        "LogContents:\n"
        "<a> & b\n"
        "\n"
        "End of LogType:stdout\n"
        f"{'*' * 71}\n"
        "\n"
    )


@pytest.mark.parametrize("caller", ["sam", "GUEST", ""])
def test_nobody_else_does_and_no_node_is_asked(access, loopback, caller):
    with pytest.raises(NotAllowed, match="belongs to guest"):
        read(access, caller=caller)

    assert len(loopback.asked) == 1


@pytest.mark.parametrize("state", ["FINISHED", "FAILED", "KILLED"])
def test_an_application_that_has_ended_has_a_saved_log(access, cluster, state):
    cluster.application["state"] = state

    with pytest.raises(NotRunning, match=rf"has ended \({state}\): read its saved log"):
        read(access)


def test_an_application_that_yarn_does_not_know_is_not_found(access, cluster):
    cluster.replies[f"resourcemanager/v1/cluster/apps/{APP_1}"] = Reply(404)

    with pytest.raises(ApplicationNotFound):
        read(access)


@pytest.mark.parametrize("answer", [told({}), told({"container": None}), Reply(404)])
def test_an_application_without_a_container_yet_says_so(access, cluster, answer):
    cluster.application["state"] = "ACCEPTED"
    cluster.replies[f"{ATTEMPTS}/new/containers"] = answer

    with pytest.raises(NotRunning, match=r"no container now \(it is ACCEPTED\): ask again"):
        read(access)


@pytest.mark.parametrize(
    "answer",
    [
        told({"container": container(1)}),
        told({"containers": {"container": [container(1)]}}),
        told({"container": [container(2, containerState="COMPLETE"), container(1)]}),
    ],
)
def test_containers_are_found_however_yarn_lists_them(access, cluster, answer):
    cluster.replies[f"{ATTEMPTS}/new/containers"] = answer

    text = read(access)

    assert "Container: c1 on" in text
    assert "Container: c2 on" not in text


def test_an_earlier_attempt_that_has_ended_is_not_asked_about(access, cluster):
    cluster.replies[f"{ATTEMPTS}/old/containers"] = told({"container": container(9)})

    assert "c9" not in read(access)


def test_only_what_was_chosen_is_read(access, cluster):
    cluster.containers.append(container(2))
    cluster.logs["c2"] = {"stdout": b"two\n", "syslog": b"noise\n"}

    text = read(access, Chosen(container="c2", file="stdout"))

    assert text.count("LogContents:\n") == 1
    assert "LogContents:\ntwo\n" in text


def test_a_container_that_does_not_run_is_named(access):
    with pytest.raises(NotRunning, match="no container c7 now"):
        read(access, Chosen(container="c7"))


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_site_that_does_not_allow_it_says_what_it_needs(access, cluster, status):
    cluster.replies[f"{PAGES}/c1/guest"] = Reply(status)

    with pytest.raises(RouteClosed, match=f"answers {status}.*YARNUI.*node1:8042"):
        read(access)


def test_a_gateway_that_hides_where_containers_run_is_closed_too(access, cluster):
    cluster.containers = [container(1, logUrl="")]

    with pytest.raises(RouteClosed, match="does not tell which NodeManager runs c1"):
        read(access)


def test_a_container_that_ends_just_now_leads_nobody_behind_the_gateway(access, cluster, loopback):
    inner = {"Location": f"{loopback.origin}/jobhistory/logs"}
    cluster.replies[f"{PAGES}/c1/guest"] = Reply(307, headers=inner)

    with pytest.raises(GatewayUnavailable, match="c1 has ended"):
        read(access)

    assert not any("jobhistory" in asked.path for asked in loopback.asked)


def test_a_node_that_fails_takes_only_its_own_containers_away(access, cluster):
    cluster.containers = [container(1), container(2), container(3)]
    cluster.logs["c3"] = {"stdout": b"three\n"}
    cluster.replies[f"{PAGES}/c2/guest"] = Reply(500)

    text = read(access)

    assert "\nNo log of container c2: GET yarn/nodemanager" in text
    assert "three\n" in text


def test_a_log_that_breaks_off_says_so_in_its_place(access, cluster):
    cluster.replies[f"{PAGES}/c1/guest/stderr"] = html("<pre>only ha")

    text = read(access)

    assert "only ha" in text
    assert "No more of this log: c1: the page broke off" in text
    assert "LogType:stdout" in text


def test_a_log_that_is_gone_says_what_the_node_says(access, cluster):
    reason = "<h1>\n  java.lang.Exception: Cannot find this log.\n</h1>"
    cluster.replies[f"{PAGES}/c1/guest/stderr"] = html(reason)

    assert "No more of this log: c1: java.lang.Exception: Cannot find this log." in read(access)


def test_a_list_that_is_none_says_what_the_node_says(access, cluster):
    cluster.replies[f"{PAGES}/c1/guest"] = html("<h1>User [guest] is not authorized</h1>")

    with pytest.raises(GatewayUnavailable, match=r"User \[guest\] is not authorized"):
        read(access)


def test_no_entity_and_no_letter_is_cut_at_the_borders_of_pieces(access, cluster):
    text = "".join(f"{n} <é & \"'日本'\"> &amp; \n" for n in range(20_000)) + "日" * 100_000
    cluster.logs["c1"] = {"stdout": text.encode()}

    assert f"LogContents:\n{text}\nEnd of LogType:stdout" in read(access)


def test_what_the_container_writes_meanwhile_is_not_waited_for(access, cluster):
    listed = '<a href="x">stdout : Total file length is 2 bytes.</a>'
    cluster.replies[f"{PAGES}/c1/guest"] = html(listed)

    assert "LogLength:2\nLogContents:\n<a\nEnd of" in read(access)


def test_an_answer_that_nobody_reads_on_is_let_go(access, cluster):
    opened = live_log(access, "guest", APP_1, ALL)

    opened.close()

    assert list(opened) == []


def test_the_address_of_a_node_is_read_from_what_the_gateway_makes_of_it():
    url = "https://knox:8443/gateway/x/yarn/nodemanager/node/containerlogs/c1/guest?scheme=https"

    found = running_container("c1", "node1:8041", f"{url}&host=node1&port=8044")

    assert (found.scheme, found.host, found.port) == ("https", "node1", "8044")


def test_what_the_reader_has_is_not_asked_of_the_node_again(access, cluster, loopback):
    cluster.logs["c1"]["stdout"] += b"more\n"

    text = read(access, Chosen(seen={("c1", "stderr"): 3, ("c1", "stdout"): 8}))

    assert "LogType:stderr" not in text
    assert "LogType:stdout\nLogLastModifiedTime:N/A\nLogLength:5\nLogContents:\nmore\n" in text
    assert [asked.query.get("start") for asked in loopback.asked if "end" in asked.query] == ["8"]
