"""Users subscribe to mail, which goes through the mail server of the site."""

from __future__ import annotations

import pytest

from tests.unit.calls import GUEST, SAM, assert_problem
from tests.unit.sinks.messages import BASE_URL, failure
from tests.unit.sinks.smtp_server import MailBox, smtp_server
from tracker_service.domain.subscriptions import Subscription
from tracker_service.errors import ConfigError
from tracker_service.identities.keys import KeyRing
from tracker_service.settings.sinks import MailSettings, SinksSettings
from tracker_service.sinks.opening import SinkOpener

SUBSCRIPTIONS = "/api/subscriptions"
TO = "a@example.com"


def subscribe(client, sink: dict[str, str], auth=GUEST):
    return client.post(SUBSCRIPTIONS, json={"sink": sink}, auth=auth)


def test_a_user_subscribes_to_mail_and_sees_the_address(client):
    made = subscribe(client, {"type": "mail", "to": TO})

    assert (made.status_code, made.json["secret"]) == (201, None)
    [listed] = client.get(SUBSCRIPTIONS, auth=GUEST).json
    assert (listed["id"], listed["sink"], listed["to"]) == (made.json["id"], "mail", TO)
    assert client.get(SUBSCRIPTIONS, auth=SAM).json == []
    assert_problem(client.post(f"{SUBSCRIPTIONS}/{made.json['id']}/secret", auth=GUEST), 400)


@pytest.mark.parametrize("to", ["a@elsewhere.com", "a@example.com.evil.com", "a@sub.example.com"])
def test_mail_goes_only_to_domains_that_the_site_allows(client, to):
    answer = subscribe(client, {"type": "mail", "to": to})

    assert_problem(answer, 403)
    assert "sinks.allowed_mail_domains" in answer.json["detail"]


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "mail", "to": "a@example.com\r\nBcc: b@example.com"},
        {"type": "mail", "to": "a@example.com, b@example.com"},
        {"type": "mail", "to": "example.com"},
        {"type": "mail", "to": "a@example.com\n"},
        {"type": "mail"},
        {"type": "mail", "to": TO, "host": "mail.evil.com"},
        {"type": "mail", "to": TO, "password_file": "/etc/passwd"},
        {"type": "webhook", "url": "https://hooks.example.com/", "secret_file": "/etc/passwd"},
        {"type": "datadog", "key_file": "/etc/passwd"},
        {"type": "graphite", "host": "localhost"},
        {"to": TO},
    ],
)
def test_users_name_no_files_no_servers_and_no_other_types(client, sink):
    assert subscribe(client, sink).status_code in (400, 422)
    assert client.get(SUBSCRIPTIONS, auth=GUEST).json == []


def kept(client, service) -> Subscription:
    subscribe(client, {"type": "mail", "to": TO})
    [subscription] = service.subscribing.of(GUEST[0])
    return subscription


def opener(service, tmp_path, **sinks) -> SinkOpener:
    return SinkOpener(
        sinks=SinksSettings(**sinks), key_ring=KeyRing(tmp_path / "key"), base_url=BASE_URL
    )


def server(port: int) -> MailSettings:
    return MailSettings(
        type="mail", host="127.0.0.1", port=port, tls="none", sender="tracker@example.org"
    )


def test_the_mail_goes_through_the_server_of_the_site_to_this_address_alone(
    client, service, tmp_path
):
    box = MailBox()
    with smtp_server(box) as port:
        settings = {"allowed_mail_domains": ("example.com",), "team": server(port)}
        opener(service, tmp_path, **settings)(kept(client, service)).deliver([failure()])

    assert box.recipients == [[TO]]


def test_a_domain_that_is_no_longer_allowed_gets_no_mail(client, service, tmp_path):
    subscription = kept(client, service)

    with pytest.raises(ConfigError, match="allowed_mail_domains"):
        opener(service, tmp_path, team=server(25))(subscription)


def test_without_a_mail_server_the_subscription_says_so(client, service, tmp_path):
    with pytest.raises(ConfigError, match="none of type mail"):
        opener(service, tmp_path)(kept(client, service))
