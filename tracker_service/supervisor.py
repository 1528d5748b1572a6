"""Run several processes as one: restart what dies, leave nobody behind."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from typing import IO
from urllib.parse import urlsplit

import structlog

from tracker_service.domain.backoff import Backoff
from tracker_service.errors import ConfigError

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_PAUSES = Backoff(first_s=0.5, longest_s=30.0)  #: before a child that died is started again
_GOOD_LIFE_S = 30.0  #: a child that lived this long begins again with the first pause
_STOP_S = 20.0  #: for a child to end after SIGTERM


def die_with_parent() -> None:
    """Let the kernel end this process when its parent ends, however that happens (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def lock_directory(state_dir: Path) -> IO[str]:
    """Make sure that one state directory serves one `tracker run`; the lock lasts as the file.

    Raises:
        ConfigError: another one has it.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (state_dir / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ConfigError(
            f"another `tracker run` uses {state_dir}: stop it, or set TRACKER_STATE_DIR"
        ) from error
    return lock


@dataclass(slots=True)
class _Child:
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0  #: in a row, each after a short life
    start_at: float = 0.0

    @property
    def name(self) -> str:
        return self.arguments[0]

    def start(self) -> None:
        command = [sys.executable, "-m", "tracker_service.cli", *self.arguments]
        # An arena of memory for each of many threads holds much that none of them needs.
        environment = {"MALLOC_ARENA_MAX": "2"} | os.environ
        self.process = subprocess.Popen(  # noqa: S603
            command,
            env=environment,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        self.started = time.monotonic()


@dataclass(frozen=True, slots=True)
class Greeting:
    """What to print once a URL answers with 200."""

    url: str
    text: str

    def is_due(self) -> bool:
        """Ask the URL once."""
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.netloc, timeout=1)
        try:
            connection.request("GET", parts.path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def finish(arguments: Sequence[str]) -> None:
    """Run a command of `tracker` to its end in a process of its own.

    Raises:
        ConfigError: it failed; it has said why.
    """
    command = [sys.executable, "-m", "tracker_service.cli", *arguments]
    if subprocess.run(command, preexec_fn=die_with_parent, check=False).returncode:  # noqa: S603
        raise ConfigError(f"`tracker {' '.join(arguments)}` failed")


class Supervisor:
    """The parent of `tracker run`."""

    def __init__(self, commands: Sequence[Sequence[str]], greeting: Greeting) -> None:
        self._children = [_Child(arguments) for arguments in commands]
        self._greeting: Greeting | None = greeting
        self._is_stopping = False

    def run(self) -> None:
        """Start each command of `tracker`; end all on SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._is_stopping:
            for child in self._children:
                self._tend(child)
            if self._greeting and self._greeting.is_due():
                print(self._greeting.text, flush=True)
                self._greeting = None
            time.sleep(0.1)
        self._end()

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._is_stopping = True

    def _tend(self, child: _Child) -> None:
        """Start a child again that died: at once at first, then later and later."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                child.start()
            return
        if child.process.poll() is None:
            return
        if now - child.started > _GOOD_LIFE_S:
            child.deaths = 0
        log.warning("child_died", child=child.name, exit=child.process.returncode)
        child.deaths += 1
        child.process, child.start_at = None, now + _PAUSES.after(child.deaths)

    def _end(self) -> None:
        alive = [c.process for c in self._children if c.process and c.process.poll() is None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + _STOP_S
        for process in alive:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
