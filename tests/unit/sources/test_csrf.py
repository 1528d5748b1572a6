"""The header that filters against forged requests (CSRF) want of every client."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl
from requests.auth import AuthBase

from tests.unit.loopback_server import Asked, Reply
from tracker_service.domain.jobs import JobId
from tracker_service.errors import GatewayError
from tracker_service.settings import GatewaySettings, Settings
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential, OnBehalf
from tracker_service.sources.direct import DirectRoute
from tracker_service.sources.route import cluster_route

GUEST = BasicCredential("guest", "guest-password")
JOB = JobId("0000001-261122041514971-oozie-prod-W")
HADOOP = b"<html><title>Error 400 Missing Required Header for CSRF Vulnerability Protection</title>"


def reached_at(url: str, **more: Any) -> GatewaySettings:
    return GatewaySettings(url=HttpUrl(url), **more)


def has_header(asked: Asked, name: str = "X-XSRF-HEADER") -> bool:
    return name.lower() in {key.lower() for key in asked.headers}


def use_all(access: ClusterAccess) -> None:
    access.hdfs.user()
    access.hdfs.write("/f", b"x")
    access.hdfs.write_pieces("/f", [b"x"])
    access.hdfs.delete("/f")
    access.oozie.kill(JOB)


@pytest.fixture
def gateway(loopback, knox):
    def answer(asked: Asked) -> Reply:
        if asked.query.get("op") == "CREATE":
            return Reply(307, headers={"Location": f"{knox.url}/webhdfs/data/v1/f?_=AAA"})
        return Reply(200, b'{"Path": "/user/guest", "boolean": true}')

    loopback.says(answer)
    return knox


def test_the_header_goes_with_every_request(loopback, gateway):
    use_all(ClusterAccess(gateway, GUEST, 100))

    assert len(loopback.asked) == 7
    assert all(has_header(asked) for asked in loopback.asked)


def test_its_name_is_a_setting(loopback, gateway):
    settings = Settings(gateway=reached_at(gateway.url, csrf_header="X-Requested-By"))

    use_all(ClusterAccess(cluster_route(settings), GUEST, 100))

    assert all(has_header(asked, "X-Requested-By") for asked in loopback.asked)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "ä"])
def test_a_name_that_no_header_can_have_is_refused(name):
    with pytest.raises(ValueError, match="csrf_header"):
        reached_at("http://knox/gateway/x", csrf_header=name)


def test_the_header_goes_to_services_and_data_nodes_without_a_gateway(loopback, other_server):
    there = f"{other_server.origin}/webhdfs/v1/f?op=CREATE&delegation=x"
    loopback.says(
        lambda asked: (
            Reply(307, headers={"Location": there})
            if asked.query.get("op") in ("CREATE", "OPEN")
            else Reply(200, b'{"Path": "/user/guest", "boolean": true}')
        )
    )
    other_server.says(Reply(201, b"x"))
    direct = DirectRoute(
        oozie=f"{loopback.origin}/oozie",
        namenode=loopback.origin,
        resource_manager=loopback.origin,
        principal="tracker@EXAMPLE.COM",
        keytab=Path("/etc/tracker/keytab"),
        login=_NoLogin,
    )
    access = ClusterAccess(direct, OnBehalf("guest"), 100)

    use_all(access)
    access.hdfs.head("/f", 1)

    assert len(other_server.asked) == 3
    assert all(has_header(asked) for asked in loopback.asked + other_server.asked)
    assert not any(has_header(asked, "Authorization") for asked in other_server.asked)


class _NoLogin(AuthBase):
    def __call__(self, request):
        return request


@pytest.mark.parametrize(
    "body", [b"", HADOOP, b"Missing Required Header for Vulnerability Protection"]
)
def test_a_filter_that_wants_another_header_is_named_with_the_setting(
    loopback, session, knox, body
):
    loopback.says(Reply(400, body))
    access = ClusterAccess(replace(knox), GUEST, 100)

    for ask in (lambda: access.hdfs.make_directory("/d"), lambda: access.oozie.submit(b"")):
        with pytest.raises(GatewayError, match=r"gateway\.csrf_header"):
            ask()


def test_another_400_names_no_filter(loopback, knox):
    loopback.says(Reply(400, headers={"oozie-error-message": "E0307: no workflow.xml"}))

    with pytest.raises(GatewayError) as caught:
        ClusterAccess(knox, GUEST, 100).oozie.submit(b"")

    assert "csrf" not in str(caught.value)
