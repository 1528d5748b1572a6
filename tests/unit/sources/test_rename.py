"""RENAME of each server variant: a NameNode that replaces in one step, and HttpFS that cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest

from tracker_service.domain.copies import aside_path
from tracker_service.errors import GatewayUnavailable, PathNotFound, RequestRefused
from tracker_service.sandbox.server import SandboxServer
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import Gateway
from tracker_service.sources.webhdfs import WebHdfs

HOME = "/user/guest"
LOG, PART = f"{HOME}/log", f"{HOME}/log.part"
ASIDE = aside_path(LOG)


@pytest.fixture(params=["NameNode", "HttpFS"])
def server(request: pytest.FixtureRequest) -> Iterator[SandboxServer]:
    with SandboxServer() as sandbox:
        sandbox.gateway.webhdfs.plays_httpfs = request.param == "HttpFS"
        yield sandbox


@pytest.fixture
def hdfs(server: SandboxServer) -> WebHdfs:
    route = Gateway(url=server.url)
    return ClusterAccess(route, BasicCredential("guest", "guest-password"), 100).hdfs


def names(hdfs: WebHdfs) -> set[str]:
    return {entry.name for entry in hdfs.list(HOME)}


@pytest.mark.parametrize("old", [b"an older one", None])
@pytest.mark.parametrize("left", [b"left by a crash", None])
def test_a_file_takes_the_place_of_another_and_nothing_is_left(hdfs, server, old, left):
    if left and not server.gateway.webhdfs.plays_httpfs:
        pytest.skip("a NameNode that replaces in one step leaves nothing aside")
    if old:
        hdfs.write(LOG, old)
    if left:
        hdfs.write(ASIDE, left)
    hdfs.write(PART, b"new")

    hdfs.rename(PART, LOG)

    assert hdfs.head(LOG, 99) == b"new"
    assert names(hdfs) == {"log"}


def test_of_nothing_nothing_is_renamed_and_the_old_file_stays(hdfs):
    hdfs.write(LOG, b"old")

    with pytest.raises(PathNotFound):
        hdfs.rename(PART, LOG)

    assert hdfs.head(LOG, 99) == b"old"
    assert names(hdfs) == {"log"}


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 7])
def test_after_a_crash_between_two_steps_it_can_be_called_again(hdfs, monkeypatch, steps):
    hdfs.write(LOG, b"old")
    hdfs.write(PART, b"new")
    done = count(1)
    request = hdfs._client._request

    def crashing(*args, **named):
        if next(done) > steps:
            raise GatewayUnavailable("crashed")
        return request(*args, **named)

    with monkeypatch.context() as broken:
        broken.setattr(hdfs._client, "_request", crashing)
        with suppress(GatewayUnavailable):
            hdfs.rename(PART, LOG)

    found = {name: hdfs.head(f"{HOME}/{name}", 9) for name in names(hdfs)}
    assert b"new" in found.values()
    assert found.get("log", found.get("log.replaced")) in (b"old", b"new")
    if "log.part" in found:
        hdfs.rename(PART, LOG)
    assert hdfs.head(LOG, 9) == b"new"
    if steps > 6:
        assert names(hdfs) == {"log"}


def test_a_rename_that_is_refused_puts_the_old_file_back(hdfs, server, monkeypatch):
    if not server.gateway.webhdfs.plays_httpfs:
        pytest.skip("a NameNode that replaces in one step moves nothing aside")
    hdfs.write(LOG, b"old")
    hdfs.write(PART, b"new")
    plainly = hdfs._rename_plainly
    monkeypatch.setattr(
        hdfs, "_rename_plainly", lambda one, other: one != PART and plainly(one, other)
    )

    with pytest.raises(RequestRefused, match="did not rename"):
        hdfs.rename(PART, LOG)

    assert hdfs.head(LOG, 9) == b"old"
