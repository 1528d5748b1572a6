"""Counts in files whose disk is full, or cannot be written at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import values

from tests.unit.test_metrics import samples
from tracker_service import metrics
from tracker_service.metrics import Metrics

pytestmark = pytest.mark.slow

HTTP = "tracker_http_request_duration_seconds_count"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with the counts of this process."""
    for name in ("ValueClass", "MmapedDict"):
        monkeypatch.setattr(values, name, getattr(values, name))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    metrics.share(tmp_path / "metrics")
    kind, opened = vars(values)["MmapedDict"], []

    def noted(*given: object):
        opened.append(kind(*given))
        return opened[-1]

    monkeypatch.setattr(values, "MmapedDict", noted)
    yield tmp_path / "metrics"
    for each in opened:
        each.close()


def counted(counts: Metrics) -> float:
    text = counts.exposition([]).decode()
    return sum(height for key, height in samples(text).items() if key[0] == HTTP)


def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Fill the disk as long as the list has an entry."""
    full, reserve = [True], os.posix_fallocate

    def no_room(*place: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(*place)

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    return full


def test_files_of_counts_have_their_room_before_they_are_mapped(shared):
    counts = Metrics()
    for number in range(1000):  # the file grows
        counts.http_request("GET", f"/a/long/route/{number}", 200, 0.1)

    assert counted(counts) == 1000
    for file in shared.iterdir():
        assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_without_room_nothing_is_counted_and_nothing_fails(shared, monkeypatch):
    full_disk(monkeypatch)

    counts = Metrics()
    counts.http_request("GET", "/", 200, 0.1)
    counts.lease_lost()

    assert counted(counts) == 0
    assert counts.lease_losses() == 0
    assert list(shared.iterdir()) == []


def test_once_there_is_room_it_is_counted_again(shared, monkeypatch):
    full = full_disk(monkeypatch)
    monkeypatch.setattr(metrics, "_TRIED_AGAIN_S", 0.0)
    counts = Metrics()
    counts.http_request("GET", "/", 200, 0.1)
    full.clear()

    counts.http_request("GET", "/", 200, 0.1)

    assert counted(counts) == 1


def test_a_file_that_cannot_grow_keeps_what_it_has(shared, monkeypatch):
    counts = Metrics()
    counts.http_request("GET", "/", 200, 0.1)
    full_disk(monkeypatch)

    for number in range(1000):
        counts.http_request("GET", f"/a/long/route/{number}", 200, 0.1)
    counts.http_request("GET", "/", 200, 0.1)

    assert 2 <= counted(counts) < 1000


def test_where_no_directory_can_be_made_each_process_counts_for_itself(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    metrics.share(Path("/proc/no/metrics"))

    assert not metrics.are_shared()


FILL = """
import sys
from pathlib import Path
from tracker_service import metrics
metrics.share(Path(sys.argv[1]) / "metrics")
with open(sys.argv[1] + "/filler", "wb", buffering=0) as filler:
    try:
        while True:
            filler.write(bytes(4096))
    except OSError:
        pass
counts = metrics.Metrics()
for number in range(1000):
    counts.http_request("GET", f"/{number}", 200, 0.1)
print("alive")
"""


def test_a_process_survives_a_disk_that_is_full(tmp_path):
    mount = f"mount -t tmpfs -o size=200k tmpfs {tmp_path}"
    command = f"{mount} && exec {sys.executable} -c '{FILL}' {tmp_path}"

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, check=False
    )

    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no tmpfs of its own can be mounted here: {done.stderr}")
    assert done.stdout.endswith("alive\n"), (done.returncode, done.stderr)
