from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from flask import Flask, jsonify, request, url_for
from flask.testing import FlaskClient

from tracker_service.api.proxies import TrustedProxies

STRANGER, PROXY = "192.0.2.66", "10.1.2.3"
FORWARDED = {
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "jobs.example.com",
    "X-Forwarded-Prefix": "/tracker",
}


@pytest.fixture
def client() -> FlaskClient:
    """An application that tells how it sees a request."""
    app = Flask("echo")

    @app.get("/seen")
    def seen():
        names = {name for name, _ in request.headers}
        return jsonify(
            url=url_for("seen", _external=True),
            client=request.remote_addr,
            headers=sorted(names & {*FORWARDED, "X-Request-Id", "X-Forwarded-Port"}),
        )

    networks = [ip_network("10.1.0.0/16"), ip_network("::1")]
    app.wsgi_app = TrustedProxies(app.wsgi_app, networks)  # type: ignore[method-assign]
    return app.test_client()


def seen_from(client: FlaskClient, peer: str, **headers: str) -> dict[str, Any]:
    answer = client.get(
        "/seen", headers=FORWARDED | headers, environ_overrides={"REMOTE_ADDR": peer}
    )
    return answer.get_json()


@pytest.mark.parametrize("peer", [PROXY, "::1", f"::ffff:{PROXY}", ""])
def test_what_a_trusted_proxy_says_shows_in_the_urls_and_as_the_client(client, peer):
    seen = seen_from(client, peer)

    assert seen["url"] == "https://jobs.example.com/tracker/seen"
    assert seen["client"] == "198.51.100.7"


@pytest.mark.parametrize("peer", [STRANGER, "::2", f"::ffff:{STRANGER}"])
def test_what_a_stranger_says_changes_nothing_and_is_not_even_seen(client, peer):
    seen = seen_from(client, peer, **{"X-Request-ID": "chosen", "X-Forwarded-Port": "1"})

    assert seen == {"url": "http://localhost/seen", "client": peer, "headers": []}


def test_of_a_chain_only_what_our_own_proxy_has_added_is_believed(client):
    seen = seen_from(client, PROXY, **{"X-Forwarded-For": "1.2.3.4, 198.51.100.7"})

    assert seen["client"] == "198.51.100.7"


def test_a_port_that_the_proxy_names_is_part_of_the_urls(client):
    seen = seen_from(client, PROXY, **{"X-Forwarded-Port": "8443"})

    assert seen["url"] == "https://jobs.example.com:8443/tracker/seen"


def test_a_proxy_that_says_nothing_is_the_client_itself(client):
    seen = client.get("/seen", environ_overrides={"REMOTE_ADDR": PROXY}).json

    assert seen == {"url": "http://localhost/seen", "client": PROXY, "headers": []}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Proto", "https://evil"),
        ("X-Forwarded-Host", "evil.example.com/path?"),
        ("X-Forwarded-Host", "user@evil"),
        ("X-Forwarded-Prefix", "//evil.example.com"),
        ("X-Forwarded-Prefix", "/../up"),
        ("X-Forwarded-For", "unknown"),
        ("X-Forwarded-For", "\x1b[2J"),
    ],
)
def test_what_no_proxy_can_say_counts_as_nothing(client, header, value):
    seen = client.get(
        "/seen", headers={header: value}, environ_overrides={"REMOTE_ADDR": PROXY}
    ).json

    assert seen == {"url": "http://localhost/seen", "client": PROXY, "headers": []}


@pytest.mark.parametrize(
    ("said", "client_address"),
    [("198.51.100.7:4711", "198.51.100.7"), ("[2001:db8::1]:443", "2001:db8::1"), ("::1", "::1")],
)
def test_a_client_is_counted_by_its_address_whatever_its_port(client, said, client_address):
    assert seen_from(client, PROXY, **{"X-Forwarded-For": said})["client"] == client_address
