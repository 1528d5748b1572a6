"""Measure checks: 10,000 a minute, beside others, after a kill, with endpoints that hang, files."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.waiting import until
from tracker_service.checks.enrolment import Enrolment
from tracker_service.checks.files import Directories
from tracker_service.checks.grammar import Secrets
from tracker_service.identities.keys import KeyRing
from tracker_service.store.database import Store

CHECKS, BESIDE, HANGING = 10_000, 1_000, 100
WATCHED_S = 60.0
LEASE_S = 5.0
_BODY = b'{"status": "ok"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n" + _BODY
_FORK = multiprocessing.get_context("fork")


class _Answers(asyncio.Protocol):
    """Answers each request; what begins with `/hang` gets no answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"GET /hang"):
            self._transport.write(_ANSWER)  # type: ignore[attr-defined]


def _serve(parent: Connection) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Answers, "127.0.0.1", 0, backlog=4096)
        parent.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def endpoints() -> Iterator[str]:
    """Serve any number of endpoints; yields their authority."""
    ours, theirs = _FORK.Pipe()
    process = _FORK.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    yield f"127.0.0.1:{ours.recv()}"
    process.kill()
    process.join()


def write_files(directory: Path, names: Sequence[str], cron: str, timeout: str = "5s") -> None:
    """Write files with 100 checks each."""
    directory.mkdir(exist_ok=True)
    for first in range(0, len(names), 100):
        text = "".join(
            f'{name}:\n  cron_schedule: "{cron}"\n  response_json_values: [status]\n'
            f"  success_test: {{key: status, value: ok}}\n  timeout: {timeout}\n"
            for name in names[first : first + 100]
        )
        (directory / f"{first:06}-{timeout}.yml").write_text(text)


