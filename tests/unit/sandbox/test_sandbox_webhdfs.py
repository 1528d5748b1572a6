from __future__ import annotations

import pytest


def refusal(answer):
    remote = answer.json["RemoteException"]
    return answer.status_code, remote["exception"], remote["message"].splitlines()[0]


def test_a_file_is_written_and_read_in_two_steps(guest):
    written = guest.write("/user/guest/new/a b.txt", b"\x00hello\xff")

    assert written.status_code == 201
    assert written.headers["Location"].endswith("/webhdfs/v1/user/guest/new/a%20b.txt")
    assert guest.read("/user/guest/new/a b.txt") == b"\x00hello\xff"


def test_a_part_of_a_file_is_read_by_offset_and_length(guest):
    guest.write("/user/guest/f", b"0123456789")

    assert guest.read("/user/guest/f", offset=3, length=4) == b"3456"


def test_an_offset_behind_the_end_is_refused_in_the_first_step(guest):
    guest.write("/user/guest/f", b"hello")

    status, exception, _ = refusal(guest.hdfs("/user/guest/f", "OPEN", offset=5))

    assert (status, exception) == (403, "IOException")


def test_a_large_file_comes_in_chunks_without_a_length(guest):
    guest.write("/user/guest/f", b"x" * 200_000)

    answer = guest.ask(guest.hdfs("/user/guest/f", "OPEN").headers["Location"])

    assert len(answer.data) == 200_000
    assert "Content-Length" not in answer.headers


def test_writing_where_one_may_not_is_refused_only_in_the_second_step(guest, sam):
    first = sam.hdfs("/user/guest/x", "CREATE", "PUT")
    second = sam.ask(first.headers["Location"], "PUT", data=b"x")

    assert first.status_code == 307
    assert refusal(second) == (
        403,
        "AccessControlException",
        'Permission denied: user=sam, access=WRITE, inode="/user/guest":guest:users:drwxr-xr-x',
    )
    assert "\n\tat org.apache.hadoop" in second.json["RemoteException"]["message"]


def test_an_existing_file_is_replaced_only_with_overwrite(guest):
    guest.write("/user/guest/f", b"old")

    assert refusal(guest.write("/user/guest/f", b"new"))[:2] == (403, "FileAlreadyExistsException")
    assert guest.write("/user/guest/f", b"new", overwrite="true").status_code == 201
    assert guest.read("/user/guest/f") == b"new"


def test_a_private_file_cannot_be_opened_by_others(guest, sam):
    guest.write("/user/guest/f", b"mine", permission=600)

    assert refusal(sam.hdfs("/user/guest/f", "OPEN")) == (
        403,
        "AccessControlException",
        'Permission denied: user=sam, access=READ, inode="/user/guest/f":guest:users:-rw-------',
    )


def test_users_share_a_group(guest, sam):
    guest.write("/user/guest/f", b"ours", permission=640)

    assert sam.read("/user/guest/f") == b"ours"


def test_a_location_works_for_any_user_but_not_without_one(guest, gateway):
    guest.write("/user/guest/f", b"hello")
    location = guest.hdfs("/user/guest/f", "OPEN").headers["Location"]

    assert guest.client.open(location).status_code == 401


def test_a_changed_location_gives_500_and_nothing_else(guest):
    location = guest.hdfs("/user/guest/f", "CREATE", "PUT").headers["Location"]

    answer = guest.ask(location[:-4] + "AAAA", "PUT", data=b"x")

    assert (answer.status_code, answer.data) == (500, b"")


def test_rename_leaves_an_existing_target_alone(guest):
    guest.write("/user/guest/a", b"a")
    guest.write("/user/guest/b", b"b")

    answer = guest.hdfs("/user/guest/a", "RENAME", "PUT", destination="/user/guest/b")

    assert (answer.status_code, answer.json) == (200, {"boolean": False})
    assert guest.read("/user/guest/b") == b"b"


def test_rename_with_overwrite_replaces_and_answers_nothing(guest):
    guest.write("/user/guest/a", b"a")
    guest.write("/user/guest/b", b"b")

    answer = guest.hdfs(
        "/user/guest/a",
        "RENAME",
        "PUT",
        destination="/user/guest/b",
        renameoptions="OVERWRITE",
    )

    assert (answer.status_code, answer.data) == (200, b"")
    assert guest.read("/user/guest/b") == b"a"
    assert guest.hdfs("/user/guest/a", "GETFILESTATUS").status_code == 404


