from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network

import pytest

from tests.unit.fakes import NOW, job
from tests.unit.loopback_server import Asked, Reply
from tests.unit.tls import Authority, secure, tls_loopback
from tracker_service.domain.events import Event, KeptEvent
from tracker_service.errors import ConfigError
from tracker_service.sinks import web
from tracker_service.sinks.reach import NotReachable, Reach
from tracker_service.sinks.sink import Message, Others, Outcome, Result
from tracker_service.sinks.web import WebReceiver
from tracker_service.sinks.webhook import Webhook, secret_key

ANYWHERE = Reach(is_everywhere=True)
SECRET, OTHER = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))
BASE = "https://tracker.example.com"


def message(number: int = 1, **values) -> Message:
    data = {"id": job(number), "links": {"job": f"/api/job/{job(number)}"}}
    event = Event(
        type="tracker.job.failed", subject=job(number), time=NOW, owner="guest", data=data
    )
    return Message(kept=KeptEvent(sequence=number, event=event), **values)


def webhook(url: str, *secrets: str, reach: Reach = ANYWHERE) -> Webhook:
    return Webhook(WebReceiver(url, reach), secrets, BASE)


def sent(sink: Webhook, *messages: Message) -> list[Outcome]:
    try:
        return list(sink.deliver(messages or [message()]))
    finally:
        sink.close()


def is_signed(asked: Asked, signature: str, secret: str) -> bool:
    """Verify as the specification of Standard Webhooks tells receivers to."""
    names = {name.lower(): value for name, value in asked.headers.items()}
    text = f"{names['webhook-id']}.{names['webhook-timestamp']}.".encode() + asked.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return signature == f"v1,{wanted}"


def test_an_event_is_one_cloud_event_in_structured_mode(loopback):
    loopback.says(Reply(204))
    told = message(others=Others(count=14, since="2026-11-22T02:10:00Z"), mute_path="/api/mute/x")

    [outcome] = sent(webhook(f"{loopback.origin}/hook?key=1"), told)

    [asked] = loopback.asked
    body = json.loads(asked.body)
    assert outcome.result == Result.DELIVERED
    assert (asked.method, asked.path, asked.query) == ("POST", "/hook", {"key": "1"})
    assert asked.headers["Content-Type"] == "application/cloudevents+json"
    assert body["specversion"] == "1.0"
    assert body["id"] == told.kept.event.id == asked.headers["webhook-id"]
    assert (body["source"], body["time"]) == (BASE, "2026-11-22T05:00:00.000Z")
    assert body["data"]["links"] == {
        "job": f"{BASE}/api/job/{job(1)}",
        "mute": f"{BASE}/api/mute/x",
    }
    assert body["data"]["and-others"] == {"count": 14, "since": "2026-11-22T02:10:00Z"}


def test_each_request_is_signed_with_each_secret(loopback):
    sent(webhook(loopback.origin, SECRET, OTHER))

    [asked] = loopback.asked
    first, second = asked.headers["webhook-signature"].split(" ")
    assert is_signed(asked, first, SECRET)
    assert is_signed(asked, second, OTHER)
    assert not is_signed(asked, first, OTHER)


@pytest.mark.parametrize(
    "wrong", ["", "whsec_", "whsec_short", "not base64!", "whsec_" + "A" * 200]
)
def test_a_secret_of_another_form_is_refused_with_the_remedy(wrong):
    with pytest.raises(ConfigError, match="openssl rand"):
        secret_key(wrong)


@pytest.mark.parametrize(
    ("status", "result", "is_outage"),
    [
        (200, Result.DELIVERED, False),
        (301, Result.REFUSED, False),
        (400, Result.REFUSED, False),
        (401, Result.TRY_AGAIN, True),
        (404, Result.TRY_AGAIN, True),
        (410, Result.REFUSED, False),
        (413, Result.REFUSED, False),
        (429, Result.TRY_AGAIN, True),
        (500, Result.TRY_AGAIN, False),
        (503, Result.TRY_AGAIN, True),
    ],
)
def test_what_a_receiver_answers_decides_what_becomes_of_a_message(
    loopback, status, result, is_outage
):
    loopback.says(Reply(status, b"its reason"))

    [outcome] = sent(webhook(loopback.origin))

    assert (outcome.result, outcome.is_outage) == (result, is_outage)
    assert str(status) in outcome.answer
    assert "its reason" in outcome.answer


def test_the_time_to_wait_is_read_in_both_forms(loopback):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    loopback.says(
        Reply(429, headers={"Retry-After": "17"}),
        Reply(429, headers={"Retry-After": later}),
        Reply(429, headers={"Retry-After": "soon"}),
    )
    pauses = [sent(webhook(loopback.origin))[0].retry_after_s for _ in range(3)]

    assert pauses[0] == 17
    assert pauses[1] is not None
    assert 60 < pauses[1] <= 90
    assert pauses[2] is None


def test_nothing_is_sent_after_a_message_that_has_to_be_sent_again(loopback):
    loopback.says(Reply(200), Reply(500), Reply(200))

    outcomes = sent(webhook(loopback.origin), message(1), message(2), message(3))

    assert [outcome.result for outcome in outcomes] == [Result.DELIVERED, Result.TRY_AGAIN]
    assert len(loopback.asked) == 2