@contextmanager
def workers(
    home: Path, count: int, url: str | None = None
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run workers on the files of a directory."""
    tracker = str(Path(sys.executable).with_name("tracker"))
    settings = {"directories": [str(home / "checks")], "per_host": 200, "spread_s": 55}
    environment = os.environ | {
        "TRACKER_STATE_DIR": str(home),
        "TRACKER_CHECKS": json.dumps(settings),
        "TRACKER_LOG_FORMAT": "json",
        "TRACKER_WORKER__LEASE_S": str(LEASE_S),
        "TRACKER_STORE__URL": url or f"sqlite:///{home}/tracker.db",
    }
    with (home / "log").open("wb") as log:
        more: dict[str, Any] = {"env": environment, "stdout": log, "stderr": log}
        subprocess.run([tracker, "db", "upgrade"], check=True, **more)
        running = [subprocess.Popen([tracker, "worker"], **more) for _ in range(count)]
        try:
            yield running
        finally:
            for process in running:
                process.kill()
                process.wait()


def cpu_s(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def runs(home: Path, statement: str) -> list[Any]:
    """Return rows of the workers' database."""
    connection = sqlite3.connect(f"file:{home}/tracker.db?mode=ro", uri=True)
    with suppress(sqlite3.OperationalError):
        return connection.execute(statement).fetchall()
    return []


def ran(home: Path, checks: int) -> bool:
    """Tell whether every check has run."""
    found = runs(home, "SELECT count(*) FROM checks WHERE ran_at IS NOT NULL")
    return bool(found) and found[0][0] >= checks


def watched(home: Path, process: subprocess.Popen[bytes], where: str = "") -> str:
    """Watch one worker for a while; return what it took and how late its runs were."""
    begin, cpu = time.time(), cpu_s(process.pid)
    time.sleep(WATCHED_S)
    passed, used = time.time() - begin, cpu_s(process.pid) - cpu
    time.sleep(2)
    late = sorted(
        row[0]
        for row in runs(
            home,
            "SELECT late_ms FROM check_runs JOIN checks USING (task_id) WHERE"
            f" check_runs.ran_at BETWEEN {begin * 1000} AND {(begin + passed) * 1000} {where}",
        )
    )
    p95 = late[int(len(late) * 0.95)] if late else -1
    return (
        f"{len(late) * 60 / passed:8.0f} checks a minute, p95 late {p95} ms, "
        f"{used / passed:.0%} of a core, {1000 * used / max(1, len(late)):.2f} ms a check, "
        f"{memory_mb(process.pid):.0f} MB"
    )


def many(home: Path, authority: str) -> str:
    """Run 10,000 checks a minute in one worker."""
    write_files(home / "checks", [f"{authority}/{n}" for n in range(CHECKS)], "* * * * *")
    with workers(home, 1) as [process]:
        until(lambda: ran(home, CHECKS), seconds=600)
        return watched(home, process)


def hanging(home: Path, authority: str) -> str:
    """Run 1,000 checks every 10 s beside 100 whose endpoints hang."""
    write_files(home / "checks", [f"{authority}/{n}" for n in range(BESIDE)], "@every 10s")
    hang = [f"localhost:{authority.partition(':')[2]}/hang/{n}" for n in range(HANGING)]
    write_files(home / "checks", hang, "@every 10s", "9s")
    with workers(home, 1) as [process]:
        until(lambda: ran(home, BESIDE + HANGING), seconds=600)
        return watched(home, process, "AND url NOT LIKE '%/hang/%'")


def killed(home: Path, authority: str) -> str:
    """Kill one of two workers; tell when the last of its checks runs again."""
    names = [f"{authority}/{n}" for n in range(BESIDE)]
    write_files(home / "checks", names, "@every 1s" if BESIDE <= 100 else "@every 5s")
    with workers(home, 2) as [first, _]:
        until(lambda: ran(home, BESIDE), seconds=600)
        time.sleep(2 * LEASE_S)
        until(
            lambda: len(runs(home, "SELECT DISTINCT owner FROM jobsets WHERE size > 0")) == 2,
            seconds=300,
        )
        at = time.time() * 1000
        first.send_signal(signal.SIGKILL)
        statement = "SELECT count(*), max(first) FROM (SELECT min(ran_at) AS first FROM check_runs"
        statement += f" WHERE ran_at > {at} GROUP BY task_id)"
        until(lambda: runs(home, statement)[0][0] == BESIDE, seconds=300)
        passed_s = (runs(home, statement)[0][1] - at) / 1000
        total, distinct = runs(
            home, "SELECT count(*), count(DISTINCT task_id || ' ' || due_at) FROM check_runs"
        )[0]
    return (
        f"all run again after {passed_s:.1f} s (lease {LEASE_S:.0f} s); twice: {total - distinct}"
    )


def files(home: Path) -> str:
    """Read 100 files with 10,000 checks, and again after one has changed."""
    names = [f"h{n}.example.com/health" for n in range(CHECKS)]
    write_files(home / "checks", names, "*/5 * * * *")
    store = Store(f"sqlite:///{home}/files.db")
    store.upgrade()
    directories = Directories([home / "checks"], Secrets())
    enrolment = Enrolment(store, directories, {}, KeyRing(home / "key"), lambda: datetime.now(UTC))
    took = []
    for change in ("5s", "6s"):
        one = next(iter(sorted((home / "checks").iterdir())))
        one.write_text(one.read_text().replace("timeout: 5s", f"timeout: {change}"))
        began = time.perf_counter()
        enrolment.enrol()
        took.append(time.perf_counter() - began)
    store.close()
    return f"load {took[0]:.2f} s, reload {took[1]:.2f} s"


def beside_gatus(home: Path, authority: str) -> str:
    """Have Gatus check 1,000 endpoints every 10 s, with its own limit of checks at once."""
    gatus = shutil.which("gatus")
    if gatus is None:
        return (
            "left out: there is no `gatus` on the PATH; go install github.com/TwiN/gatus/v5@latest"
        )
    lines = [
        f"  - {{name: n{n}, url: 'http://{authority}/{n}', interval: 10s, "
        "conditions: ['[STATUS] == 200', '[BODY].status == ok']}"
        for n in range(BESIDE)
    ]
    config = home / "gatus.yaml"
    config.write_text("metrics: true\nweb: {port: 0}\nendpoints:\n" + "\n".join(lines) + "\n")
    environment = os.environ | {"GATUS_CONFIG_PATH": str(config), "GATUS_LOG_LEVEL": "INFO"}
    log = home / "gatus.log"
    with log.open("wb") as out:
        process = subprocess.Popen([gatus], env=environment, stdout=out, stderr=out)
    try:
        time.sleep(20)
        counted, cpu, begin = log.read_bytes().count(b"Monitored"), cpu_s(process.pid), time.time()
        time.sleep(WATCHED_S)
        passed, used = time.time() - begin, cpu_s(process.pid) - cpu
        checks = log.read_bytes().count(b"Monitored") - counted
        return (
            f"{checks * 60 / passed:8.0f} checks a minute of {BESIDE * 6}, "
            f"{1000 * used / max(1, checks):.2f} ms a check, {memory_mb(process.pid):.0f} MB"
        )
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def beside_blackbox(home: Path, authority: str) -> str:
    """Have blackbox_exporter probe 100 endpoints a second; it has no schedule of its own."""
    names = ("blackbox_exporter", "prometheus-blackbox-exporter")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        return "left out: there is no blackbox_exporter on the PATH"
    port = free_port()
    address = f"--web.listen-address=127.0.0.1:{port}"
    config = home / "blackbox.yml"
    config.write_text(
        "modules: {m: {prober: http, http: {preferred_ip_protocol: ip4, "
        'fail_if_body_not_matches_regexp: ["ok"]}}}\n'
    )
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([program, f"--config.file={config}", address], **quiet)
    try:
        until(lambda: _listens(port))
        asked, began, cpu = 0, time.monotonic(), cpu_s(process.pid)
        client = HTTPConnection("127.0.0.1", port)
        while time.monotonic() - began < WATCHED_S:
            client.request("GET", f"/probe?module=m&target=http://{authority}/{asked}")
            client.getresponse().read()
            asked += 1
            time.sleep(max(0.0, began + asked / 100 - time.monotonic()))
        used = cpu_s(process.pid) - cpu
        return f"{1000 * used / asked:.2f} ms a check, {memory_mb(process.pid):.0f} MB"
    finally:
        process.kill()
        process.wait()


def beside(home: Path, authority: str) -> str:
    """Check the same 1,000 endpoints every 10 s."""
    write_files(home / "checks", [f"{authority}/{n}" for n in range(BESIDE)], "@every 10s")
    with workers(home, 1) as [process]:
        until(lambda: ran(home, BESIDE), seconds=600)
        return watched(home, process)


def main() -> None:
    """Run all rows; `BENCH_CHECKS=many,files` runs some."""
    rows = {
        "many": many,
        "beside": beside,
        "gatus": beside_gatus,
        "blackbox": beside_blackbox,
        "hanging": hanging,
        "killed": killed,
        "files": lambda home, _: files(home),
    }
    wanted = os.environ.get("BENCH_CHECKS", ",".join(rows)).split(",")
    for name in wanted:
        with tempfile.TemporaryDirectory() as home, endpoints() as authority:
            print(f"checks {name:8} {rows[name](Path(home), authority)}", flush=True)
