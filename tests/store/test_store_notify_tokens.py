from __future__ import annotations

from datetime import timedelta

from tests.store.rows import NOW
from tracker_service.identities.keys import KeyRing
from tracker_service.store import notify_tokens
from tracker_service.store.notify_tokens import KeptNotifyToken


def token(letter: str, owner: str = "guest", created_at=NOW) -> KeptNotifyToken:
    return KeptNotifyToken(
        fingerprint=letter * 64, owner=owner, created_at=created_at, used_at=None
    )


def add(connection, *tokens: KeptNotifyToken) -> None:
    for each in tokens:
        assert notify_tokens.add(connection, each, limit=10)


def test_a_token_is_found_by_any_of_its_fingerprints(connection):
    add(connection, token("a"), token("b", "sam"))

    assert notify_tokens.find(connection, ["c" * 64, "b" * 64]) == token("b", "sam")
    assert notify_tokens.find(connection, ["c" * 64]) is None


def test_tokens_are_listed_for_their_owner_the_oldest_first(connection):
    older = token("b", created_at=NOW - timedelta(days=1))
    add(connection, token("a"), older, token("c", "sam"))

    assert notify_tokens.of_owner(connection, "guest") == [older, token("a")]


def test_the_limit_counts_the_tokens_of_one_user(connection):
    add(connection, token("a"), token("b"), token("c", "sam"))

    assert not notify_tokens.add(connection, token("d"), limit=2)
    assert notify_tokens.add(connection, token("d", "sam"), limit=2)


def test_a_token_is_revoked_by_its_owner_and_by_its_whole_id(connection):
    add(connection, token("a"), token("b"))

    assert not notify_tokens.revoke(connection, "sam", token("a").id)
    assert not notify_tokens.revoke(connection, "guest", "aaaa")
    assert not notify_tokens.revoke(connection, "guest", "%")
    assert notify_tokens.revoke(connection, "guest", token("a").id)

    assert notify_tokens.of_owner(connection, "guest") == [token("b")]


def test_a_use_that_is_told_late_does_not_take_back_a_later_one(connection):
    add(connection, token("a"))
    later = NOW + timedelta(minutes=2)

    notify_tokens.note_use(connection, token("a"), later)
    notify_tokens.note_use(connection, token("a"), NOW)

    [kept] = notify_tokens.of_owner(connection, "guest")
    assert kept.used_at == later


def test_the_fingerprint_of_a_token_depends_on_the_key(tmp_path):
    first, second = KeyRing(tmp_path / "first.key"), KeyRing(tmp_path / "second.key")

    assert first.token_fingerprints("x") != second.token_fingerprints("x")
    assert first.token_fingerprints("x") != first.token_fingerprints("y")


def test_after_a_change_of_keys_a_token_has_its_old_fingerprint_still(tmp_path):
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    [before] = KeyRing(old).token_fingerprints("x")
    [fresh] = KeyRing(new).token_fingerprints("x")
    new.write_bytes(new.read_bytes() + old.read_bytes())

    assert KeyRing(new).token_fingerprints("x") == [fresh, before]
