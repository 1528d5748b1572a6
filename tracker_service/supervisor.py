"""Run several processes as one: restart what dies, leave nobody behind."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import IO
from urllib.parse import urlsplit

import structlog

from tracker_service.domain.backoff import Backoff
from tracker_service.errors import ConfigError

log = structlog.get_logger()

Run = Callable[[Sequence[str]], object]  #: runs a command of `tracker` in this process

_FORK = multiprocessing.get_context("fork")
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_M_ARENA_MAX = -8
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
    os.register_at_fork(after_in_child=lock.close)  # it ends with this process
    return lock


@dataclass(slots=True)
class _Child:
    arguments: Sequence[str]
    process: BaseProcess | None = None
    started: float = 0.0
    deaths: int = 0  #: in a row, each after a short life
    start_at: float = 0.0

    @property
    def name(self) -> str:
        return self.arguments[0]

    def start(self, run: Run) -> None:
        self.process = _forked(run, self.arguments)
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


def finish(run: Run, arguments: Sequence[str]) -> None:
    """Run a command of `tracker` to its end in a process of its own.

    Raises:
        ConfigError: it failed; it has said why.
    """
    process = _forked(run, arguments)
    process.join()
    if process.exitcode:
        raise ConfigError(f"`tracker {' '.join(arguments)}` failed")


def _forked(run: Run, arguments: Sequence[str]) -> BaseProcess:
    """Fork a process that runs a command of `tracker`; it shares what this one has imported."""
    gc.freeze()  # the garbage collector of the child writes to none of the shared memory
    process = _FORK.Process(target=_be_child, args=(run, arguments), daemon=True)
    # A signal that comes between the fork and the reset of its handler would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    return process


def _be_child(run: Run, arguments: Sequence[str]) -> None:
    """Run a command of `tracker` in a new process, which inherits nothing but memory and output."""
    die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    _LIBC.prctl(_PR_SET_NAME, f"tracker {arguments[0]}".encode())
    _spare_arenas()
    run(arguments)


def _spare_arenas() -> None:
    """Share two arenas between all threads: one for each holds much that none of them needs."""
    if "MALLOC_ARENA_MAX" not in os.environ and hasattr(_LIBC, "mallopt"):  # glibc has it
        _LIBC.mallopt(_M_ARENA_MAX, 2)


class Supervisor:
    """The parent of `tracker run`: it forks its children, and so has no threads."""

    def __init__(self, run: Run, commands: Sequence[Sequence[str]], greeting: Greeting) -> None:
        self._run_command = run
        self._children = [_Child(arguments) for arguments in commands]
        self._greeting: Greeting | None = greeting
        self._is_stopping = False

    def run(self) -> None:
        """Start each command of `tracker`; end all on SIGTERM or SIGINT."""
        for number in _STOPPING:
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
                child.start(self._run_command)
            return
        if child.process.is_alive():
            return
        if now - child.started > _GOOD_LIFE_S:
            child.deaths = 0
        log.warning("child_died", child=child.name, exit=child.process.exitcode)
        child.deaths += 1
        child.process, child.start_at = None, now + _PAUSES.after(child.deaths)

    def _end(self) -> None:
        alive = [c.process for c in self._children if c.process and c.process.is_alive()]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + _STOP_S
        for process in alive:
            process.join(max(0.1, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
