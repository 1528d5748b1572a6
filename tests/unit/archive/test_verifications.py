from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import pytest

from tests.unit.fakes import NOW, FakeHdfs, a_copy
from tests.waiting import until
from tracker_service.archive.verification import Verifications
from tracker_service.domain.copies import Copy, CopyStatus
from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.webhdfs import OpenFile

TEXT = b"one\n"


def saved(name: str) -> Copy:
    sha = hashlib.sha256(TEXT).hexdigest()
    return a_copy(id=name, path=f"/{name}", status=CopyStatus.SUCCEEDED, bytes=4, sha256=sha)


@dataclass
class SlowHdfs(FakeHdfs):
    """Gives no byte of a long log before a test lets it."""

    go_on: Event = field(default_factory=Event)

    def read(self, path: str) -> OpenFile:
        self.opened.append(path)
        if path.startswith("/long"):
            self.go_on.wait(60)
        return OpenFile(len(TEXT), (piece for piece in [TEXT]))


@pytest.fixture
def hdfs() -> Iterator[SlowHdfs]:
    slow = SlowHdfs()
    yield slow
    slow.go_on.set()


@pytest.fixture
def verifications(hdfs: SlowHdfs) -> Iterator[Verifications]:
    with ThreadPoolExecutor(2) as executor:
        yield Verifications(executor, patience_s=0.2)
        hdfs.go_on.set()


def test_a_long_log_holds_no_request_and_its_verdict_comes_later(verifications, hdfs):
    [first] = verifications.verdicts(hdfs, "guest", [saved("long")]).values()
    assert (first.is_intact, first.is_pending) == (None, True)
    assert "ask again" in first.explanation

    hdfs.go_on.set()

    def verdict():
        [found] = verifications.verdicts(hdfs, "guest", [saved("long")]).values()
        return None if found.is_pending else found

    assert until(verdict).is_intact is True
    assert hdfs.opened == ["/long"]


def test_one_user_has_one_log_read_at_a_time_and_keeps_nobody_else_waiting(verifications, hdfs):
    verifications.verdicts(hdfs, "guest", [saved(f"long-{n}") for n in range(9)])

    [other] = verifications.verdicts(hdfs, "sam", [saved("short")]).values()

    assert other.is_intact is True
    assert hdfs.opened == ["/long-0", "/short"]


def test_who_asks_again_later_has_the_log_read_again(verifications, hdfs):
    for _ in range(2):
        assert verifications.verdicts(hdfs, "guest", [saved("short")])["short"].is_intact

    assert hdfs.opened == ["/short", "/short"]


def test_an_outage_is_told_to_the_one_who_asks(verifications):
    hdfs = FakeHdfs(troubles={"/short": GatewayUnavailable("away")})

    with pytest.raises(GatewayUnavailable, match="away"):
        verifications.verdicts(hdfs, "guest", [saved("short")])


def test_a_log_that_was_saved_anew_is_another_one(verifications, hdfs):
    verifications.verdicts(hdfs, "guest", [saved("long")])
    again = a_copy(
        id="long",
        path="/short",
        status=CopyStatus.SUCCEEDED,
        bytes=4,
        saved_at=NOW.replace(year=2027),
    )

    assert again.saved_at != saved("long").saved_at
    assert verifications.verdicts(hdfs, "sam", [again])["long"].is_pending is False
