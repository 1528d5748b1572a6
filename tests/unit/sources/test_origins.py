"""Redirects of the gateway: its own address may be written in more than one way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from requests.auth import AuthBase

from tests.unit.loopback_server import Reply
from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.direct import DirectRoute
from tracker_service.sources.gateway import Gateway
from tracker_service.sources.nodes import running_container
from tracker_service.sources.webhdfs import WebHdfs

GUEST = BasicCredential("guest", "guest-password")


def own(loopback, written: str) -> str:
    """Return an address of the loopback server, written in some way."""
    return written.format(port=loopback.origin.rpartition(":")[2])


WRITTEN = [
    "http://LocalHost:{port}",
    "HTTP://localhost:{port}",
    "http://localhost.:{port}",
    "http://someone@localhost:{port}",
    "//localhost:{port}",
    "",
]


@pytest.fixture
def named(loopback, knox) -> Gateway:
    """The loopback server as a topology with a name in its URL."""
    return replace(knox, url=own(loopback, "http://localhost:{port}/gateway/sandbox"))


@pytest.mark.parametrize("written", WRITTEN)
def test_a_file_is_read_and_written_wherever_the_gateway_says_that_it_is_itself(
    loopback, open_session, named, written
):
    there = own(loopback, written) + "/gateway/sandbox/webhdfs/data/v1/f?_=AAA"
    session = open_session(named, GUEST)
    loopback.says(
        Reply(307, headers={"Location": there}),
        Reply(201),
        Reply(307, headers={"Location": there}),
        Reply(200, b"log"),
    )

    WebHdfs(session).write("/f", b"log")
    assert WebHdfs(session).head("/f", 3) == b"log"

    data = [asked for asked in loopback.asked if "/data/" in asked.path]
    assert [asked.query for asked in data] == [{"_": "AAA"}] * 2
    assert all(asked.headers["Authorization"].startswith("Basic ") for asked in data)


def test_the_default_port_may_be_left_out_or_written(open_session):
    bare = open_session(Gateway(url="https://knox/gateway/sandbox"), GUEST)
    written = open_session(Gateway(url="https://knox:443/gateway/sandbox"), GUEST)

    bare._refuse_foreign("https://knox:443/gateway/sandbox/webhdfs/data/v1/f")
    written._refuse_foreign("https://KNOX/gateway/sandbox/webhdfs/data/v1/f")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://knox:8443/gateway/sandbox",
        "http://knox/gateway/sandbox",
        "https://knox.example.com/gateway/sandbox",
        "https://knox:443@elsewhere/gateway/sandbox",
        "https://[::1]/gateway/sandbox",
        "https:///gateway/sandbox",
    ],
)
def test_what_is_truly_elsewhere_stays_refused(open_session, elsewhere):
    session = open_session(Gateway(url="https://knox/gateway/sandbox"), GUEST)

    with pytest.raises(GatewayUnavailable, match="not the gateway itself"):
        session._refuse_foreign(elsewhere)


def test_the_services_of_a_cluster_are_known_however_their_addresses_are_written():
    direct = DirectRoute(
        oozie="https://Oozie.Example.COM:443/oozie",
        namenode="http://[0:0:0:0:0:0:0:1]:9870",
        resource_manager="http://rm.example.com:80",
        principal="tracker@EXAMPLE.COM",
        keytab=Path("/etc/tracker/keytab"),
        login=AuthBase,
    )

    assert direct.path_of("https://oozie.example.com/oozie/v2/jobs") == "oozie/v2/jobs"
    assert direct.path_of("http://[::1]:9870/webhdfs/v1/f") == "webhdfs/v1/f"
    assert direct.path_of("http://RM.example.com/ws/v1") == "resourcemanager/v1"
    assert direct.path_of("http://rm.example.com:8088/ws/v1") == "rm.example.com:8088/ws/v1"


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
def test_a_node_manager_at_the_default_port_needs_no_port_in_its_address(scheme, port):
    container = running_container("container_1", "n:8041", f"{scheme}://n/node/containerlogs/c/u")

    assert (container.host, container.port) == ("n", port)
