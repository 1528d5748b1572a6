"""Run the service as real processes, and use it from outside as its users do."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import requests

from tests import warm
from tests.acceptance.command import installed
from tests.ports import free_port
from tests.stands import Address, Stand
from tests.waiting import GENEROUS_S, until
from tracker_service.store.database import Store

Process = warm.Process | subprocess.Popen[bytes]


class RunningService:
    """`tracker run` on a state directory of its own."""

    process: Process  #: the supervisor

    def __init__(self, stand: Address, state_dir: Path, **settings: object) -> None:
        self.state_dir = state_dir
        self.log = state_dir.parent / f"{state_dir.name}.log"
        self.url = f"http://127.0.0.1:{free_port()}"
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
        self._timing = warm.QUICK if stand.name == "sandbox" else None
        self._started: list[Process] = []
        self._saved_jobs: dict[str, str] = {}
        self.prepare()
        self.start()

    def prepare(self) -> None:
        """Copy a database with nothing in it: to make one takes a third of the work of a start."""
        if "TRACKER_STORE__URL" not in self.settings:
            self.state_dir.mkdir(0o700, exist_ok=True)
            database = self.state_dir / "tracker.db"
            database.touch(0o600)
            database.write_bytes(_empty_database())

    def reached(self, stand: Address) -> dict[str, str]:
        """Return the settings with which the service reaches a stand."""
        ca_file = {"TRACKER_GATEWAY__CA_FILE": str(stand.ca_file)} if stand.ca_file else {}
        return {"TRACKER_GATEWAY__URL": stand.url} | ca_file

    def login(self, user: str) -> dict[str, Any]:
        """Return the part of a request that identifies the caller."""
        return {"auth": (user, f"{user}-password")}

    def start(self) -> None:
        """Start all processes, and wait until `/readyz` answers.

        A service that does not become ready is ended.
        """
        self.process = self.launch()
        try:
            until(lambda: self.is_ready() or self.process.poll() is not None)
            assert self.process.poll() is None, self.log.read_text()[-2000:]
        except BaseException:
            self.end()
            raise

    def launch(self) -> Process:
        """Start the supervisor without waiting."""
        return self.command("run")

    def command(self, *words: str) -> Process:
        """Start a command of the service with its settings, for example another worker."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRACKER_")}
        self._started.append(self._begin(words, environment | self.settings))
        return self._started[-1]

    def _begin(self, words: Sequence[str], environment: Mapping[str, str]) -> Process:
        if "LD_PRELOAD" in environment:  # only a new interpreter loads it
            return installed(words, environment, self.log)
        return warm.start(words, environment, warm.Files(self.log), timing=self._timing)

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    def stop(self) -> int:
        """End all processes as an operator does."""
        self.process.terminate()
        return self.process.wait(GENEROUS_S)

    def end(self) -> None:
        """End all processes, whatever the test has done."""
        for process in self._started:
            if process.poll() is None:
                _kill(self.processes(below=process.pid))
                process.wait()

    def processes(self, below: int | None = None) -> set[int]:
        """Return the ids of the supervisor, or of another process, and of its descendants."""
        found = {below or self.process.pid}
        while more := {child for child, parent in _parents() if parent in found} - found:
            found |= more
        return found

    def child(self, role: str) -> int | None:
        """Return the id of the child process that runs a command; None if there is none."""
        children = (pid for pid, parent in _parents() if parent == self.process.pid)
        return next((pid for pid in children if _name(pid) == f"tracker {role}"), None)

    def kill_all(self) -> None:
        """Kill every process at once (-9), as a power failure would."""
        _kill(self.processes())
        self.process.wait()

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
        return requests.post(f"{self.url}/api/task/track/", timeout=GENEROUS_S, **who | how | more)

    def get(self, path: str, user: str = "guest", **more: Any) -> requests.Response:
        return requests.get(f"{self.url}/api/{path}", timeout=GENEROUS_S, **self.login(user) | more)

    def track(self, *jobs: str, user: str = "guest") -> None:
        """Post ids, and expect an answer with 200."""
        answer = self.post(list(jobs), user)
        assert answer.status_code == 200, answer.text

    def status(self, job: str, user: str = "guest") -> str:
        return str(self.get(f"job/{job}/status", user).json()["status"])

    def wait_for(self, job: str, *statuses: str, user: str = "guest") -> str:
        return until(lambda: self.status(job, user), lambda s: s in statuses)

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

        return until(look, lambda seen: seen[0])[1]

    def saved_job(self, stand: Stand, workflow: str) -> str:
        """Return a job that has failed and whose logs are saved, for tests that change neither.

        It is the same one for all of them.
        """
        if workflow not in self._saved_jobs:
            job = stand.start(workflow)
            self.track(job)
            self.wait_saved(job)
            self._saved_jobs[workflow] = job
        return self._saved_jobs[workflow]

    def live_tasks(self, job: str, user: str = "guest") -> int:
        """Count the live tasks of a job in the database."""
        return self.query(
            "SELECT count(*) FROM tasks JOIN jobs ON jobs.id = tasks.job_id"
            " WHERE jobs.external_id = ? AND tasks.owner = ? AND state != 'ended'",
            (job, user),
        )[0][0]

    def query(self, statement: str, values: Iterable[object] = ()) -> list[Any]:
        """Return the rows that a statement selects in the database."""
        connection = sqlite3.connect(f"file:{self.state_dir}/tracker.db?mode=ro", uri=True)
        try:
            return connection.execute(statement, tuple(values)).fetchall()
        finally:
            connection.close()


class InstalledService(RunningService):
    """The command `tracker` as it is installed, in interpreters of its own, on an empty disk."""

    def prepare(self) -> None:
        """Leave all to the service."""

    def _begin(self, words: Sequence[str], environment: Mapping[str, str]) -> Process:
        return installed(words, environment, self.log)


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        store = Store(f"sqlite:///{directory}/tracker.db")
        store.upgrade()
        store.close()
        return Path(directory, "tracker.db").read_bytes()


def _kill(pids: Iterable[int]) -> None:
    """Kill processes at once, and wait until none of them runs."""
    for pid in pids:
        with suppress(ProcessLookupError):  # a process that has lost its parent ends by itself
            os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pids))


def alive(pids: Iterable[int]) -> set[int]:
    """Return the ids of the processes that still run."""
    return {pid for pid, _ in _parents() if pid in set(pids)}


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:  # it has just ended
        return ""


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
