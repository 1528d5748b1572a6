"""The doctor tries to be a user by the header in which a proxy names one."""

from __future__ import annotations

import pytest

from tests.unit.loopback_server import Loopback, Reply
from tracker_service.doctor.named_user import findings
from tracker_service.doctor.results import Severity
from tracker_service.settings import Settings


def settings(**serve: object) -> Settings:
    named = {"user_header": "X-Forwarded-User", "user_header_from": ["127.0.0.1/32"]}
    return Settings.model_validate(
        {
            "gateway": {"url": "https://knox.example.com:8443/gateway/sandbox"},
            "serve": named | serve,
        }
    )


@pytest.mark.parametrize(("status", "level"), [(200, Severity.FAIL), (401, Severity.OK)])
def test_a_proxy_that_passes_on_the_header_of_a_client_fails(loopback, status, level):
    loopback.says(Reply(status))

    [found] = findings(settings(), loopback.origin)

    assert found.level is level
    assert loopback.asked[0].headers["X-Forwarded-User"] == "tracker-doctor"


def test_the_service_itself_is_not_asked_past_its_proxy(loopback: Loopback):
    bind = loopback.origin.removeprefix("http://")

    assert list(findings(settings(bind=bind), loopback.origin)) == []
    assert loopback.asked == []


def test_without_such_a_header_nothing_is_asked(loopback: Loopback):
    assert list(findings(settings(user_header=None), loopback.origin)) == []
    assert list(findings(settings(), None)) == []
    assert loopback.asked == []
