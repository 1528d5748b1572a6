"""Passwords are exchanged for tokens; tokens prove who asks, are kept, renewed, and expire."""

from __future__ import annotations

import json
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.fakes import NOW, FakeAccess, job, seen
from tests.unit.loopback_server import Reply
from tracker_service.domain.users import UserNames
from tracker_service.errors import (
    ConfigError,
    CredentialsRefused,
    GatewayUnavailable,
    NotAuthenticated,
    RouteClosed,
)
from tracker_service.identities import Caller, Callers, Identities, KeptCredentials
from tracker_service.settings import load
from tracker_service.sources.credentials import BasicCredential, TokenCredential
from tracker_service.sources.gateway import AccessPool
from tracker_service.sources.tokens import TokenKeys
from tracker_service.store import credentials, jobs, tracked_jobs

GUEST = BasicCredential("guest", "guest-password")
HOUR = timedelta(hours=1)


@pytest.fixture
def opened(fake_cluster, now) -> AccessPool[FakeAccess]:
    fake_cluster.tokens.now = now
    return AccessPool(fake_cluster.access)


@pytest.fixture
def identities(store, key_ring, opened, now) -> Identities:
    callers = Callers(store, key_ring, opened, now, exchanges=True)
    return Identities(callers, KeptCredentials(store, key_ring, opened, now), opened, "http://knox")


@pytest.fixture
def tracking(identities, store, now) -> Caller:
    """A job of guest is tracked, and its token is kept."""
    caller = identities.verify(GUEST)
    with store.begin() as connection:
        kept = jobs.record(connection, [seen(job(1))])
        identities.track(connection, caller, list(kept.values()), now())
    return caller


def kept_token(store, key_ring) -> str:
    with store.read() as connection:
        sealed = credentials.find(connection, ["guest"])["guest"].sealed
    return key_ring.decrypt(sealed)[1]


def reason(store) -> str | None:
    with store.read() as connection:
        return tracked_jobs.of_job(connection, "guest", job(1))[0].reason


def test_a_password_is_exchanged_and_only_the_token_is_kept(tracking, store, key_ring):
    assert isinstance(tracking.credential, TokenCredential)
    assert kept_token(store, key_ring) == tracking.credential.token
    with store.read() as connection:
        [sealed] = connection.exec_driver_sql("SELECT sealed FROM verdicts").scalars()
    assert key_ring.decrypt(sealed)[1] == tracking.credential.token


def test_in_a_minute_the_password_goes_to_the_gateway_once(identities, fake_cluster, now):
    for _ in range(60):
        caller = identities.verify(GUEST)
        identities.access(caller).hdfs.user()
        now.advance(seconds=0.9)

    assert fake_cluster.tokens.given == 1


def test_where_no_tokens_are_given_that_is_said(identities, fake_cluster):
    fake_cluster.tokens.are_given = False

    with pytest.raises(RouteClosed, match="KNOXTOKEN"):
        identities.verify(GUEST)


def test_a_token_proves_who_asks(identities, fake_cluster):
    token = fake_cluster.tokens.of("sam")

    assert identities.verify(token) == Caller(name="sam", credential=token)


def test_a_token_of_another_signer_proves_nothing(identities, fake_cluster):
    forged = jwt.encode(
        {"sub": "sam", "exp": NOW + HOUR}, ec.generate_private_key(ec.SECP256R1()), "ES256"
    )

    with pytest.raises(NotAuthenticated):
        identities.verify(TokenCredential("sam", forged))


def test_an_expired_token_is_refused_without_asking(identities, fake_cluster, now):
    token = fake_cluster.tokens.of("sam")
    now.advance(hours=1)

    with pytest.raises(NotAuthenticated, match="expired"):
        identities.verify(token)
    assert fake_cluster.verified == []


