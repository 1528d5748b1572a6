from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.unit.sinks.messages import AT, BASE_URL, JOB, failure, message, numbered
from tests.unit.sinks.smtp_server import MailBox, server_context, smtp_server
from tests.unit.tls import DAY, Authority
from tracker_service.domain.events import EventType
from tracker_service.sinks import mail as mail_module
from tracker_service.sinks.mail import Mail, MailServer
from tracker_service.sinks.sink import Outcome, Result

ALICE, BOB = "alice@example.com", "bob@example.com"


@pytest.fixture
def box() -> MailBox:
    return MailBox()


@pytest.fixture
def port(box: MailBox) -> Iterator[int]:
    with smtp_server(box) as port:
        yield port


def mail(port: int, *to: str, **options: Any) -> Mail:
    usual: dict[str, Any] = {
        "tls": "none",
        "user": None,
        "password": "",
        "ca_file": None,
        "sender": "tracker@example.org",
    }
    server = MailServer(host="127.0.0.1", port=port, **{**usual, **options})
    return Mail(server, to or (ALICE,), BASE_URL)


def only(outcomes: Any) -> Outcome:
    [outcome] = outcomes
    return outcome


def test_a_mail_has_the_card_as_text_and_as_html(box, port):
    assert only(mail(port).deliver([failure()])).result == Result.DELIVERED

    [sent] = box.mails
    assert (sent["From"], sent["To"]) == ("tracker@example.org", ALICE)
    assert sent["Subject"] == "etl-daily failed: The executor ran out of memory"
    assert sent["Date"].datetime == AT
    text, html = (sent.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "stderr:17" in text
    assert f"tracker why {JOB}" in text
    assert "<pre>java.lang.OutOfMemoryError" in html


def test_the_message_id_is_the_same_for_each_delivery_of_an_event(box, port):
    for _ in range(2):
        mail(port).deliver([failure()])

    first, second = box.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"] == "<d0b6a9d2-9b0e-5c6e-8ad1-0123456789ab@example.org>"


def test_mails_about_the_same_job_make_one_conversation(box, port):
    mail(port).deliver([failure(), message(EventType.LOGS_SAVED, event_id="2"), *numbered(1)])

    failed, saved, other = box.mails
    assert failed["References"] == saved["References"] != other["References"]
    assert len({each["Message-ID"] for each in box.mails}) == 3


def test_many_mails_go_over_one_connection(box, port):
    outcomes = mail(port).deliver(numbered(20))

    assert [outcome.result for outcome in outcomes] == [Result.DELIVERED] * 20
    assert len(box.mails) == 20
    assert len(box.sessions) == 1


def test_a_hostile_name_adds_no_header_and_breaks_no_line(box, port):
    name = "x\r\nBcc: everybody@example.com\r\n\r\n.\r\nQUIT" + "ü" * 5000
    hostile = message(name=name, event_id="a>\r\nBcc: b@example.com")

    assert only(mail(port).deliver([hostile])).result == Result.DELIVERED

    [sent] = box.mails
    assert "Bcc" not in sent
    assert box.recipients == [[ALICE]]
    assert max(map(len, box.raw[0].split(b"\r\n"))) <= 998
    assert box.raw[0].isascii()


def test_a_line_of_a_log_with_a_lone_dot_does_not_end_the_mail(box, port):
    cause = {"summary": ".", "evidence": [{"text": "."}]}
    mail(port).deliver([message(cause=cause)])

    assert "tracker logs" in box.mails[0].get_body(("plain",)).get_content()


def test_a_refused_recipient_is_refused_for_good(box, port):
    box.refusals[ALICE] = ["550 5.1.1 no such mailbox"]

    outcome = only(mail(port).deliver([failure()]))

    assert outcome == Outcome(result=Result.REFUSED, answer=f"{ALICE}: 550 5.1.1 no such mailbox")


def test_one_refused_recipient_does_not_keep_the_mail_from_the_others(box, port):
    box.refusals[ALICE] = ["550 5.1.1 no such mailbox"]

    outcome = only(mail(port, ALICE, BOB).deliver([failure()]))

    assert outcome.result == Result.DELIVERED
    assert "no such mailbox" in outcome.answer
    assert box.recipients == [[BOB]]


def test_after_greylisting_only_those_get_the_mail_who_have_not_got_it(box, port):
    box.refusals[ALICE] = ["451 4.7.1 greylisted, try again"]
    sink = mail(port, ALICE, BOB)

    first = only(sink.deliver([failure()]))
    second = only(sink.deliver([failure()]))

    assert (first.result, first.is_outage) == (Result.TRY_AGAIN, False)
    assert first.answer == "451 4.7.1 greylisted, try again"
    assert second.result == Result.DELIVERED
    assert box.recipients == [[BOB], [ALICE]]


def test_later_mails_wait_for_one_that_has_to_be_sent_again(box, port):
    box.refusals["DATA"] = ["452 4.3.1 no room"]

    assert only(mail(port).deliver(numbered(3))).result == Result.TRY_AGAIN
    assert box.mails == []


def test_a_refused_mail_does_not_hold_up_the_next_one(box, port):
    box.refusals["DATA"] = ["554 5.7.1 it looks like spam"]

    refused, accepted = mail(port).deliver(numbered(2))

    assert (refused.result, accepted.result) == (Result.REFUSED, Result.DELIVERED)
    assert "554 5.7.1 it looks like spam" in refused.answer


def test_a_server_that_goes_away_is_an_outage(box, port):
    box.refusals[ALICE] = ["421 4.3.2 shutting down"]

    outcome = only(mail(port).deliver([failure()]))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)


