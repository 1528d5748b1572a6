from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from requests.auth import AuthBase

from tests.unit.loopback_server import Asked, Loopback, Reply
from tracker_service.doctor import routes
from tracker_service.errors import AccessDenied, GatewayError, GatewayUnavailable, RequestRefused
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import OnBehalf
from tracker_service.sources.direct import DirectRoute
from tracker_service.sources.gateway import AccessPool
from tracker_service.sources.nodes import RunningContainer, RunningLog

CHALLENGE = Reply(401, headers={"WWW-Authenticate": "Negotiate"})
TICKET = "Negotiate dGlja2V0"
SECRET = "delegation=IAAFZ3Vlc3Q"


class Ticket(AuthBase):
    """Answers a challenge as Kerberos would: without a KDC, so always with the same ticket."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.register_hook("response", self.answer)
        return request

    def answer(self, response: requests.Response, **named) -> requests.Response:
        if response.headers.get("WWW-Authenticate") != "Negotiate":
            return response
        response.request.headers["Authorization"] = TICKET
        again = response.connection.send(response.request, **named)
        again.history.append(response)
        return again


@dataclass
class Services:
    """A server in place of each service, and one that is none of them."""

    oozie: Loopback
    namenode: Loopback
    resource_manager: Loopback
    job_history: Loopback
    node: Loopback

    def direct(self, **more) -> DirectRoute:
        addresses = {
            "oozie": f"{self.oozie.origin}/oozie",
            "namenode": self.namenode.origin,
            "resource_manager": self.resource_manager.origin,
            "job_history": self.job_history.origin,
        }
        return DirectRoute(
            **addresses | more,
            principal="tracker/there.example.com@EXAMPLE.COM",
            keytab=Path("/etc/tracker/keytab"),
            login=Ticket,
            read_timeout_s=5,
        )

    def everybody(self) -> list[Loopback]:
        return list(vars(self).values())


@pytest.fixture
def services() -> Iterator[Services]:
    found = Services(*(Loopback() for _ in range(5)))
    yield found
    for server in found.everybody():
        server.close()


@pytest.fixture
def opened(services) -> Iterator[Callable[..., ClusterAccess]]:
    """Opens the cluster for a user, and closes all connections in the end."""
    kept = []

    def open_for(user: str = "guest", direct: DirectRoute | None = None) -> ClusterAccess:
        kept.append(ClusterAccess(direct or services.direct(), OnBehalf(user), 100))
        return kept[-1]

    yield open_for
    for access in kept:
        access.oozie._session.close()


@pytest.fixture
def guest(opened):
    """The session of guest."""
    return opened().oozie._session


def asked_for(server: Loopback) -> list[str]:
    return [asked.path for asked in server.asked]


def to_data_node(services: Services, path: str = "/webhdfs/v1/f") -> Reply:
    return Reply(307, headers={"Location": f"{services.node.origin}{path}?op=OPEN&{SECRET}"})


def remote(exception: str, message: str) -> bytes:
    return json.dumps({"RemoteException": {"exception": exception, "message": message}}).encode()


@pytest.mark.parametrize(
    ("path", "service", "there"),
    [
        ("oozie/v2/jobs", "oozie", "/oozie/v2/jobs"),
        ("webhdfs/v1/user/guest", "namenode", "/webhdfs/v1/user/guest"),
        ("resourcemanager/v1/cluster/apps", "resource_manager", "/ws/v1/cluster/apps"),
        ("jobhistory/ws/v1/history/info", "job_history", "/ws/v1/history/info"),
    ],
)
def test_each_path_leads_to_its_service_and_names_the_user(services, guest, path, service, there):
    server = getattr(services, service)
    server.says(Reply(200, b'{"a": 1}'))

    assert guest.ask("GET", path, params={"op": "LIST"}).json() == {"a": 1}

    [asked] = server.asked
    assert (asked.path, asked.query) == (there, {"op": "LIST", "doAs": "guest"})


def test_the_service_itself_acts_for_nobody(services, opened):
    services.oozie.says(Reply(200, b"{}"))

    opened("").oozie._session.ask("GET", "oozie/v2/jobs")

    assert services.oozie.asked[0].query == {}


def test_a_service_that_is_not_in_the_settings_is_not_reached(services, opened):
    without = opened(direct=services.direct(job_history=None)).oozie._session

    with pytest.raises(RequestRefused, match="jobhistory"):
        without.ask("GET", "jobhistory/ws/v1/history/info")


def test_the_service_logs_in_once_and_goes_on_with_the_cookie(services, guest):
    cookie = {"Set-Cookie": 'hadoop.auth="u=tracker&t=kerberos&s=x="; Path=/; HttpOnly'}
    services.oozie.says(CHALLENGE, Reply(200, b"{}", cookie), Reply(200, b"{}"))

    guest.ask("POST", "oozie/v2/jobs", data=b"<configuration/>")
    guest.ask("GET", "oozie/v2/jobs")

    first, second, third = services.oozie.asked
    assert "Authorization" not in first.headers
    assert second.headers["Authorization"] == TICKET
    assert second.body == b"<configuration/>"
    assert second.query == {"doAs": "guest"}
    assert "Authorization" not in third.headers
    assert third.headers["Cookie"] == 'hadoop.auth="u=tracker&t=kerberos&s=x="'


def test_each_user_has_cookies_of_their_own(services, opened):
    services.oozie.says(Reply(200, b"{}", {"Set-Cookie": "hadoop.auth=x; Path=/"}))
    pool = AccessPool(lambda credential: opened(credential.user).oozie._session)

    for user in ("guest", "sam", "guest"):
        pool.of(OnBehalf(user)).ask("GET", "oozie/v2/jobs")

    assert [asked.headers.get("Cookie") for asked in services.oozie.asked] == [
        None,
        None,
        "hadoop.auth=x",
    ]
    assert [asked.query["doAs"] for asked in services.oozie.asked] == ["guest", "sam", "guest"]


def with_a_cookie(services: Services, reply: Reply) -> list[Reply]:
    """What the NameNode says that first wants a login, and sets a cookie."""
    cookie = {"Set-Cookie": "hadoop.auth=x; Path=/"}
    return [CHALLENGE, Reply(reply.status, reply.body, reply.headers | cookie)]


def assert_bare(asked: Asked) -> None:
    """Nothing of the service came, and nothing of the user."""
    assert "Authorization" not in asked.headers
    assert "Cookie" not in asked.headers
    assert "doAs" not in asked.query
    assert asked.query["delegation"] == SECRET.partition("=")[2]


def test_a_file_is_read_from_the_data_node_with_nothing_but_its_url(services, opened):
    status = {
        "type": "FILE",
        "length": 3,
        "owner": "guest",
        "permission": "600",
        "modificationTime": 0,
    }
    services.namenode.says(
        CHALLENGE,
        Reply(200, json.dumps({"FileStatus": status}).encode(), {"Set-Cookie": "hadoop.auth=x"}),
        to_data_node(services),
    )
    services.node.says(Reply(200, b"log"))

    assert b"".join(opened().hdfs.read("/f")) == b"log"

    [asked] = services.node.asked
    assert_bare(asked)


@pytest.mark.parametrize("status", [200, 201])
def test_a_file_is_written_to_the_data_node_with_nothing_but_its_url(services, opened, status):
    services.namenode.says(*with_a_cookie(services, to_data_node(services)))
    services.node.says(Reply(status))

    opened().hdfs.write("/f", b"content")

    [asked] = services.node.asked
    assert_bare(asked)
    assert (asked.method, asked.body) == ("PUT", b"content")
    assert services.namenode.asked[-1].query["doAs"] == "guest"


def test_a_data_node_that_wants_a_login_gets_none(services, opened):
    services.namenode.says(to_data_node(services))
    services.node.says(CHALLENGE)

    with pytest.raises(GatewayUnavailable):
        opened().hdfs.head("/f", 10)

    assert len(services.node.asked) == 1


def test_what_another_service_sends_elsewhere_is_refused(services, guest):
    services.oozie.says(to_data_node(services))

    with pytest.raises(GatewayUnavailable, match=services.node.origin):
        guest.get("cluster:/oozie/v2/jobs")

    assert services.node.asked == []


def test_the_name_node_sends_to_files_only(services, opened):
    services.namenode.says(to_data_node(services, "/ws/v1/node/info"))

    with pytest.raises(GatewayUnavailable, match="none of those in the settings"):
        opened().hdfs.head("/f", 10)

    assert services.node.asked == []


def test_a_data_node_sends_nowhere(services, opened):
    services.namenode.says(to_data_node(services))
    services.node.says(Reply(307, headers={"Location": f"{services.oozie.origin}0/webhdfs/v1/f"}))

    with pytest.raises(GatewayUnavailable, match="none of those"):
        opened().hdfs.head("/f", 10)


def test_an_address_that_no_service_gave_is_refused_before_it_is_asked(services, guest):
    with pytest.raises(GatewayUnavailable):
        guest.get(f"{services.node.origin}/webhdfs/v1/f")

    assert services.node.asked == []


def test_an_address_holds_for_one_request(services, opened):
    services.namenode.says(to_data_node(services))
    access = opened()
    access.hdfs.head("/f", 10)

    with pytest.raises(GatewayUnavailable):
        access.oozie._session.get(f"{services.node.origin}/webhdfs/v1/f")


def test_the_log_of_a_container_is_read_off_its_node_manager(services, opened):
    port = services.node.origin.rpartition(":")[2]
    container = RunningContainer(id="c_1", node="n", scheme="http", host="127.0.0.1", port=port)
    services.node.says(CHALLENGE, Reply(200, b"<pre>a log</pre>"))

    pieces = opened().nodes.read(container, "guest", RunningLog("stdout", 5))

    assert b"".join(pieces) == b"a log"
    asked = services.node.asked[-1]
    assert asked.path == "/node/containerlogs/c_1/guest/stdout"
    assert asked.query == {"start": "0", "end": "5", "doAs": "guest"}
    assert asked.headers["Authorization"] == TICKET


def test_a_login_that_is_refused_is_an_outage_and_says_what_to_do(services, guest):
    services.oozie.says(CHALLENGE)

    with pytest.raises(GatewayUnavailable) as caught:
        guest.ask("GET", "oozie/v2/jobs")

    told = str(caught.value)
    assert f"{services.oozie.origin} does not take the login of tracker/there" in told
    assert all(word in told for word in ("gateway.keytab", "KDC", "clocks"))


def test_oozie_that_knows_no_proxy_user_names_the_setting(services, guest):
    told = {"oozie-error-code": "E1400", "oozie-error-message": "E1400: doAs (proxyuser) failure"}
    services.oozie.says(Reply(401, headers=told))

    with pytest.raises(
        AccessDenied, match=r"oozie\.service\.ProxyUserService\.proxyuser\.tracker\.hosts"
    ):
        guest.ask("GET", "oozie/v2/jobs")


@pytest.mark.parametrize(
    "message",
    [
        "User: tracker/there@EXAMPLE.COM is not allowed to impersonate guest",
        "Unauthorized connection for super-user: tracker from IP 127.0.0.1",
    ],
)
def test_hadoop_that_knows_no_proxy_user_names_the_setting(services, guest, message):
    services.namenode.says(Reply(403, remote("AuthorizationException", message)))

    with pytest.raises(AccessDenied, match=r"act for guest: set hadoop\.proxyuser\.tracker\.hosts"):
        guest.ask("GET", "webhdfs/v1/")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", remote("AccessControlException", "not you")])
def test_another_403_is_told_as_it_is(services, guest, body):
    services.namenode.says(Reply(403, body))

    assert guest.ask("GET", "webhdfs/v1/").status == 403


def test_a_401_of_oozie_about_a_job_is_not_about_the_login(services, guest):
    told = {"oozie-error-code": "E0508", "oozie-error-message": "E0508: not your job"}
    services.oozie.says(Reply(401, headers=told))

    with pytest.raises(AccessDenied, match="E0508: not your job"):
        guest.ask("GET", "oozie/v2/job/x").json()


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(401), Reply(200, b"log", length=1000), None], ids=str
)
def test_the_token_for_a_data_node_stands_in_no_error(services, opened, reply):
    services.namenode.says(to_data_node(services))
    services.node.says(reply or Reply())
    if reply is None:  # nobody there: its errors have the URL in them
        services.node.close()

    with pytest.raises(GatewayError) as caught:
        opened().hdfs.head("/f", 10)

    told = "".join(traceback.format_exception(caught.value))
    assert SECRET.partition("=")[2] not in told


def test_a_dead_service_holds_up_no_other(services, opened):
    services.oozie.close()
    services.namenode.says(Reply(200, b'{"Path": "/user/guest"}'))
    access = opened()

    for number in range(12):
        with suppress(GatewayUnavailable):
            access.oozie._session.ask("GET", f"oozie/v2/job/{number}")

    with pytest.raises(GatewayUnavailable, match=r"oozie .* did not answer 5 times in a row"):
        access.oozie._session.ask("GET", "oozie/v2/job/1")
    assert access.hdfs.user() == "guest"


def test_a_dead_node_holds_up_no_other(services, opened):
    services.node.close()
    access = opened()
    for number in range(12):
        services.namenode.says(to_data_node(services, f"/webhdfs/v1/{number}"))
        with suppress(GatewayUnavailable):
            access.hdfs.head(f"/{number}", 10)
    services.namenode.says(
        Reply(307, headers={"Location": f"{services.job_history.origin}/webhdfs/v1/f"})
    )
    services.job_history.says(Reply(200, b"log"))

    assert access.hdfs.head("/f", 10) == b"log"


def test_requests_are_counted_by_their_service(services, opened):
    seen = []
    direct = services.direct(on_request=lambda path, outcome, _: seen.append((path, outcome)))
    services.resource_manager.says(Reply(200, b"{}"))

    opened(direct=direct).oozie._session.ask("GET", "resourcemanager/v1/cluster/info")

    assert seen == [("resourcemanager/v1/cluster/info", "ok")]


def test_the_doctor_says_why_the_service_cannot_act_for_a_user(services, guest):
    services.namenode.says(Reply(403, remote("AuthorizationException", "not allowed")))

    [found] = routes.findings(guest)

    assert (found.check, found.level) == ("login", "FAIL")
    assert "set hadoop.proxyuser.tracker.hosts" in found.message
