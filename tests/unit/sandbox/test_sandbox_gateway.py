from __future__ import annotations

import pytest
import requests
from werkzeug.test import Client

from tracker_service.sandbox.server import SandboxServer, start_text

VERSIONS = "/gateway/sandbox/oozie/versions"


@pytest.mark.parametrize("auth", [None, ("guest", "wrong"), ("nobody", "nobody-password")])
def test_wrong_credentials_are_refused_with_an_empty_body(gateway, auth):
    answer = Client(gateway).get(VERSIONS, auth=auth)

    assert (answer.status_code, answer.data) == (401, b"")
    assert answer.headers["WWW-Authenticate"] == 'BASIC realm="application"'


def test_the_session_cookie_wins_over_the_credentials(gateway):
    client = Client(gateway)
    client.get(VERSIONS, auth=("guest", "guest-password"))

    home = client.get(
        "/gateway/sandbox/webhdfs/v1/?op=GETHOMEDIRECTORY", auth=("sam", "sam-password")
    )

    assert home.json == {"Path": "/user/guest"}


def test_a_name_in_other_case_is_another_hadoop_user(guest):
    guest.user = "GUEST"

    assert guest.hdfs("/", "GETHOMEDIRECTORY").json == {"Path": "/user/GUEST"}


def test_an_unknown_topology_is_not_found_before_authentication(gateway):
    assert Client(gateway).get("/gateway/other/oozie/versions").status_code == 404


def test_an_unknown_service_is_not_found_after_authentication(gateway, guest):
    assert Client(gateway).get("/gateway/sandbox/other").status_code == 401
    assert guest.ask("other").status_code == 404


def test_dots_decide_the_service(guest):
    assert guest.ask("webhdfs/v1/../../oozie/versions").json == [0, 1, 2]


def test_a_service_that_is_down_gives_the_gateways_page(gateway, guest):
    gateway.down.add("oozie")

    answer = guest.ask("oozie/versions")

    assert answer.status_code == 500
    assert "Service connectivity error" in answer.text
    assert guest.hdfs("/", "LISTSTATUS").status_code == 200


def test_a_request_of_more_than_8_kilobytes_is_refused(guest):
    assert guest.ask("oozie/v2/jobs?filter=" + "a" * 9000).status_code == 414


def test_requests_are_remembered(gateway, guest):
    guest.ask("oozie/v2/job/nonsense?show=info")

    (seen,) = gateway.requests

    assert (seen.method, seen.service, seen.user, seen.status) == ("GET", "oozie", "guest", 400)
    assert (seen.path, seen.query) == ("/gateway/sandbox/oozie/v2/job/nonsense", "show=info")


def test_a_server_keeps_connections_and_takes_chunked_bodies():
    with SandboxServer() as sandbox, requests.Session() as session:
        session.auth = ("guest", "guest-password")
        url = f"{sandbox.url}/webhdfs/v1/user/guest/f"
        first = session.put(url, params={"op": "CREATE"}, allow_redirects=False)
        location = first.headers["Location"]

        written = session.put(
            location,
            data=iter([b"chunk ", b"by chunk"]),
            headers={"Content-Type": "application/octet-stream"},
        )
        read = session.get(url, params={"op": "OPEN"})

        assert written.status_code == 201
        assert (read.content, read.headers["Transfer-Encoding"]) == (b"chunk by chunk", "chunked")
        assert [seen.status for seen in sandbox.requests] == [307, 201, 307, 200]


def test_the_front_page_and_the_start_text_list_the_ready_made_jobs():
    with SandboxServer() as sandbox:
        page = requests.get(sandbox.root_url).text

        assert [line.split(maxsplit=1) for line in page.splitlines()] == [
            list(entry) for entry in sandbox.cluster.listing()
        ]
        assert page in start_text(sandbox)
        assert sandbox.url in start_text(sandbox)
