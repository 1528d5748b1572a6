"""Whether a job has files in S3 and in Google's storage, asked of emulators over HTTP.

s3fs and the newest boto3 want different releases of botocore, so only `make oldest` has them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.ports import free_port
from tests.unit.ledger.conftest import ledger_job
from tracker_service.ledger.storage import FileStorage, PrefixStats

JOB, EMPTY = ledger_job(), ledger_job(3)
FILE = f"{JOB.prefix}deep/a.tgz"
ELSEWHERE = "the extra {} is not installed; `make oldest` runs this test"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3() -> Iterator[FileStorage]:
    pytest.importorskip("s3fs", reason=ELSEWHERE.format("s3"))
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", free_port())
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        requests.put(f"{url}/lab", timeout=60).raise_for_status()
        requests.put(f"{url}/lab/{FILE}", data=b"12345", timeout=60).raise_for_status()
        yield FileStorage("s3://{bucket}", {"endpoint_url": url, "key": "test", "secret": "test"})
    finally:
        server.stop()


@pytest.fixture(scope="module")
def gcs() -> Iterator[FileStorage]:
    pytest.importorskip("gcsfs", reason=ELSEWHERE.format("gcs"))
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    port = free_port()
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="lab")
    server.start()
    try:
        url = f"http://127.0.0.1:{port}"
        upload = {"uploadType": "media", "name": FILE}
        requests.post(
            f"{url}/upload/storage/v1/b/lab/o", params=upload, data=b"12345", timeout=60
        ).raise_for_status()
        yield FileStorage("gs://{bucket}", {"endpoint_url": url, "token": "anon"})
    finally:
        server.stop()


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_job_whose_bucket_has_a_file_below_its_prefix_has_files(request, kind):
    storage: FileStorage = request.getfixturevalue(kind)

    assert storage.has_files(JOB)
    assert not storage.has_files(EMPTY)
    assert not storage.has_files(ledger_job(bucket="nosuch"))
    assert storage.prefix_stats(JOB) == PrefixStats(1, 5)
