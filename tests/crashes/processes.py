"""The processes of the service, which are killed and started again one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests import warm
from tests.crashes.steps import API, WORKER

_VERBS = {WORKER: "worker", API: "serve"}


@dataclass
class Part:
    """A worker, or an API with the processes of gunicorn."""

    role: str
    environment: Mapping[str, str]
    log: Path
    process: warm.Process | None = None

    def start(self) -> None:
        environment = os.environ | self.environment
        words, files = [_VERBS[self.role]], warm.Files(self.log)
        self.process = warm.start(words, environment, files, timing=warm.QUICK)

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pids(self) -> list[int]:
        """The ids of the process and of its children."""
        if self.process is None:
            return []
        return [self.process.pid, *_children(self.process.pid)]


@dataclass
class Family:
    """All processes of the service."""

    parts: Sequence[Part]
    rng: Random
    kills: Counter[str] = field(default_factory=Counter)  #: by what was killed
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def tend(self) -> None:
        """Start the dead processes again."""
        with self._lock:
            for part in self.parts:
                if not part.is_alive:
                    part.start()

    def role_of(self, pid: int | None) -> str | None:
        """Return the role of a process; None if it is not of this service."""
        return next((part.role for part in self.parts if pid in part.pids), None)

    def owner_of(self, port: int, server_port: int) -> int | None:
        """Return the process that has a connection from a port of loopback."""
        inode = _inode(port, server_port)
        if inode is None:
            return None
        pids = [pid for part in self.parts for pid in part.pids]
        return next((pid for pid in pids if _has_socket(pid, inode)), None)

    def kill(self, pid: int | None = None) -> bool:
        """Kill a process, any if none is named; of an API one process or all of them.

        Returns:
            False if it was dead already.
        """
        with self._lock:
            part = self._part_of(pid)
            if part is None or not part.is_alive:
                return False
            own, *below = part.pids
            whole = not below or self.rng.random() < 0.5
            _kill(own if whole else below[0])
            if whole and part.process is not None:
                part.process.wait()
            if below:
                _wait_until_gone(below[0])
            self.kills[part.role if whole or part.role == WORKER else "process of gunicorn"] += 1
            return True

    def kill_all(self) -> int:
        """Kill all processes at once, as a power failure would; return how many died."""
        with self._lock:
            alive = [part for part in self.parts if part.is_alive]
            pids = [pid for part in alive for pid in part.pids]
            for pid in pids:
                _kill(pid)
            for pid in pids:
                _wait_until_gone(pid)
            for part in alive:
                self.kills[part.role] += 1
            return len(alive)

    def stop(self) -> None:
        """End all processes as an operator does."""
        with self._lock:
            for part in self.parts:
                if part.process is not None and part.is_alive:
                    part.process.terminate()
            for part in self.parts:
                if part.process is not None:
                    with suppress(subprocess.TimeoutExpired):
                        part.process.wait(60)
                    part.process.kill()
                    part.process.wait()

    def _part_of(self, pid: int | None) -> Part | None:
        if pid is None:
            return self.rng.choice(self.parts)
        return next((part for part in self.parts if pid in part.pids), None)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _wait_until_gone(pid: int) -> None:
    """Wait until a killed process is gone, or is a zombie that waits for its parent."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in "ZX":
            return
        time.sleep(0.002)
    raise AssertionError(f"the process {pid} outlives SIGKILL")


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _inode(port: int, server_port: int) -> str | None:
    """Return the socket of the client's end of a connection on loopback."""
    wanted = (f"0100007F:{port:04X}", f"0100007F:{server_port:04X}")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1], fields[2]) == wanted:
            return fields[9]
    return None


def _has_socket(pid: int, inode: str) -> bool:
    wanted = f"socket:[{inode}]"
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            return any(_target(entry.path) == wanted for entry in entries)
    except OSError:
        return False


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
