"""Proxies of the environment, and what is wrong with a certificate."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest
import requests

from tests.unit.loopback_server import Reply
from tracker_service.client.connection import Connection, Timeouts, TrackerClientError, _tls_reason
from tracker_service.domain.certificates import certificate_error, form_trouble
from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import Gateway
from tracker_service.sources.transport import cause, proxies_for

GUEST = BasicCredential("guest", "guest-password")
LOOPBACK = [
    "http://127.0.0.1:8080",
    "http://localhost:1/x",
    "https://[::1]:8443",
    "http://127.1.1.1",
]


@pytest.fixture
def proxy(other_server, monkeypatch):
    """A proxy that the environment names for everything."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, other_server.origin)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    other_server.says(Reply(200, b"{}"))
    return other_server


def command(url: str) -> Connection:
    return Connection(url, "guest", "guest-password", None, Timeouts(), lambda _: None)


@pytest.mark.parametrize("url", LOOPBACK)
def test_no_proxy_is_asked_for_an_address_of_this_machine(proxy, url):
    assert proxies_for(url) == {}
    assert command(url)._how["proxies"] == {"no_proxy": "*"}


def test_the_password_for_this_machine_never_reaches_a_proxy(proxy, loopback, session):
    loopback.says(Reply(200, b"{}"))

    session.ask("GET", "oozie/v2/jobs")
    command(loopback.origin).ask("GET", "jobs/")

    assert len(loopback.asked) == 2
    assert proxy.asked == []


def test_service_and_command_go_through_the_proxy_of_the_environment(proxy, open_session):
    open_session(Gateway(url="http://knox.example.com/gateway/x"), GUEST).ask("GET", "oozie/v2")
    command("http://tracker.example.com").ask("GET", "jobs/")

    assert [asked.headers["Host"] for asked in proxy.asked] == [
        "knox.example.com",
        "tracker.example.com",
    ]


def test_a_host_in_no_proxy_needs_no_proxy(proxy, monkeypatch):
    monkeypatch.setenv("no_proxy", "example.com,10.0.0.0/8")

    assert proxies_for("https://knox.example.com:8443/gateway") == {}
    assert proxies_for("https://10.1.2.3:8443/gateway") == {}
    assert proxies_for("https://knox.example.org:8443/gateway")["https"] == proxy.origin


def test_a_proxy_that_is_dead_is_named(monkeypatch, open_session):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    knox = replace(Gateway(url="https://knox.example.com/gateway/x"), connect_timeout_s=20)

    with pytest.raises(GatewayUnavailable, match="HTTPS_PROXY"):
        open_session(knox, GUEST).ask("GET", "oozie/v2")
    with pytest.raises(TrackerClientError, match="HTTPS_PROXY"):
        command("https://tracker.example.com").ask("GET", "jobs/")


def refused(code: int, words: str) -> requests.exceptions.SSLError:
    """Return an error as requests raises it for a certificate."""
    inner = ssl.SSLCertVerificationError(1, f"certificate verify failed: {words} (_ssl.c:1032)")
    inner.verify_code, inner.verify_message = code, words
    outer = requests.exceptions.SSLError(Exception("Max retries exceeded"))
    outer.args[0].reason = Exception(inner)
    return outer


def test_what_a_certificate_lacks_is_named_and_no_other_authority_asked_for():
    error = refused(85, "Missing Authority Key Identifier")

    for text in (cause(error), _tls_reason(error)):
        assert "Missing Authority Key Identifier" in text
        assert "issue it" in text
        assert "CA" not in text


def test_a_certificate_of_an_unknown_authority_asks_for_the_authority():
    error = refused(20, "unable to get local issuer certificate")

    found = certificate_error(error)
    assert found is not None
    assert form_trouble(found) is None
    assert cause(error) == (
        "TLS failed: unable to get local issuer certificate; is TRACKER_GATEWAY__CA_FILE the "
        "gateway's authority?"
    )
    assert _tls_reason(error).endswith("is the CA file right?")


def test_an_error_that_contains_itself_is_looked_into_once():
    error = requests.exceptions.SSLError("no certificate")

    assert certificate_error(error) is None
