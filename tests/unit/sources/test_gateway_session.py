from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.loopback_server import Reply
from tracker_service.errors import (
    AccessDenied,
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    RequestRefused,
)
from tracker_service.sources.credentials import BasicCredential, Credential, TokenCredential
from tracker_service.sources.gateway import AccessPool, Gateway, GatewaySession

PLACES = 32

HTML = b"<html><title>Error 500 java.io.IOException: Service connectivity error.</title></html>"
GUEST = "Basic Z3Vlc3Q6Z3Vlc3QtcGFzc3dvcmQ="


def test_a_json_object_is_an_answer(loopback, session):
    loopback.says(Reply(200, b'{"a": 1}'))

    assert session.ask("GET", "oozie/v2/jobs", params={"len": "1"}).json() == {"a": 1}
    assert loopback.asked[0].path == "/gateway/sandbox/oozie/v2/jobs"
    assert loopback.asked[0].query == {"len": "1"}
    assert loopback.asked[0].headers["Authorization"] == GUEST


def test_a_401_of_the_gateway_refuses_the_credentials(loopback, session):
    loopback.says(Reply(401, headers={"WWW-Authenticate": 'BASIC realm="application"'}))

    with pytest.raises(CredentialsRefused, match="guest"):
        session.ask("GET", "oozie/v2/jobs")


def connections_in_use(session) -> int:
    kept = session.get_adapter(session.gateway.url).poolmanager
    pool = kept.connection_from_url(session.gateway.url)
    return PLACES - pool.pool.qsize()


@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_each_answer_gives_its_connection_back(loopback, session, status):
    loopback.says(Reply(status, b"{}"))

    with suppress(GatewayError):
        session.ask("GET", "oozie/v2/jobs")

    assert connections_in_use(session) == 0


def test_a_401_of_oozie_says_nothing_about_the_credentials(loopback, session):
    told = {"oozie-error-code": "E0508", "oozie-error-message": "E0508: not your job"}
    loopback.says(Reply(401, headers=told))

    with pytest.raises(AccessDenied, match="E0508: not your job"):
        session.ask("GET", "oozie/v2/job/x").json()


def test_a_page_of_the_gateway_with_500_is_an_outage(loopback, session):
    loopback.says(Reply(500, HTML, {"Content-Type": "text/html"}))

    with pytest.raises(GatewayUnavailable, match="answered 500"):
        session.ask("GET", "oozie/v2/jobs")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>login</html>", b'{"total": 1, "workflows": [{"id"', b"[1, 2]", b"null", b"\xff"],
)
def test_a_200_without_a_json_object_is_an_outage(loopback, session, body):
    loopback.says(Reply(200, body))

    with pytest.raises(GatewayUnavailable, match=rf"{len(body)} bytes, no JSON"):
        session.ask("GET", "oozie/v2/jobs").json()


def test_a_body_that_breaks_off_is_an_outage(loopback, session):
    loopback.says(Reply(200, b'{"a": 1}', length=1000))

    with pytest.raises(GatewayUnavailable, match="broke off"):
        session.ask("GET", "oozie/v2/jobs")


def test_a_403_denies_access_with_the_words_of_hadoop(loopback, session):
    body = b'{"RemoteException": {"message": "Permission denied: user=sam\\n\\tat java.Stack"}}'
    loopback.says(Reply(403, body))

    with pytest.raises(AccessDenied) as caught:
        session.ask("GET", "webhdfs/v1/").json()

    assert str(caught.value) == "Permission denied: user=sam"


def test_another_refusal_is_not_to_be_repeated(loopback, session):
    loopback.says(Reply(400, headers={"oozie-error-message": "E0307: no workflow.xml"}))

    with pytest.raises(RequestRefused, match=r"E0307: no workflow\.xml"):
        session.ask("POST", "oozie/v2/jobs").json()


