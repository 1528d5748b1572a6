"""What the service relies on in HDFS, of each kind of server that may stand behind the gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stands import Stand, access, httpfs
from tracker_service.errors import PathNotFound
from tracker_service.sources.webhdfs import WebHdfs

CONTENT = b"a newer log\n"


@pytest.fixture(scope="module", params=["WebHDFS", "HttpFS"])
def hdfs(stand: Stand, request: pytest.FixtureRequest) -> Iterator[WebHdfs]:
    """HDFS as guest, through the NameNode or through HttpFS."""
    if request.param == "WebHDFS":
        yield access(stand).hdfs
        return
    with httpfs(stand) as address:
        yield access(address).hdfs


@pytest.fixture
def directory(hdfs: WebHdfs) -> str:
    path = f"{hdfs.home()}/contract/variants"
    hdfs.delete(path)
    hdfs.make_directory(path)
    return path


@pytest.mark.parametrize("old", [b"an older log\n", None])
def test_a_file_takes_the_place_of_another(
    hdfs: WebHdfs, directory: str, old: bytes | None
) -> None:
    if old:
        hdfs.write(f"{directory}/log", old)
    hdfs.write(f"{directory}/part", CONTENT)

    hdfs.rename(f"{directory}/part", f"{directory}/log")

    assert hdfs.head(f"{directory}/log", 99) == CONTENT
    assert [entry.name for entry in hdfs.list(directory)] == ["log"]


def test_what_is_not_there_takes_no_place(hdfs: WebHdfs, directory: str) -> None:
    hdfs.write(f"{directory}/log", CONTENT)

    with pytest.raises(PathNotFound):
        hdfs.rename(f"{directory}/part", f"{directory}/log")

    assert hdfs.head(f"{directory}/log", 99) == CONTENT


def test_the_home_directory_is_there_and_named_after_its_user(hdfs: WebHdfs) -> None:
    assert hdfs.home().rpartition("/")[2] == hdfs.user()
    assert hdfs.status(hdfs.home()).is_directory
