"""Run the service as its users do, as real processes, and talk to it from outside."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from tests.stands import Stand
from tests.waiting import until


class RunningService:
    """`tracker run` on a state directory of its own."""

    def __init__(self, stand: Stand, state_dir: Path, **settings: object) -> None:
        self.state_dir = state_dir
        self.log = state_dir.parent / f"{state_dir.name}.log"
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.settings = {
            "TRACKER_STATE_DIR": str(state_dir),
            "TRACKER_SERVE__BIND": self.url.removeprefix("http://"),
            "TRACKER_POLLING__INTERVAL_S": "1",
            "TRACKER_WORKER__LEASE_S": "3",
            "TRACKER_COPYING__RETRY_AFTER_S": "1",
            "TRACKER_COPYING__REDACT": "false",  # logs are compared with what YARN prints
            "TRACKER_SERVE__REQUESTS_PER_MINUTE": "1000000",  # tests ask all the time
        }
        self.settings |= self.reached(stand) | {n: str(v) for n, v in settings.items()}
        self.process = self.start()

    def reached(self, stand: Stand) -> dict[str, str]:
        """Return the settings by which the service reaches a stand."""
        ca_file = {"TRACKER_GATEWAY__CA_FILE": str(stand.ca_file)} if stand.ca_file else {}
        return {"TRACKER_GATEWAY__URL": stand.url} | ca_file

    def login(self, user: str) -> dict[str, Any]:
        """Return what a request has that tells who asks."""
        return {"auth": (user, f"{user}-password")}

    def start(self) -> subprocess.Popen[bytes]:
        """Start all processes, and wait until the service says that it is ready."""
        self.process = self.launch()
        until(self.is_ready, seconds=30)
        return self.process

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the supervisor and do not wait."""
        return self.command("run")

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of the service with its settings, for example another worker."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRACKER_")}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tracker_service.cli", *words],
                env=environment | self.settings,
                stdout=log,
                stderr=log,
            )

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def stop(self) -> int:
        """End all processes as an operator does."""
        self.process.terminate()
        return self.process.wait(30)

    def end(self) -> None:
        """Leave nothing behind, whatever the test has done."""
        if self.process.poll() is None:
            self.stop()

    def processes(self, below: int | None = None) -> set[int]:
        """Return the process ids of the supervisor, or of another process, and of all below it."""
        found = {below or self.process.pid}
        while more := {child for child, parent in _parents() if parent in found} - found:
            found |= more
        return found

    def kill_all(self) -> None:
        """Pull the plug: kill -9 of every process at once."""
        pids = self.processes()
        for pid in pids:
            with suppress(ProcessLookupError):  # who has lost its parent ends by itself
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: not alive(pids))

    def kill_supervisor(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def post(self, body: object, user: str = "guest", **more: Any) -> requests.Response:
        """Post ids to be tracked: JSON, or text where the body is a text."""
        how = (
            {"data": body, "headers": {"Content-Type": "text/plain"}}
            if isinstance(body, str)
            else {"json": body}
        )
        who = self.login(user)
        return requests.post(f"{self.url}/api/task/track/", timeout=60, **who | how | more)

    def get(self, path: str, user: str = "guest", **more: Any) -> requests.Response:
        return requests.get(f"{self.url}/api/{path}", timeout=60, **self.login(user) | more)

    def track(self, *jobs: str, user: str = "guest") -> None:
        """Post ids that are to be taken in."""
        answer = self.post(list(jobs), user)
        assert answer.status_code == 200, answer.text

    def status(self, job: str, user: str = "guest") -> str:
        return str(self.get(f"job/{job}/status", user).json()["status"])

    def wait_for(self, job: str, *statuses: str, user: str = "guest") -> str:
        return until(lambda: self.status(job, user), lambda s: s in statuses, seconds=120)

    def wait_saved(self, job: str, user: str = "guest") -> dict[str, Any]:
        """Wait until a job has ended and its copying is finished, and return its copies."""
        self.wait_for(job, "KILLED", "FAILED", user=user)

        def look() -> tuple[bool, dict[str, Any]]:
            answer = self.get(f"job/{job}/logs/status", user)
            if answer.status_code == 503:  # the gateway is busy, and says when to ask again
                return False, {}
            assert answer.status_code == 200, answer.text
            told = answer.json()
            return not self.live_tasks(job, user) and told["finished"], told["jobs"]

        return until(look, lambda seen: seen[0], seconds=180)[1]

    def live_tasks(self, job: str, user: str = "guest") -> int:
        """Count in the database what is still to be done about a job."""
        return self.query(
            "SELECT count(*) FROM tasks JOIN jobs ON jobs.id = tasks.job_id"
            " WHERE jobs.external_id = ? AND tasks.owner = ? AND state != 'ended'",
            (job, user),
        )[0][0]

    def query(self, statement: str, values: Iterable[object] = ()) -> list[Any]:
        """Read the database from outside."""
        connection = sqlite3.connect(f"file:{self.state_dir}/tracker.db?mode=ro", uri=True)
        try:
            return connection.execute(statement, tuple(values)).fetchall()
        finally:
            connection.close()


def alive(pids: Iterable[int]) -> set[int]:
    """Return which of these processes still run."""
    return {pid for pid, _ in _parents() if pid in set(pids)}


def _parents() -> list[tuple[int, int]]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found.append((int(status.parent.name), int(parent)))
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