def test_redirects_are_not_followed(loopback, other_server):
    loopback.says(Reply(307, headers={"Location": f"{other_server.origin}/secret"}))

    [outcome] = sent(webhook(loopback.origin))

    assert outcome.result == Result.REFUSED
    assert "redirects are not followed" in outcome.answer
    assert other_server.asked == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid/x"])
def test_a_receiver_that_is_not_there_is_asked_again_later(url):
    [outcome] = sent(webhook(url))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert len(outcome.answer) > 10


def test_a_host_that_nobody_knows_is_named_with_the_reason():
    [outcome] = sent(webhook("http://no-such-host.invalid/x"))

    assert outcome.answer.startswith("no-such-host.invalid: ")
    assert "Name or service not known" in outcome.answer


@pytest.fixture(params=[b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\nbegin of a body"])
def endless(request) -> Iterator[str]:
    """A receiver that begins an answer, and sends the rest so slowly that it never ends."""
    over = threading.Event()

    def answer() -> None:
        with server.accept()[0] as connection, suppress(OSError):
            connection.sendall(request.param)
            while request.param and not over.wait(0.05):
                connection.sendall(b"x")
            over.wait()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"
        over.set()
        thread.join()


def test_a_receiver_whose_answer_never_ends_is_asked_again_later(endless, monkeypatch):
    monkeypatch.setattr(web, "_LONGEST_S", 0.3)

    [outcome] = sent(webhook(endless))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert outcome.answer.startswith("127.0.0.1: Read timed out")


def test_a_certificate_has_to_be_valid_for_the_host(tmp_path):
    authority = Authority(tmp_path)
    with tls_loopback(authority.certificate()) as server:
        known = WebReceiver(secure(server), ANYWHERE, authority.file)
        assert sent(Webhook(known, (), BASE))[0].result == Result.DELIVERED
        [outcome] = sent(webhook(secure(server)))
        assert (outcome.result, "certificate" in outcome.answer) == (Result.TRY_AGAIN, True)
    with tls_loopback(authority.certificate(lasts=timedelta(days=-1))) as server:
        [outcome] = sent(Webhook(WebReceiver(secure(server), ANYWHERE, authority.file), (), BASE))
        assert "expired" in outcome.answer


def test_an_endless_answer_is_cut(loopback):
    loopback.says(Reply(200, b"x" * 1_000_000))

    [outcome] = sent(webhook(loopback.origin))

    assert outcome.result == Result.DELIVERED
    assert len(outcome.answer) <= 500


@pytest.mark.parametrize(
    ("reach", "url"),
    [
        (Reach(), "http://hooks.example.com/x"),
        (Reach(hosts=["*.example.com"]), "http://example.org/x"),
        (Reach(hosts=["127.0.0.1"]), "http://127.0.0.1:9/x"),
        (Reach(hosts=["localhost"]), "http://localhost:9/x"),
        (Reach(hosts=["[::1]", "::1"]), "http://[::1]:9/x"),
        (Reach(hosts=["169.254.169.254"]), "http://169.254.169.254/latest/meta-data"),
        (Reach(hosts=["10.0.0.1"], networks=[ip_network("10.0.0.2")]), "http://10.0.0.1/x"),
        (Reach(hosts=["::ffff:127.0.0.1"]), "http://[::ffff:127.0.0.1]:9/x"),
        (Reach(hosts=["0.0.0.0"]), "http://0.0.0.0:9/x"),
    ],
)
def test_users_reach_neither_hosts_that_are_not_allowed_nor_addresses_inside(reach, url):
    [outcome] = sent(webhook(url, reach=reach))

    assert outcome.result == Result.REFUSED
    assert "an operator can" in outcome.answer


def test_an_operator_can_allow_an_address_inside(loopback):
    reach = Reach(hosts=["127.0.0.1"], networks=[ip_network("127.0.0.0/8")])

    assert sent(webhook(loopback.origin, reach=reach))[0].result == Result.DELIVERED


def test_a_connection_goes_to_the_address_that_was_checked(loopback, monkeypatch):
    """A name server that gives another address at the second look leads nowhere else."""
    looks: list[str] = []
    real = socket.getaddrinfo

    def look_up(host, port, *given, **named):
        if host != "hooks.example.com":
            return real(host, port, *given, **named)
        looks.append(host)
        address = "127.0.0.1" if len(looks) == 1 else "8.8.8.8"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    reach = Reach(hosts=["hooks.example.com"], networks=[ip_network("127.0.0.0/8")])

    [outcome] = sent(
        webhook(loopback.origin.replace("127.0.0.1", "hooks.example.com"), reach=reach)
    )

    assert outcome.result == Result.DELIVERED
    assert looks == ["hooks.example.com"]
    assert loopback.asked[0].headers["Host"].startswith("hooks.example.com")


def test_one_forbidden_address_among_several_is_enough_to_refuse(monkeypatch):
    both = [(2, 1, 6, "", ("8.8.8.8", 80)), (2, 1, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)

    with pytest.raises(NotReachable, match=r"127\.0\.0\.1"):
        Reach(hosts=["hooks.example.com"]).addresses("hooks.example.com", 80)
