"""Run the tracker of `pyox`, which this service wants to replace, with its default settings."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from cryptography.fernet import Fernet

from bench.scale.neutral import Topology
from tests.ports import free_port
from tests.waiting import until
from tracker_service.supervisor import die_with_parent

HOME = Path(".cluster/peer")  #: its virtual environment stays for the next time
_CREDENTIALS = ("guest", "guest-password")
#: It wants all of these; the key, because the one that it would make itself is no key of Fernet.
_CONFIGURATION = """
KNOX = {{"base": "{base}", "gateway": "{topology}"}}
REDIS_HOST = "127.0.0.1:{redis}"
SERVER_NAME = "127.0.0.1:{port}"
KEY = "{key}"
"""


class NoPeer(Exception):
    """The peer cannot be run here; says why."""


class Peer:
    """The peer, reached as its users reach it, and its database."""

    def __init__(self, port: int, redis_port: int) -> None:
        self._url, self._redis_port = f"http://127.0.0.1:{port}", redis_port

    def track(self, jobs: Sequence[str]) -> None:
        """Post ids to be tracked."""
        answer = requests.post(
            f"{self._url}/api/task/track/", json=list(jobs), auth=_CREDENTIALS, timeout=600
        )
        answer.raise_for_status()

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            return requests.get(self._url, timeout=5).status_code == 401
        except requests.ConnectionError:
            return False

    def ended(self, jobs: Sequence[str]) -> set[str]:
        """Return which of the jobs it knows to have ended, by what is in its database."""
        asked = "".join(
            f"*3\r\n$4\r\nHGET\r\n${len(job)}\r\n{job}\r\n$6\r\nstatus\r\n" for job in jobs
        )
        with (
            socket.create_connection(("127.0.0.1", self._redis_port)) as connection,
            connection.makefile("rb") as answers,
        ):
            connection.sendall(asked.encode())
            return {job for job in jobs if _value(answers.readline, answers.read) == b"SUCCEEDED"}


def _value(read_line: object, read: object) -> bytes | None:
    length = int(read_line()[1:])  # type: ignore[operator]
    return None if length < 0 else read(length + 2)[:-2]  # type: ignore[operator]


def _python() -> Path:
    """Return the Python of the peer's environment, which is made if it is not there.

    Raises:
        NoPeer: it cannot be installed.
    """
    python = HOME / "venv" / "bin" / "python"
    if not (HOME / "installed").exists():
        print("installing the peer", file=sys.stderr)
        made = subprocess.run([sys.executable, "-m", "venv", HOME / "venv"], check=False)
        packages = ["pyox", "redis<3"]
        pip = [str(python), "-m", "pip", "-q", "--disable-pip-version-check", "install"]
        if made.returncode or subprocess.run([*pip, *packages], check=False).returncode:
            raise NoPeer(f"pip install {' '.join(packages)} fails")
        (HOME / "installed").touch()
    return python.absolute()


@contextmanager
def _started(command: Sequence[object], home: Path, **environment: str) -> Iterator[None]:
    with (home / "peer.log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=home,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - calls prctl and nothing else
        )
    try:
        yield
    finally:
        process.kill()  # the peer would wait for the end of its sweep
        process.wait()


@contextmanager
def peer(topology: Topology, home: Path) -> Iterator[Peer]:
    """Run the peer and its redis-server for the length of the block.

    Raises:
        NoPeer: it cannot be run here.
    """
    redis = shutil.which("redis-server")
    if redis is None:
        raise NoPeer("there is no redis-server (apt-get install redis-server)")
    python, redis_port, port = _python(), free_port(), free_port()
    home.mkdir()
    (home / "peer_settings.py").write_text(
        _CONFIGURATION.format(
            base=topology.url.partition("/gateway/")[0],
            topology=topology.name,
            redis=redis_port,
            port=port,
            key=Fernet.generate_key().decode(),
        )
    )
    command = [python, "-m", "pyox.apps.tracker", "peer_settings"]
    with (
        _started([redis, "--bind", "127.0.0.1", "--port", redis_port], home),
        _started(command, home, PYTHONPATH=str(home)),
    ):
        tracker = Peer(port, redis_port)
        until(tracker.is_ready, seconds=30)
        yield tracker