@pytest.mark.parametrize("destination", ["/user/guest/no/parent", "/user/guest/f/below"])
def test_rename_needs_an_existing_parent(guest, destination):
    guest.write("/user/guest/f", b"a")

    answer = guest.hdfs("/user/guest/f", "RENAME", "PUT", destination=destination)

    assert answer.json != {"boolean": True}


def test_rename_moves_into_a_directory(guest):
    guest.write("/user/guest/f", b"a")
    guest.hdfs("/user/guest/d", "MKDIRS", "PUT")

    guest.hdfs("/user/guest/f", "RENAME", "PUT", destination="/user/guest/d")

    assert guest.read("/user/guest/d/f") == b"a"


def test_a_directory_with_content_is_deleted_only_recursively(guest):
    guest.write("/user/guest/d/f", b"")

    assert refusal(guest.hdfs("/user/guest/d", "DELETE", "DELETE"))[0] == 403
    assert guest.hdfs("/user/guest/d", "DELETE", "DELETE", recursive="true").json["boolean"]
    assert not guest.hdfs("/user/guest/d", "DELETE", "DELETE").json["boolean"]


def test_the_sticky_bit_keeps_others_from_deleting(guest, sam):
    guest.write("/tmp/f", b"", permission=666)

    _, _, message = refusal(sam.hdfs("/tmp/f", "DELETE", "DELETE"))

    assert message == (
        'Permission denied by sticky bit: user=sam, path="/tmp/f":guest:hadoop:-rw-rw-rw-, '
        'parent="/tmp":hdfs:hadoop:drwxrwxrwt'
    )


def test_only_the_owner_changes_permissions(guest, sam):
    guest.write("/user/guest/f", b"")

    assert guest.hdfs("/user/guest/f", "SETPERMISSION", "PUT", permission=600).data == b""
    assert guest.hdfs("/user/guest/f", "GETFILESTATUS").json["FileStatus"]["permission"] == "600"
    assert refusal(sam.hdfs("/user/guest/f", "SETPERMISSION", "PUT", permission=777)) == (
        403,
        "AccessControlException",
        "Permission denied. user=sam is not the owner of inode=/user/guest/f",
    )


def test_a_listing_describes_entries_by_name(guest, clock):
    guest.write("/user/guest/d/b", b"12345")
    guest.hdfs("/user/guest/d/a", "MKDIRS", "PUT", permission=700)

    directory, file = guest.hdfs("/~/d", "LISTSTATUS").json["FileStatuses"]["FileStatus"]

    assert (directory["pathSuffix"], directory["type"], directory["permission"]) == (
        "a",
        "DIRECTORY",
        "700",
    )
    assert (file["pathSuffix"], file["length"], file["modificationTime"]) == (
        "b",
        5,
        clock.now * 1000,
    )


def test_a_file_lists_itself_with_an_empty_name(guest):
    guest.write("/user/guest/f", b"")

    (entry,) = guest.hdfs("/user/guest/f", "LISTSTATUS").json["FileStatuses"]["FileStatus"]

    assert entry["pathSuffix"] == ""


@pytest.mark.parametrize(
    ("path", "operation", "method", "query", "expected"),
    [
        ("/no", "GETFILESTATUS", "GET", {}, (404, "File does not exist: /no")),
        ("/no", "OPEN", "GET", {}, (404, "File /no not found.")),
        ("/user/guest/../../tmp", "GETFILESTATUS", "GET", {}, (404, None)),
        ("/", "NONSENSE", "GET", {}, (400, None)),
        ("/", "", "GET", {}, (400, "op=NULL is not supported")),
        ("/no", "SETPERMISSION", "PUT", {"permission": "999"}, (400, None)),
        ("/no", "CREATE", "PUT", {"overwrite": "maybe"}, (400, None)),
        ("/no", "RENAME", "PUT", {"destination": "k"}, (400, None)),
        ("/no", "RENAME", "PUT", {}, (400, None)),
        ("/no", "OPEN", "GET", {"offset": "x"}, (400, None)),
        ("/", "DELETE", "DELETE", {}, (403, None)),
        ("/", "RENAME", "PUT", {"destination": "/tmp/root"}, (403, None)),
        ("/user/guest/../x", "MKDIRS", "PUT", {}, (400, None)),
    ],
)
def test_what_makes_no_sense_is_refused(guest, path, operation, method, query, expected):
    status, _, message = refusal(guest.hdfs(path, operation, method, **query))

    assert status == expected[0]
    assert expected[1] in (None, message)


def test_the_home_directory_names_the_caller(guest):
    assert guest.hdfs("/user/guest", "GETHOMEDIRECTORY").json == {"Path": "/user/guest"}