def test_a_kept_token_is_renewed_when_half_of_its_life_is_over(
    tracking, identities, store, key_ring, now
):
    now.advance(minutes=29)
    with identities.acting_for("guest"):
        pass
    assert kept_token(store, key_ring) == tracking.credential.token

    now.advance(minutes=2)
    with identities.acting_for("guest") as access:
        assert access.hdfs.user() == "guest"
    assert kept_token(store, key_ring) != tracking.credential.token


def test_a_token_that_is_not_renewed_is_used_to_its_end(
    tracking, identities, store, now, fake_cluster
):
    fake_cluster.tokens.are_renewed = False
    now.advance(minutes=59)
    with identities.acting_for("guest") as access:
        assert access.hdfs.user() == "guest"

    now.advance(minutes=1)
    with (
        pytest.raises(CredentialsRefused, match="has expired"),
        identities.acting_for("guest"),
    ):
        pytest.fail("the block was entered")
    told = reason(store)
    assert told is not None
    assert told.startswith("waiting-for-credentials: the stored token has expired")
    assert "tracker login" in told


def test_a_fresh_token_lets_the_jobs_go_on_at_once(tracking, identities, store, now, fake_cluster):
    fake_cluster.tokens.are_renewed = False
    now.advance(hours=1)
    with pytest.raises(CredentialsRefused), identities.acting_for("guest"):
        pytest.fail("the block was entered")

    caller = identities.verify(GUEST)
    with store.begin() as connection:
        released = identities.keep(connection, caller)
        hinted = connection.exec_driver_sql("SELECT task_id FROM hints").scalars().all()

    assert list(released) == hinted
    assert len(hinted) == 1
    assert reason(store) is None
    with identities.acting_for("guest") as access:
        assert access.hdfs.user() == "guest"


# Without asking the gateway


