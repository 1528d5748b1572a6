from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from tests.store.rows import NOW, live_tasks, track
from tracker_service.errors import ConfigError
from tracker_service.identities.keys import KeyRing
from tracker_service.identities.rotation import rotate_keys
from tracker_service.store import (
    credentials,
    failed_logins,
    tables,
    tasks,
    track_tasks,
    verified_callers,
)
from tracker_service.store.credentials import KeptCredential

SECOND = timedelta(seconds=1)


@pytest.fixture
def key_file(tmp_path):
    return tmp_path / "state" / "credentials.key"


def kept(connection, owner: str = "guest") -> KeptCredential:
    return credentials.find(connection, [owner])[owner]


def test_what_was_encrypted_can_be_decrypted_by_another_process(key_file):
    sealed = KeyRing(key_file).encrypt("guest", "pässwörd")

    assert KeyRing(key_file).decrypt(sealed) == ("guest", "pässwörd")


def test_an_encrypted_credential_shows_nothing(key_file):
    key_ring = KeyRing(key_file)

    assert b"secret" not in key_ring.encrypt("guest", "secret")
    assert key_ring.encrypt("guest", "secret") != key_ring.encrypt("guest", "secret")


def test_another_key_decrypts_nothing(key_file, tmp_path):
    sealed = KeyRing(key_file).encrypt("guest", "secret")

    with pytest.raises(ConfigError, match="another key") as caught:
        KeyRing(tmp_path / "other.key").decrypt(sealed)

    assert "secret" not in str(caught.value)


def test_a_new_key_in_front_of_the_old_one_decrypts_both(key_file):
    sealed = KeyRing(key_file).encrypt("guest", "secret")
    key_file.write_bytes(Fernet.generate_key() + b"\n" + key_file.read_bytes())

    rotated = KeyRing(key_file)

    assert rotated.decrypt(sealed) == ("guest", "secret")
    assert rotated.decrypt(rotated.encrypt("guest", "new")) == ("guest", "new")


def test_only_its_owner_may_read_the_key(key_file):
    KeyRing(key_file)

    assert key_file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in key_file.parent.iterdir()] == [key_file.name]


def test_a_key_that_is_there_is_kept(key_file):
    KeyRing(key_file)
    before = key_file.read_bytes()

    KeyRing(key_file)

    assert key_file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\n", b"no key", b"\xff" * 44])
def test_a_file_without_a_key_is_refused(tmp_path, content):
    (tmp_path / "x.key").write_bytes(content)

    with pytest.raises(ConfigError, match=r"x\.key"):
        KeyRing(tmp_path / "x.key")


def test_a_place_that_cannot_hold_a_key_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="key file"):
        KeyRing(tmp_path / "file" / "x.key")


