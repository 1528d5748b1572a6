from __future__ import annotations

import pytest

from tracker_service.domain.urls import (
    below,
    is_loopback,
    is_same_origin,
    leads_to_this_machine,
    origin_of,
    place_of,
    spelled_like,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://knox/gateway", "https://knox:443/webhdfs"),
        ("http://knox", "http://knox:80/"),
        ("https://knox:0443", "https://knox"),
        ("https://Knox.Example.COM:8443", "https://knox.example.com:8443"),
        ("HTTPS://knox:8443", "https://knox:8443"),
        ("https://knox.example.com.:8443", "https://knox.example.com:8443"),
        ("https://[0:0:0:0:0:0:0:1]:8443", "https://[::1]:8443"),
        ("https://[2001:DB8::A]", "https://[2001:db8:0::a]:443"),
        ("https://münchen.example:8443", "https://xn--mnchen-3ya.example:8443"),
        ("https://guest:pw@knox:8443", "https://knox:8443"),
        ("https://knox:", "https://knox"),
    ],
)
def test_one_place_is_one_origin_however_it_is_written(one, other):
    assert is_same_origin(one, other)


@pytest.mark.parametrize(
    "other",
    [
        "http://knox:8443",
        "https://knox:8444",
        "https://knox",
        "https://knox.example.com:8443",
        "https://knox:8443@elsewhere.example:8443",
        "https://elsewhere:8443/knox:8443",
        "https://elsewhere:8443#@knox:8443",
        "https:///knox:8443",
        "https://knox:84430",
        "https://kn ox:8443",
        "https://[::1:8443",
        "/gateway",
        "",
    ],
)
def test_what_is_elsewhere_or_no_url_is_another_origin(other):
    assert not is_same_origin("https://knox:8443", other)


def test_an_origin_is_told_without_its_usual_port():
    assert str(origin_of("https://[::1]:443/x")) == "https://[::1]"
    assert place_of("http://Knox:8443/x?a=secret") == "http://knox:8443"
    assert "secret" not in place_of("nothing?a=secret")


def test_a_path_is_below_a_base_of_the_same_origin_only():
    assert below("https://oozie:443/oozie/v2/jobs", "https://Oozie/oozie") == "v2/jobs"
    assert below("https://oozie/ooziest/v2", "https://oozie/oozie") is None
    assert below("https://other/oozie/v2", "https://oozie/oozie") is None


def test_a_url_takes_the_spelling_of_its_own_origin_and_keeps_the_rest():
    own = "https://knox/gateway/sandbox"

    assert spelled_like("https://u:p@KNOX:443/a%20b?c=d", own) == "https://knox/a%20b?c=d"
    assert spelled_like("https://other:443/a", own) == "https://other:443/a"


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost.", "a.localhost", "127.0.0.1", "127.1.2.3", "::1"]
)
def test_this_machine_is_known_by_each_of_its_names(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["knox", "localhost.example.com", "128.0.0.1", "::2", "", None])
def test_another_machine_is_not_this_one(host):
    assert not is_loopback(host)


def test_a_url_may_lead_to_this_machine():
    assert leads_to_this_machine("http://[::1]:8080/x")
    assert not leads_to_this_machine("http://knox:8080/localhost")