@pytest.fixture
def key_file(fake_cluster, tmp_path):
    """The public key of the gateway."""
    file = tmp_path / "knox.pem"
    file.write_bytes(
        fake_cluster.tokens.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return file


def claims(**more) -> dict[str, object]:
    return {"sub": "sam", "exp": 4_000_000_000, **more}


def test_a_signed_token_is_believed_without_the_gateway(
    store, key_ring, opened, now, key_file, fake_cluster
):
    callers = Callers(store, key_ring, opened, now, keys=TokenKeys(str(key_file), None))
    token = jwt.encode(claims(), fake_cluster.tokens.key, "ES256")

    assert callers.verify(TokenCredential("sam", token)).name == "sam"
    assert fake_cluster.verified == []


def test_a_name_that_only_a_token_gives_must_fit_the_pattern(
    store, key_ring, opened, now, key_file, fake_cluster
):
    keys, names = TokenKeys(str(key_file), None), UserNames(r"^[a-z]+@[a-z.]+$")
    token = jwt.encode(claims(sub="sam@example.com"), fake_cluster.tokens.key, "ES256")
    credential = TokenCredential("sam@example.com", token)

    with pytest.raises(NotAuthenticated, match=r"gateway\.user_pattern"):
        Callers(store, key_ring, opened, now, keys=keys).verify(credential)
    wide = Callers(store, key_ring, opened, now, keys=keys, names=names)
    assert wide.verify(credential).name == "sam@example.com"


@pytest.fixture
def key_set(fake_cluster) -> bytes:
    """The public key of the gateway under the name `one`."""
    key = jwt.algorithms.ECAlgorithm.to_jwk(fake_cluster.tokens.key.public_key(), as_dict=True)
    return json.dumps({"keys": [key | {"kid": "one", "use": "sig", "alg": "ES256"}]}).encode()


def signed(fake_cluster, name: str) -> str:
    return jwt.encode(claims(), fake_cluster.tokens.key, "ES256", headers={"kid": name})


def test_a_key_set_in_a_file_names_its_keys(fake_cluster, tmp_path, key_set):
    file = tmp_path / "jwks.json"
    file.write_bytes(key_set)
    keys = TokenKeys(str(file), None)

    assert keys.checked(signed(fake_cluster, "one")).user == "sam"
    with pytest.raises(NotAuthenticated, match="key two is not known"):
        keys.checked(signed(fake_cluster, "two"))


def test_a_key_set_is_fetched_once_for_many_tokens(fake_cluster, loopback, key_set):
    loopback.says(Reply(200, key_set, {"Content-Type": "application/json"}))
    keys = TokenKeys(f"{loopback.origin}/jwks.json", None)

    for _ in range(3):
        assert keys.checked(signed(fake_cluster, "one")).user == "sam"

    assert len(loopback.asked) == 1


def test_where_the_key_set_cannot_be_fetched_nobody_can_say(fake_cluster, loopback):
    loopback.says(Reply(500))
    keys = TokenKeys(f"{loopback.origin}/jwks.json", None)

    with pytest.raises(GatewayUnavailable, match="cannot be fetched"):
        keys.checked(signed(fake_cluster, "one"))


@pytest.mark.parametrize("text", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nx\n", b"{}"])
def test_a_file_without_a_key_is_a_wrong_setting(tmp_path, text):
    file = tmp_path / "keys"
    file.write_bytes(text)

    with pytest.raises(ConfigError, match=r"gateway\.token_keys"):
        TokenKeys(str(file), None)


OTHER = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    "forged",
    [
        lambda key: jwt.encode(claims(), "", "none"),
        lambda key: jwt.encode(claims(), OTHER, "ES256"),
        lambda key: jwt.encode(claims(), "as if the public key were a password" * 2, "HS256"),
        lambda key: jwt.encode(claims(exp=1_000_000_000), key, "ES256"),
        lambda key: jwt.encode({"sub": "sam"}, key, "ES256"),
        lambda key: jwt.encode({"exp": 4_000_000_000}, key, "ES256"),
    ],
    ids=["unsigned", "another key", "a password", "expired", "without an end", "without a user"],
)
def test_what_the_gateway_did_not_sign_for_now_is_refused(fake_cluster, key_file, forged):
    with pytest.raises(NotAuthenticated):
        TokenKeys(str(key_file), None).checked(forged(fake_cluster.tokens.key))


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"iss": "https://idp.example.com", "aud": "wiki"}, "udience"),
        ({"iss": "https://idp.example.com", "aud": ["wiki", "mail"]}, "udience"),
        ({"iss": "https://idp.example.com"}, "aud"),
        ({"iss": "https://other.example.com", "aud": "tracker"}, "issuer"),
        ({"aud": "tracker"}, "iss"),
    ],
)
def test_a_token_for_another_service_or_of_another_issuer_is_refused(
    fake_cluster, key_file, named, reason
):
    keys = TokenKeys(str(key_file), None, issuer="https://idp.example.com", audience="tracker")
    token = {key: value for key, value in claims().items() if key not in ("iss", "aud")} | named

    with pytest.raises(NotAuthenticated, match=reason):
        keys.checked(jwt.encode(token, fake_cluster.tokens.key, "ES256"))


@pytest.mark.parametrize("audience", ["tracker", ["wiki", "tracker"]])
def test_a_token_for_this_service_is_accepted(fake_cluster, key_file, audience):
    keys = TokenKeys(str(key_file), None, issuer="KNOXSSO", audience="tracker")
    token = claims() | {"iss": "KNOXSSO", "aud": audience}

    assert keys.checked(jwt.encode(token, fake_cluster.tokens.key, "ES256")).user == "sam"


def test_keys_from_a_url_need_an_issuer_and_an_audience(monkeypatch):
    monkeypatch.setenv("TRACKER_GATEWAY__TOKEN_KEYS", "https://idp.example.com/jwks.json")
    with pytest.raises(ConfigError, match="set token_issuer and token_audience"):
        load()
    monkeypatch.setenv("TRACKER_GATEWAY__TOKEN_ISSUER", "https://idp.example.com")
    with pytest.raises(ConfigError, match="set token_issuer and token_audience"):
        load()

    monkeypatch.setenv("TRACKER_GATEWAY__TOKEN_AUDIENCE", "tracker")

    assert load().gateway.token_audience == "tracker"
