"""Guesses of passwords, forged tokens, and a gateway that lies about who asks."""

from __future__ import annotations

from types import SimpleNamespace

import jwt
import pytest

from tracker_service.domain.users import folded
from tracker_service.errors import (
    CredentialsRefused,
    GatewayUnavailable,
    NotAuthenticated,
    TooManyRequests,
)
from tracker_service.sources.credentials import BasicCredential, TokenCredential
from tracker_service.sources.gateway import Answer
from tracker_service.sources.webhdfs import WebHdfs

RIGHT = BasicCredential("guest", "guest-password")
#: What a directory takes for one name.
SPELLINGS = (
    *("guest", "GUEST", "Guest", " guest", "guest ", "gu\u200best", "\uff47uest", "g\u00adest"),
    *("\\67uest", "gues\\74", "\\g\\u\\e\\s\\t", "\u24d6uest", "gue\u017ft", "GUE\\73T"),
)


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name != "g\u00adest"])
def test_all_spellings_of_a_name_are_counted_together(name):
    assert folded(name) == "guest"


def test_three_guesses_of_a_name_reach_the_gateway_however_it_is_spelled(
    identities, fake_cluster, row
):
    refused = 0
    for number, name in enumerate(SPELLINGS * 3):
        with pytest.raises((NotAuthenticated, TooManyRequests)):
            identities.verify(BasicCredential(name, f"wrong {number}"), "192.0.2.1")
        refused += 1

    guesses = len([1 for user in fake_cluster.verified if folded(str(user)) == "guest"])
    row("guesses", f"{refused} guesses in 14 spellings", f"{guesses} reached the gateway")
    assert guesses <= 3


def test_a_peer_that_guesses_other_names_has_an_end(identities, fake_cluster):
    for number in range(60):
        with pytest.raises((NotAuthenticated, TooManyRequests)):
            identities.verify(BasicCredential(f"user{number}", "wrong"), "192.0.2.1")

    assert len(fake_cluster.verified) <= 30


def test_the_right_user_gets_in_while_another_address_guesses(identities, row):
    for number in range(10):
        with pytest.raises((NotAuthenticated, TooManyRequests)):
            identities.verify(BasicCredential("guest", f"wrong {number}"), "192.0.2.1")

    assert (
        identities.verify(BasicCredential("guest", "guest-password"), "192.0.2.2").name == "guest"
    )
    row("guesses", "the right password while another address guesses", "gets in")


def test_forged_tokens_lock_nobody_out(identities, row):
    for number in range(5):
        token = jwt.encode({"sub": "guest", "n": number}, "x" * 32)
        with pytest.raises(NotAuthenticated):
            identities.verify(TokenCredential("guest", token, None), "192.0.2.1")

    assert (
        identities.verify(BasicCredential("guest", "guest-password"), "192.0.2.1").name == "guest"
    )
    row("guesses", "5 forged tokens of a name", "its password gets in")


class _Lying:
    """A session whose gateway answers what a test says."""

    user, url = "guest", "https://knox.example.com/gateway/default"
    gateway = SimpleNamespace(connect_timeout_s=1, read_timeout_s=1)

    def __init__(self, status: int, path: object) -> None:
        self._status, self._path = status, path

    def ask(self, method: str, path: str, **_: object) -> Answer:
        body = b'{"Path": %b}' % str(self._path).encode()
        return Answer(method=method, path=path, status=self._status, headers={}, body=body)


@pytest.mark.parametrize(
    ("status", "path"),
    [
        (302, '"/user/alice"'),
        (201, '"/user/alice"'),
        (200, '"alice"'),
        (200, '"/alice"'),
        (200, '"/user/../alice"'),
        (200, '"/user//alice"'),
        (200, "[1]"),
        (200, '"/"'),
    ],
)
def test_a_name_is_believed_only_from_a_home_directory(status, path, row):
    with pytest.raises((GatewayUnavailable, CredentialsRefused)):
        WebHdfs(_Lying(status, path)).user()  # type: ignore[arg-type]
    row("lies", f"the home {path} with status {status}", "nobody gets in")


@pytest.mark.parametrize(
    ("path", "name"),
    [("/user/alice", "alice"), ("hdfs://nn/home/x/alice", "alice"), ("/guest", "guest")],
)
def test_the_name_of_a_home_directory_is_believed(path, name):
    assert WebHdfs(_Lying(200, f'"{path}"')).user() == name  # type: ignore[arg-type]
