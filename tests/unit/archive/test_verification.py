from __future__ import annotations

import hashlib
from collections.abc import Generator

import pytest

from tests.unit.calls import GUEST, assert_problem, get, post, save_copies
from tests.unit.fakes import APP_1, APP_2, NOW, FakeHdfs, a_copy, action, details, job
from tracker_service.archive.verification import verify
from tracker_service.domain.copies import Contents, CopyStatus, WrittenLog
from tracker_service.errors import AccessDenied, GatewayUnavailable, RequestRefused
from tracker_service.sources.webhdfs import OpenFile
from tracker_service.store import copies

SHA = hashlib.sha256(b"one\n").hexdigest()
SAVED = a_copy(status=CopyStatus.SUCCEEDED, path="/1.log", bytes=4, sha256=SHA)


def test_a_log_that_is_what_was_saved_is_intact():
    assert verify(FakeHdfs(files={"/1.log": b"one\n"}), SAVED).is_intact is True


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"one", "3 bytes, not 4"), (b"two\n", f"not {SHA}"), (b"", "0 bytes, not 4")],
)
def test_a_log_that_was_changed_is_not(content, told):
    verdict = verify(FakeHdfs(files={"/1.log": content}), SAVED)

    assert verdict.is_intact is False
    assert told in verdict.explanation
    assert "/1.log" in verdict.explanation


def test_a_log_that_somebody_removed_is_missing():
    verdict = verify(FakeHdfs(), SAVED)

    assert (verdict.is_intact, verdict.explanation) == (False, "/1.log is missing")


@pytest.mark.parametrize("error", [AccessDenied("denied"), RequestRefused("no block")])
def test_a_log_that_cannot_be_read_is_not_intact(error):
    verdict = verify(FakeHdfs(troubles={"/1.log": error}), SAVED)

    assert (verdict.is_intact, verdict.explanation) == (False, f"not readable: {error}")


def test_while_the_cluster_is_away_nobody_calls_a_log_damaged():
    with pytest.raises(GatewayUnavailable):
        verify(FakeHdfs(troubles={"/1.log": GatewayUnavailable()}), SAVED)


@pytest.mark.parametrize(
    "copy",
    [
        a_copy(reason="in a queue"),
        a_copy(status=CopyStatus.SUCCEEDED, bytes=4),
        a_copy(status=CopyStatus.SUCCEEDED, sha256=SHA),
        a_copy(
            status=CopyStatus.RUNNING,
            bytes=4,
            sha256="of the log before",
            saved_at=NOW,
            part=WrittenLog(9, SHA, Contents()),
        ),
    ],
)
def test_what_has_no_checksum_is_neither_intact_nor_damaged(copy):
    assert verify(FakeHdfs(files={copy.path: b"one\n"}), copy).is_intact is None


def test_a_log_of_any_length_is_read_piece_by_piece():
    pieces, held = 1000, []

    class Endless(FakeHdfs):
        def read(self, path: str) -> OpenFile:
            def stream() -> Generator[bytes, None, None]:
                for _ in range(pieces):
                    held.append(1)
                    yield b"x" * 1024

            return OpenFile(pieces * 1024, stream())

    whole = hashlib.sha256(b"x" * 1024 * pieces).hexdigest()
    copy = a_copy(status=CopyStatus.SUCCEEDED, bytes=pieces * 1024, sha256=whole)
    assert verify(Endless(), copy).is_intact is True
    assert len(held) == pieces


def test_what_was_opened_is_closed_also_if_its_length_is_wrong():
    hdfs = FakeHdfs(files={"/1.log": b"longer than before\n"})
    verify(hdfs, SAVED)

    with pytest.raises(StopIteration):
        next(hdfs.streams[0])


@pytest.fixture
def saved(client, oozie, store, fake_cluster):
    """Two saved logs, of which the second is damaged."""
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1, child_ids=APP_2)))
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED, CopyStatus.SUCCEEDED)
    with store.begin() as connection:
        for copy in copies.of_tasks(connection, [1])[1]:
            copies.change(connection, copy, sha256=SHA)
    files = fake_cluster.homes["guest"].files
    for application, content in ((APP_1, b"one\n"), (APP_2, b"two\n")):
        files[f"/user/guest/WORK/logs/{job(1)}/{application}.log"] = content
    return fake_cluster.homes["guest"]


STATUS = f"/api/job/{job(1)}/logs/status"


def test_saved_logs_are_verified_on_request_alone(client, saved):
    told = get(client, f"{STATUS}?verify=true").json["jobs"]
    assert [each["verified"] for each in told.values()] == [True, False]
    assert told[APP_1[12:]]["verdict"] == "intact"
    assert "SHA-256" in told[APP_2[12:]]["verdict"]

    unasked = get(client, STATUS).json["jobs"]
    assert {(each["verified"], each["verdict"]) for each in unasked.values()} == {(None, None)}


def test_only_the_named_applications_are_read(client, saved):
    told = get(client, f"{STATUS}?verify=true&id={APP_1[12:]}").json["jobs"]

    assert [each["verified"] for each in told.values()] == [True, None]
    assert [path.rpartition("/")[2] for path in saved.opened] == [f"{APP_1}.log"]


def test_an_application_that_the_job_does_not_have_is_not_verified(client, saved):
    assert_problem(get(client, f"{STATUS}?verify=true&id=1_0009"), 404)
    assert_problem(get(client, f"{STATUS}?verify=yes"), 400)


def test_logs_are_not_damaged_while_the_cluster_does_not_answer(client, saved):
    saved.troubles[f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"] = GatewayUnavailable("away")

    assert "away" in assert_problem(get(client, f"{STATUS}?verify=true"), 503)


def test_a_job_without_copies_has_nothing_to_verify(client, oozie):
    answer = client.get(f"/api/job/{job(2)}/logs/status?verify=true", auth=GUEST)

    assert (answer.status_code, answer.json["jobs"]) == (200, {})
