"""What other users notice while somebody attacks: the time of their requests, copies and looks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.acceptance.service import RunningService
from tests.attacks.test_bombs import BOMBS
from tests.profiles import IS_LONG
from tests.stands import SandboxStand, sandbox_stand
from tests.unit.saved_logs import a_file
from tests.waiting import until

pytestmark = pytest.mark.skipif(not IS_LONG, reason="before a release: TESTS_PROFILE=long")
ASKED = 200
ATTACKERS = 16  #: as many logs as one user may read at once
QUERIES = ("grep=[a-m][a-z ]{350}[0-9]", "format=json")
HALF = b"POST /api/task/track/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"


@pytest.fixture(scope="module")
def stand() -> Iterator[SandboxStand]:
    with sandbox_stand() as running:
        yield running


@pytest.fixture
def service(stand: SandboxStand, tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(stand, tmp_path / "state", TRACKER_COPYING__REDACT=True)
    yield running
    running.end()


def _failed(stand: SandboxStand, user: str, number: int) -> list[str]:
    """Return jobs of a user whose logs the cluster has aggregated."""
    jobs = [stand.start("fail", user) for _ in range(number)]
    cluster = stand.server.cluster

    def has_logs(job: str) -> bool:
        with cluster.settled():
            return all(_files(stand, job, user))

    until(lambda: all(map(has_logs, jobs)))
    return jobs


def _files(stand: SandboxStand, job: str, user: str) -> list[list[str]]:
    """Return the aggregated files of each application of a job."""
    cluster = stand.server.cluster
    found = []
    for application in cluster.jobs[job].applications:
        directory = application.log_directory
        try:
            listed = list(cluster.hdfs.list(directory, user))
        except Exception:  # it is not there yet
            listed = []
        found.append([f"{directory}/{name}" for name, _ in listed])
    return found


def _put(stand: SandboxStand, path: str, user: str, content: bytes) -> None:
    """Put something else over a file of a user, as its owner can."""
    with stand.server.cluster.settled():
        node = stand.server.cluster.hdfs.check_readable(path, user)
        node.length, node.content = len(content), lambda: content


def _p95_s(url: str) -> float:
    """Return how long sam waits for an answer, by the clock of a process that only asks."""
    curl = ["curl", "--silent", "--user", "sam:sam-password", "--output", "/dev/null"]
    curl += ["--write-out", "%{http_code} %{time_total}", url]
    spent = []
    for _ in range(ASKED):
        status, seconds = subprocess.check_output(curl, text=True, timeout=60).split()
        assert status == "200"
        spent.append(float(seconds))
    return sorted(spent)[len(spent) * 95 // 100]


def _noticed(stand: SandboxStand, service: RunningService, saved: str) -> str:
    """Measure what sam notices; return it for the table."""
    began = time.monotonic()
    job = stand.start("fail", "sam")
    service.track(job, user="sam")
    passed: list[float] = []

    def follow() -> None:
        service.wait_for(job, "KILLED", user="sam")
        passed.append(time.monotonic() - began)
        service.wait_saved(job, "sam")
        passed.append(time.monotonic() - began)

    follower = Thread(target=follow)
    follower.start()
    state = _p95_s(f"{service.url}/api/job/{saved}/status")
    log = _p95_s(f"{service.url}/api/job/{saved}/logs")
    health = _p95_s(f"{service.url}/healthz")
    follower.join()
    ended_s, copied_s = passed
    return (
        f"GET p95 {state * 1000:.0f} ms, log {log * 1000:.0f} ms, health {health * 1000:.0f} ms, "
        f"a job's end is seen after {ended_s:.1f} s, its log saved after {copied_s:.1f} s"
    )


@contextmanager
def _readers(service: RunningService, path: str, query: str) -> Iterator[None]:
    """Start processes of their own in which tom reads something again and again.

    They have the lowest priority: in the field their computing is done on other machines. After a
    refusal they wait a second; whoever does not is for nginx (`limit_req`).
    """
    ask = (
        "while :; do curl --silent --fail --output /dev/null --user tom:tom-password --get "
        f"--data-urlencode '{query}' {service.url}/api/{path} || sleep 1; done"
    )
    readers = [
        subprocess.Popen(["nice", "-n", "19", "sh", "-c", ask], start_new_session=True)
        for _ in range(ATTACKERS)
    ]
    try:
        yield
    finally:
        for reader in readers:
            os.killpg(reader.pid, signal.SIGKILL)
            reader.wait()


def test_others_during_attacks(stand: SandboxStand, service: RunningService, row) -> None:
    [saved] = _failed(stand, "sam", 1)
    service.track(saved, user="sam")
    service.wait_saved(saved, "sam")
    row("others", "nobody attacks", _noticed(stand, service, saved))

    bombs = _bombs(stand)
    service.track(*bombs, user="tom")
    row("others", f"{len(bombs)} bombs are copied", _noticed(stand, service, saved))

    path = _long_log(stand, service)
    for query in QUERIES:
        with _readers(service, path, query):
            row("others", f"{ATTACKERS} readers: {query}", _noticed(stand, service, saved))

    with ExitStack() as stack:
        port = int(service.url.rpartition(":")[2])
        for said in (b"", HALF) * 40:
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            silent.sendall(said)
        row("others", "40 silent clients, 40 half bodies", _noticed(stand, service, saved))


def test_the_worker_stops_soon_while_it_reads_bombs(
    stand: SandboxStand, service: RunningService, row
) -> None:
    bombs = _bombs(stand)
    service.track(*bombs, user="tom")
    until(lambda: service.query("SELECT 1 FROM copies WHERE status = 'RUNNING'"))
    began = time.monotonic()

    assert service.stop() == 0

    row(
        "others",
        f"SIGTERM while {len(bombs)} bombs are copied",
        f"{time.monotonic() - began:.1f} s",
    )


def test_the_service_stops_soon_while_logs_are_searched(
    stand: SandboxStand, service: RunningService, row
) -> None:
    path = _long_log(stand, service)
    for query in QUERIES:
        with _readers(service, path, query):
            until(lambda: service.get(path, "tom", params={"lines": "1"}).status_code == 429)
            began = time.monotonic()
            assert service.stop() == 0
            spent_s = time.monotonic() - began
        row("others", f"SIGTERM while {ATTACKERS} read: {query}", f"{spent_s:.1f} s")
        service.start()


def _long_log(stand: SandboxStand, service: RunningService) -> str:
    """Have a log of 100 MB saved for tom; return its path in the API."""
    [job] = _failed(stand, "tom", 1)
    service.track(job, user="tom")
    assert service.wait_saved(job, "tom")
    [path] = [p for p in _logs_of(stand, job) if p.endswith(".log")]
    _put(stand, path, "tom", a_file("container_1_01", "f", b"abcd efgh\n" * 10_000_000))
    application = path.rpartition("application_")[2].removesuffix(".log")
    return f"job/{job}/logs/{application}"


def _bombs(stand: SandboxStand) -> list[str]:
    """Return jobs of tom with a bomb in place of each log."""
    jobs = _failed(stand, "tom", len(BOMBS))
    for job, bomb in zip(jobs, BOMBS.values(), strict=True):
        content = bomb()
        for [path, *_] in _files(stand, job, "tom"):
            _put(stand, path, "tom", content)
    return jobs


def _logs_of(stand: SandboxStand, job: str) -> list[str]:
    directory = f"/user/tom/WORK/logs/{job}"
    return [f"{directory}/{name}" for name, _ in stand.server.cluster.hdfs.list(directory, "tom")]