def test_a_redirect_to_another_host_is_refused_and_learns_no_password(
    loopback, other_server, session
):
    loopback.says(Reply(307, headers={"Location": f"{other_server.origin}/webhdfs"}))

    with pytest.raises(GatewayUnavailable, match=other_server.origin):
        session.get(f"{session.gateway.url}/webhdfs/v1/x")

    assert other_server.asked == []


def test_a_request_to_another_host_is_refused_before_it_is_sent(other_server, session):
    with pytest.raises(GatewayUnavailable):
        session.get(f"{other_server.origin}/gateway/sandbox")

    assert other_server.asked == []


def test_a_redirect_to_the_gateway_itself_is_followed_with_the_credentials(loopback, session):
    there = f"{session.gateway.url}/webhdfs/data/v1/x"
    loopback.says(Reply(307, headers={"Location": there}), Reply(200, b"log"))

    answer = session.get(f"{session.gateway.url}/webhdfs/v1/x")

    assert answer.content == b"log"
    assert loopback.asked[1].headers["Authorization"] == GUEST


def test_ask_takes_a_redirect_for_no_answer(loopback, other_server, session):
    loopback.says(Reply(302, headers={"Location": f"{other_server.origin}/login"}))

    with pytest.raises(GatewayUnavailable):
        session.ask("GET", "oozie/v2/jobs").json()

    assert other_server.asked == []


def test_a_get_is_tried_again_after_503(loopback, session):
    loopback.says(Reply(503), Reply(200, b"{}"))

    assert session.ask("GET", "oozie/v2/jobs").json() == {}
    assert len(loopback.asked) == 2


def test_a_get_is_not_tried_for_ever(loopback, session):
    loopback.says(Reply(503))

    with pytest.raises(GatewayUnavailable, match="503"):
        session.ask("GET", "oozie/v2/jobs")

    assert len(loopback.asked) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_changes_something_is_sent_once_only(loopback, session, method):
    loopback.says(Reply(503), Reply(200, b"{}"))

    with pytest.raises(GatewayUnavailable):
        session.ask(method, "oozie/v2/jobs", data=b"x")

    assert len(loopback.asked) == 1


def test_a_silent_gateway_is_an_outage_after_the_time_out(loopback):
    given_up = threading.Event()
    loopback.says(lambda _: Reply(200, b"{}") if given_up.wait(120) else Reply())
    impatient = Gateway(url=f"{loopback.origin}/gateway/sandbox", read_timeout_s=0.05)

    with impatient.session(BasicCredential("guest", "x")) as session:
        with pytest.raises(GatewayUnavailable, match="no answer in time"):
            session.ask("POST", "oozie/v2/jobs")
        given_up.set()


def test_nobody_there_is_an_outage():
    nowhere = Gateway(url="http://127.0.0.1:1/gateway/sandbox")

    with (
        nowhere.session(BasicCredential("guest", "x")) as session,
        pytest.raises(GatewayUnavailable, match="no connection"),
    ):
        session.ask("POST", "oozie/v2/jobs")


