"""Run child processes: restart each that dies, and end all of them with their parent."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from tracker_service.domain.backoff import Backoff
from tracker_service.errors import ConfigError

log = structlog.get_logger()

Run = Callable[[Sequence[str]], object]  #: runs a command of `tracker` in this process

_FORK = multiprocessing.get_context("fork")
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_DUMPABLE = 4
_M_ARENA_MAX = -8
_LIBC = ctypes.CDLL(None, use_errno=True)
_TURN_S = 0.0005  #: Python's own are ten times as long
_PAUSES = Backoff(first_s=0.5, longest_s=30.0)  #: before a child that died is started again
_GOOD_LIFE_S = 30.0  #: a child that lived this long begins again with the first pause


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, for any reason; see prctl(2)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def keep_memory_private() -> None:
    """Close this process's memory to all others: passwords are in it; see prctl(2), core(5)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _LIBC.prctl(_PR_SET_DUMPABLE, 0)


def take_short_turns() -> None:
    """Have a thread that computes make room sooner: others wait for it at each answer."""
    sys.setswitchinterval(_TURN_S)


def lock_directory(state_dir: Path) -> IO[str]:
    """Lock a state directory, so that only one `tracker run` uses it.

    Returns:
        the open lock file; the lock ends when it is closed.

    Raises:
        ConfigError: another `tracker run` uses the directory.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (state_dir / "lock").open("a+")
    except OSError as error:
        raise ConfigError(
            f"state_dir: {state_dir} cannot be written: {error.strerror or error}; have that "
            "corrected, or set TRACKER_STATE_DIR to another directory"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ConfigError(
            f"another `tracker run` uses {state_dir}: stop it, or set TRACKER_STATE_DIR"
        ) from error
    os.register_at_fork(after_in_child=lock.close)  # the lock ends with this process
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
        self.process = _fork(run, self.arguments)
        self.started = time.monotonic()


@dataclass(frozen=True, slots=True)
class Greeting:
    """A text that is printed once the service is ready."""

    is_due: Callable[[], bool]  #: asks once whether the service is ready
    text: str


def run_to_end(run: Run, arguments: Sequence[str]) -> None:
    """Run a command of `tracker` in a process of its own, and wait until it ends.

    Raises:
        ConfigError: it failed; it has printed the reason.
    """
    process = _fork(run, arguments)
    process.join()
    if process.exitcode:
        raise ConfigError(f"`tracker {' '.join(arguments)}` failed")


def _fork(run: Run, arguments: Sequence[str]) -> BaseProcess:
    """Fork a process that runs a command of `tracker`; it shares the imported modules' memory."""
    gc.freeze()  # keeps the child's garbage collector from writing to the shared memory
    process = _FORK.Process(target=_be_child, args=(run, arguments), daemon=True)
    # Otherwise a signal between the fork and the reset of its handler would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    return process


def _be_child(run: Run, arguments: Sequence[str]) -> None:
    """Run a command of `tracker` in a new process, without the parent's signal handlers."""
    die_with_parent()
    keep_memory_private()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    _LIBC.prctl(_PR_SET_NAME, f"tracker {arguments[0]}".encode())
    _limit_arenas()
    run(arguments)


def _limit_arenas() -> None:
    """Limit malloc to two arenas; with one for each thread, much free memory is kept."""
    if "MALLOC_ARENA_MAX" not in os.environ and hasattr(_LIBC, "mallopt"):  # glibc has it
        _LIBC.mallopt(_M_ARENA_MAX, 2)


class Supervisor:
    """The parent process of `tracker run`. It has no threads, because it forks."""

    def __init__(
        self, run: Run, commands: Sequence[Sequence[str]], greeting: Greeting, *, stop_s: float
    ) -> None:
        """Prepare to run commands of `tracker`.

        Args:
            stop_s: a child that has not ended so long after SIGTERM is killed, in seconds.
        """
        self._run_command, self._stop_s = run, stop_s
        self._children = [_Child(arguments) for arguments in commands]
        self._greeting: Greeting | None = greeting
        self._is_stopping = False

    def run(self) -> None:
        """Run all commands as child processes until SIGTERM or SIGINT, then end them."""
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
        """Start a child that is due; after each death in a row it waits longer."""
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
        deadline = time.monotonic() + self._stop_s
        for process in alive:
            process.join(max(0.1, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
