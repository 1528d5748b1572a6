"""Which names users may have, and what is taken off from the names of proxies."""

from __future__ import annotations

import pytest

from tracker_service.domain.users import NoUserNameError, UserNames, safe_user

WIDE = r"^[\w.@+$\\ -]+$"


@pytest.mark.parametrize("name", ["guest", "svc_etl$", "_x", "a.b-c", "A" * 65, "A" * 255])
def test_names_that_fit_hadoops_own_pattern_are_users(name):
    assert UserNames().claimed(name) == safe_user(name) == name


@pytest.mark.parametrize(
    "name",
    ["alice@example.com", "a+b", "EXAMPLE\\alice", "alice smith", "álvaro", "4711", "王" * 85],
)
def test_other_names_are_users_where_hdfs_says_so_or_the_pattern_is_wider(name):
    with pytest.raises(NoUserNameError, match=r"gateway\.user_pattern.*gateway\.user_realms"):
        UserNames().claimed(name)

    assert safe_user(name) == name
    assert UserNames(WIDE).claimed(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "...",
        "a/b",
        "../alice",
        "a\0b",
        "a\nb",
        "a\x1b[31m",
        "a\x85b",
        "a\u2028b",
        "a\u202eb",
        "a\u200bb",
        "a\xa0b",
        "a\ud800",
        "a\uffff",
        "a\ue000",
        "-rf",
        " alice",
        "alice ",
        "alice:x",
        "ali*",
        "${user}",
        "a;status=KILLED",
        "#LATEST",
        "A" * 256,
        "á" * 128,
    ],
)
def test_no_pattern_lets_a_name_leave_its_directory_or_spoil_a_document(name):
    with pytest.raises(NoUserNameError, match="can be no user here"):
        safe_user(name)
    with pytest.raises(NoUserNameError):
        UserNames(".*").claimed(name)
    with pytest.raises(NoUserNameError):
        UserNames(".*", ("EXAMPLE.COM",)).of_proxy(f"{name}@EXAMPLE.COM")


def test_a_realm_that_is_named_is_taken_off_and_no_other():
    names = UserNames(realms=("EXAMPLE.COM", "EXAMPLE"))

    assert names.of_proxy("alice@EXAMPLE.COM") == "alice"
    assert names.of_proxy("alice@example.com") == "alice"
    assert names.of_proxy("EXAMPLE\\alice") == "alice"
    assert names.of_proxy("alice") == "alice"
    for foreign in ("alice@EVIL.COM", "EVIL\\alice", "@EXAMPLE.COM", "alice@EXAMPLE.COM@EVIL.COM"):
        with pytest.raises(NoUserNameError):
            names.of_proxy(foreign)
    with pytest.raises(NoUserNameError):  # only proxies add realms
        names.claimed("alice@EXAMPLE.COM")