def test_netrc_is_ignored_and_no_proxy_is_asked_for_this_machine(
    loopback, other_server, session, tmp_path, monkeypatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login root password toor\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", other_server.origin)
    monkeypatch.setenv("no_proxy", "")
    loopback.says(Reply(200, b"{}"))

    session.ask("GET", "oozie/v2/jobs")

    assert loopback.asked[0].headers["Authorization"] == GUEST
    assert other_server.asked == []


def test_a_password_may_hold_any_character(loopback, knox):
    loopback.says(Reply(200, b"{}"))

    with knox.session(BasicCredential("guest", "pässwörd:€")) as session:
        session.ask("GET", "oozie/v2/jobs")

    assert loopback.asked[0].headers["Authorization"] == "Basic Z3Vlc3Q6cMOkc3N3w7ZyZDrigqw="


@pytest.mark.parametrize("reply", [Reply(401), Reply(500, HTML), Reply(200, b""), Reply(403)])
def test_a_password_stands_in_no_error(loopback, session, reply):
    loopback.says(reply)

    with pytest.raises(Exception) as caught:  # noqa: PT011 - of several kinds
        session.ask("GET", "oozie/v2/jobs").json()

    told = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert "guest-password" not in told
    assert GUEST.split()[1] not in told


def test_a_password_stands_in_no_representation():
    assert "secret" not in f"{BasicCredential('guest', 'secret')!r}"
    assert "secret" not in f"{BasicCredential('guest', 'secret')}"


def test_the_query_stands_in_no_error(loopback, session):
    loopback.says(Reply(500))

    with pytest.raises(GatewayUnavailable) as caught:
        session.ask("GET", "webhdfs/v1/x", params={"_": "signed-location"})

    assert "signed-location" not in str(caught.value)
    assert "webhdfs/v1/x" in str(caught.value)


@pytest.fixture
def pool(knox, open_session) -> AccessPool[GatewaySession]:
    return AccessPool(lambda credential: open_session(knox, credential))


def test_the_cookie_of_one_user_is_never_sent_for_another(loopback, pool):
    cookie = {"Set-Cookie": "KNOXSESSIONID=of-guest; Path=/"}
    loopback.says(Reply(200, b"{}", cookie), Reply(200, b"{}"))
    guest, sam = BasicCredential("guest", "a"), BasicCredential("sam", "b")

    for credential in (guest, sam, guest):
        pool.of(credential).ask("GET", "oozie/v2/jobs")

    assert [asked.headers.get("Cookie") for asked in loopback.asked] == [
        None,
        None,
        "KNOXSESSIONID=of-guest",
    ]


def test_a_wrong_password_never_meets_the_session_of_the_right_one(loopback, pool):
    cookie = {"Set-Cookie": "KNOXSESSIONID=of-guest; Path=/"}
    loopback.says(Reply(200, b"{}", cookie), Reply(401))
    pool.of(BasicCredential("guest", "right")).ask("GET", "oozie/v2/jobs")

    with pytest.raises(CredentialsRefused):
        pool.of(BasicCredential("guest", "wrong")).ask("GET", "oozie/v2/jobs")

    assert "Cookie" not in loopback.asked[1].headers


def test_the_same_credential_meets_its_own_session_again(pool):
    assert pool.of(BasicCredential("guest", "x")) is pool.of(BasicCredential("guest", "x"))


def test_a_forgotten_session_takes_its_cookie_with_it(pool):
    guest = BasicCredential("guest", "x")
    before = pool.of(guest)

    pool.forget(guest)

    assert pool.of(guest) is not before


def test_only_the_sessions_used_last_are_kept():
    opened: list[Credential] = []

    def access(credential: Credential) -> int:
        opened.append(credential)
        return len(opened)

    pool = AccessPool(access)
    first = BasicCredential("user0", "x")

    for number in range(1001):
        pool.of(BasicCredential(f"user{number}", "x"))
        pool.of(first)
    for number in range(1001):
        pool.of(BasicCredential(f"user{number}", "x"))

    assert opened.count(first) == 1
    assert len(opened) > 1001


@pytest.mark.parametrize(
    ("ca_file", "verify", "trusted"),
    [
        (None, True, True),
        (Path("knox.pem"), True, "knox.pem"),
        (None, False, False),
        (Path("knox.pem"), False, False),
    ],
)
def test_a_certificate_is_verified_unless_somebody_says_otherwise(
    open_session, ca_file, verify, trusted
):
    knox = Gateway(url="https://knox/gateway/sandbox", ca_file=ca_file, verify=verify)

    assert open_session(knox, BasicCredential("guest", "pw")).verify == trusted


def test_a_token_goes_to_the_topology_that_takes_tokens(loopback, open_session, knox):
    loopback.says(Reply(200, b"{}"))
    knox = replace(knox, token_url=knox.url.replace("/sandbox", "/tokens"))

    open_session(knox, TokenCredential("guest", "a.b.c")).ask("GET", "oozie/v2/jobs")

    assert loopback.asked[0].path == "/gateway/tokens/oozie/v2/jobs"
    assert loopback.asked[0].headers["Authorization"] == "Bearer a.b.c"