@pytest.mark.slow
def test_processes_that_make_the_key_at_once_agree(key_file):
    code = (
        "import sys; from pathlib import Path\n"
        "from tracker_service.identities.keys import KeyRing\n"
        "sys.stdin.read(1); print(KeyRing(Path(sys.argv[1])).fingerprint('guest', 'secret'))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(key_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]

    told = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(".")
        process.stdin.flush()
    for process in processes:
        told.append(process.communicate()[0])

    assert told[0] == told[1] == KeyRing(key_file).fingerprint("guest", "secret") + "\n"


def test_a_fingerprint_tells_nothing_about_the_password(key_file, tmp_path):
    key_ring = KeyRing(key_file)
    fingerprint = key_ring.fingerprint("guest", "secret")

    assert "secret" not in fingerprint
    assert fingerprint == key_ring.fingerprint("guest", "secret")
    assert fingerprint != KeyRing(tmp_path / "other.key").fingerprint("guest", "secret")


def test_users_and_passwords_that_run_together_have_other_fingerprints(key_file):
    key_ring = KeyRing(key_file)

    assert key_ring.fingerprint("ab", "c") != key_ring.fingerprint("a", "bc")


@pytest.mark.parametrize(
    ("refusals", "retry_at", "may_be"),
    [
        (0, None, True),
        (1, NOW - SECOND, True),
        (1, NOW, True),
        (1, NOW + SECOND, False),
        (4, None, False),
    ],
)
def test_a_credential_may_be_used_until_it_is_refused_and_when_it_has_rested(
    refusals, retry_at, may_be
):
    credential = KeptCredential(
        owner="guest", sealed=b"", kept_at=NOW, refusals=refusals, retry_at=retry_at
    )

    assert credential.may_be_used(NOW) is may_be


def test_a_fresh_credential_replaces_the_old_one(connection):
    credentials.keep(connection, "guest", b"old", NOW)
    credentials.refuse(connection, kept(connection), NOW)

    credentials.keep(connection, "guest", b"new", NOW + SECOND)

    found = kept(connection)
    assert (found.sealed, found.refusals, found.retry_at) == (b"new", 0, None)


def test_a_refused_credential_rests_longer_each_time_up_to_four_hours(connection):
    credentials.keep(connection, "guest", b"x", NOW)
    pauses = []
    for _ in range(6):
        credentials.refuse(connection, kept(connection), NOW)
        pauses.append(kept(connection).retry_at)

    assert pauses == [
        NOW + timedelta(minutes=1),
        NOW + timedelta(minutes=10),
        NOW + timedelta(hours=1),
        *[NOW + timedelta(hours=4)] * 3,
    ]
    assert not kept(connection).may_be_used(NOW + timedelta(hours=3))
    assert kept(connection).may_be_used(NOW + timedelta(hours=4))


def test_the_refusal_of_an_old_credential_does_not_harm_a_fresh_one(connection):
    credentials.keep(connection, "guest", b"old", NOW)
    old = kept(connection)
    credentials.keep(connection, "guest", b"new", NOW + SECOND)

    credentials.refuse(connection, old, NOW + SECOND)

    assert kept(connection).refusals == 0


def test_a_credential_that_works_again_is_as_good_as_new(connection):
    credentials.keep(connection, "guest", b"x", NOW)
    credentials.refuse(connection, kept(connection), NOW)

    credentials.accept(connection, kept(connection))

    assert (kept(connection).refusals, kept(connection).retry_at) == (0, None)


def test_a_credential_that_nobody_needs_is_erased(connection):
    credentials.keep(connection, "guest", b"x", NOW)
    track(connection, 1, owner="sam")

    assert credentials.erase_unneeded(connection, kept(connection))
    assert not credentials.find(connection, ["guest"])


def test_while_a_task_lives_its_credential_stays(connection):
    track(connection, 1)
    credentials.keep(connection, "guest", b"x", NOW)
    [task] = live_tasks(connection)

    assert not credentials.erase_unneeded(connection, kept(connection))
    track_tasks.start_copying(connection, task)
    assert not credentials.erase_unneeded(connection, kept(connection))
    tasks.end(connection, task, NOW)
    assert credentials.erase_unneeded(connection, kept(connection))


def test_a_credential_that_was_kept_anew_meanwhile_is_not_erased(connection):
    credentials.keep(connection, "guest", b"old", NOW)
    old = kept(connection)
    credentials.keep(connection, "guest", b"new", NOW + SECOND)

    assert not credentials.erase_unneeded(connection, old)
    assert kept(connection).sealed == b"new"


def test_only_the_credentials_asked_for_are_found(connection):
    for owner in ("guest", "sam"):
        credentials.keep(connection, owner, b"x", NOW)

    assert set(credentials.find(connection, ["sam", "nobody"])) == {"sam"}
    assert credentials.find(connection, []) == {}


def a_caller(expires_at=NOW, sealed=None) -> verified_callers.VerifiedCaller:
    return verified_callers.VerifiedCaller(owner="guest", expires_at=expires_at, sealed=sealed)


def verified(connection, fingerprint: str) -> verified_callers.VerifiedCaller:
    found = verified_callers.find(connection, fingerprint)
    assert found is not None
    return found


def test_a_caller_is_found_as_it_was_kept(connection):
    verified_callers.keep(connection, "f", a_caller(NOW, b"sealed"))

    assert verified_callers.find(connection, "f") == a_caller(NOW, b"sealed")
    assert verified_callers.find(connection, "another") is None


def test_a_later_verdict_takes_the_place_of_an_earlier_one(connection):
    verified_callers.keep(connection, "f", a_caller(NOW))
    verified_callers.keep(connection, "f", a_caller(NOW + SECOND))

    assert verified(connection, "f").expires_at == NOW + SECOND


def test_a_caller_that_was_wrong_is_dropped(connection):
    verified_callers.keep(connection, "f", a_caller())
    verified_callers.drop(connection, "f")

    assert verified_callers.find(connection, "f") is None


def test_that_a_credential_was_right_is_known_for_a_while_and_without_its_token(connection):
    verified_callers.keep(connection, "old", a_caller(NOW - verified_callers.RIGHT_LATELY))
    verified_callers.keep(connection, "lately", a_caller(NOW, b"sealed"))
    verified_callers.keep(connection, "now", a_caller(NOW + SECOND, b"sealed"))

    verified_callers.forget_old(connection, NOW)

    assert verified_callers.find(connection, "old") is None
    assert verified_callers.find(connection, "lately") == a_caller(NOW)
    assert verified(connection, "now").sealed == b"sealed"


def attempt(connection, name: str, at: datetime) -> failed_logins.LoginAttempt:
    """Take a try that is free."""
    taken = failed_logins.take(connection, name, at)
    assert isinstance(taken, failed_logins.LoginAttempt)
    return taken


def test_a_name_has_three_tries_in_any_minute(connection):
    first = [attempt(connection, "name", NOW + n * SECOND) for n in range(3)]

    assert [each.place for each in first] == [0, 1, 2]
    assert failed_logins.take(connection, "name", NOW + 59 * SECOND) == NOW + 60 * SECOND
    assert attempt(connection, "name", NOW + 60 * SECOND).place == 0
    assert failed_logins.take(connection, "name", NOW + 60 * SECOND) == NOW + 61 * SECOND
    assert attempt(connection, "another", NOW).place == 0


def test_a_try_that_is_given_back_can_be_taken_again(connection):
    *_, last = (attempt(connection, "name", NOW) for _ in range(3))
    failed_logins.give_back(connection, last)

    assert attempt(connection, "name", NOW + SECOND).place == last.place


def test_tries_that_count_no_more_are_removed(connection):
    failed_logins.take(connection, "old", NOW - 60 * SECOND)
    failed_logins.take(connection, "new", NOW)

    failed_logins.forget(connection, NOW)

    assert connection.scalars(select(tables.wrong_tries.c.name)).all() == ["new"]


def test_a_renewed_credential_stands_in_the_place_of_the_one_it_renews(connection):
    credentials.keep(connection, "guest", b"first", NOW)
    kept = credentials.find(connection, ["guest"])["guest"]

    renewed = credentials.renew(connection, kept, b"second", NOW + SECOND)

    assert credentials.find(connection, ["guest"])["guest"] == renewed
    assert credentials.renew(connection, kept, b"third", NOW + SECOND) is None
    assert credentials.find(connection, ["guest"])["guest"].sealed == b"second"


def test_a_changed_key_decrypts_what_is_kept_and_what_others_keep_meanwhile(store, key_file):
    running = KeyRing(key_file)  # of a process that goes on
    with store.begin() as connection:
        credentials.keep(connection, "guest", running.encrypt("guest", "pw"), NOW)

    assert rotate_keys(store, key_file, forget_old=True) == 1

    with store.read() as connection:
        assert running.decrypt(credentials.find(connection, ["guest"])["guest"].sealed)[1] == "pw"
    assert KeyRing(key_file).decrypt(running.encrypt("sam", "pw")) == ("sam", "pw")
    assert len(key_file.read_bytes().split()) == 1
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_older_keys_stay_for_the_tokens_that_are_known_by_them(store, key_file):
    before = KeyRing(key_file).token_fingerprints("token")

    rotate_keys(store, key_file, forget_old=False)

    assert before[0] in KeyRing(key_file).token_fingerprints("token")
