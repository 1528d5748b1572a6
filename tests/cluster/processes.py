"""Starts, finds and ends the processes of the cluster."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Sequence

from .machine import Failure

STARTS = 300  # seconds that a daemon may take to answer
STOPS = 15  # seconds that a daemon may take to end by itself
STOP_ORDER = ("knox", "ldap", "httpfs", "oozie", "jhs", "nm", "rm", "core", "kdc")


def born(pid: int) -> str | None:
    """When a process started, in clock ticks; a later process with the same id has another time."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


class Processes:
    """The processes of the cluster in one directory. Each has a file `pids/<name>`."""

    def __init__(self, home: pathlib.Path) -> None:
        self.home = home

    def output(self, name: str) -> pathlib.Path:
        """The file with a daemon's standard output and error."""
        return self.home / f"logs/{name}.out"

    def spawn(self, name: str, command: Sequence[object], environment: dict[str, str]) -> None:
        """Starts a daemon in a session of its own, so that it outlives the caller's terminal."""
        (self.home / "pids").mkdir(parents=True, exist_ok=True)
        with self.output(name).open("wb") as out:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                cwd=self.home / "run",
                start_new_session=True,
            )
        (self.home / f"pids/{name}").write_text(f"{process.pid} {born(process.pid)}")

    def pid(self, name: str) -> int | None:
        """The id of a running daemon of this cluster; None if it does not run."""
        try:
            pid, start = (self.home / f"pids/{name}").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if born(int(pid)) == start else None

    def stop(self, name: str) -> None:
        """Ends one daemon."""
        pid = self.pid(name)
        if pid:
            end(pid)

    def stop_all(self) -> list[str]:
        """Ends all, clients before servers, and says which: ["knox (4711)"]."""
        stopped = []
        for kind in STOP_ORDER:
            for path in sorted((self.home / "pids").glob(f"{kind}*")):
                pid = self.pid(path.name)
                if pid:
                    end(pid)
                    stopped.append(f"{path.name} ({pid})")
                path.unlink()
        self.stop_containers()
        return stopped

    def stop_containers(self) -> None:
        """Ends what a NodeManager that was killed has left behind.

        A pid file may be old and its number taken by somebody else: the command line decides.
        """
        for path in (self.home / "run").glob("nm-local*/nmPrivate/*/*/*.pid"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(path.read_text())
                command_line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                if f"{self.home}/".encode() in command_line:
                    os.killpg(pid, signal.SIGKILL)

    def wait_line(self, name: str, line: str) -> None:
        """Waits until a daemon has written a line with this text."""
        limit = time.monotonic() + STARTS
        while line not in self.output(name).read_text(errors="replace"):
            self.check(name)
            if time.monotonic() > limit:
                raise Failure(f"{name} did not start in {STARTS} s: see {self.output(name)}")
            time.sleep(0.1)

    def check(self, name: str) -> None:
        """Fails, with the end of its log, if a daemon has died."""
        if self.pid(name):
            return
        lines = self.output(name).read_text(errors="replace").splitlines()
        causes = [line for line in lines if "Exception" in line or "Error" in line]
        cause = causes[-1].strip()[:300] if causes else "no message"
        raise Failure(f"{name} died: {cause} (see {self.output(name)})")


def end(pid: int) -> None:
    """Terminates a process, and kills it if it does not end."""
    start = born(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        limit = time.monotonic() + STOPS
        while start and born(pid) == start:
            if time.monotonic() > limit:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