def test_a_server_that_is_not_there_is_an_outage():
    outcome = only(mail(free_port()).deliver(numbered(2)))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert "Connection refused" in outcome.answer


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(mail_module, "_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = only(mail(silent.getsockname()[1]).deliver([failure()]))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert "timed out" in outcome.answer


@pytest.mark.parametrize("tls", ["none", "starttls"])
def test_a_server_that_speaks_something_else_is_an_outage(tls):
    with socket.create_server(("127.0.0.1", 0)) as other:
        outcome = outcome_at_a_web_server(other, tls)

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)


def outcome_at_a_web_server(server: socket.socket, tls: str) -> Outcome:
    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(1000)

    thread = threading.Thread(target=answer)
    thread.start()
    outcome = only(mail(server.getsockname()[1], tls=tls).deliver([failure()]))
    thread.join()
    return outcome


# TLS, user and password


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_starttls_with_a_private_authority_comes_before_the_password(box, authority):
    options = {"require_starttls": True, "auth_required": True}
    with smtp_server(box, authority.certificate(), **options) as port:
        sink = mail(
            port, tls="starttls", ca_file=authority.file, user="tracker", password="the-password"
        )

        assert only(sink.deliver([failure()])).result == Result.DELIVERED
    assert box.was_tls == [True]


def test_tls_from_the_first_byte(box, authority):
    context = server_context(authority.certificate())
    with smtp_server(box, ssl_context=context) as port:
        sink = mail(port, tls="tls", ca_file=authority.file)

        assert only(sink.deliver([failure()])).result == Result.DELIVERED


@pytest.mark.parametrize("fault", ["another host", "expired", "another authority"])
def test_a_wrong_certificate_gets_no_mail(box, authority, tmp_path, fault):
    made = {
        "another host": lambda: authority.certificate("mail.example.com"),
        "expired": lambda: authority.certificate(lasts=-DAY),
        "another authority": lambda: Authority(tmp_path, "other").certificate(),
    }
    with smtp_server(box, made[fault]()) as port:
        sink = mail(port, tls="starttls", ca_file=authority.file)
        outcome = only(sink.deliver([failure()]))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert "its certificate is refused" in outcome.answer
    assert box.mails == []


def test_without_starttls_nothing_is_sent_in_the_clear(box, port):
    outcome = only(mail(port, tls="starttls").deliver([failure()]))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert "STARTTLS" in outcome.answer
    assert box.mails == []


def test_a_wrong_password_waits_until_it_is_corrected(box, authority):
    with smtp_server(box, authority.certificate(), auth_required=True) as port:
        sink = mail(
            port, tls="starttls", ca_file=authority.file, user="tracker", password="old-password"
        )
        outcome = only(sink.deliver([failure()]))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert "535" in outcome.answer
    assert "old-password" not in outcome.answer
