"""Start `tracker` quickly: fork it from a process that has imported everything.

For a new interpreter, with a preloaded library or by the installed command, use
`tests.acceptance.command.installed`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from tracker_service.domain.backoff import Backoff
from tracker_service.domain.timing import Timing

_IMPORTED = (
    "tests.warm",
    "tests.warm_rules",
    "tracker_service.serve",
    "tracker_service.cli.running",
    "tracker_service.store.upgrade",
    "tracker_service.sandbox.server",
    "gunicorn.workers.gthread",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.mysql",
    "psycopg",
    "pymysql",
    "pytest",  # each new process imports the main module of the test process, too
)
_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(list(_IMPORTED))


@dataclass(frozen=True, slots=True)
class Files:
    """The files for a process's standard input, output and error."""

    output: Path
    errors: Path | None = None  #: None for the file of the output
    input: Path = Path(os.devnull)


class Process:
    """A process that `start` has started; it has the methods of `subprocess.Popen`."""

    def __init__(self, process: BaseProcess, words: Sequence[str]) -> None:
        self._process, self._words = process, words
        self._returncode: int | None = None
        assert process.pid is not None
        self.pid = process.pid
        # Otherwise this process would wait for it at its own end.
        atexit.register(process.kill)

    @property
    def returncode(self) -> int | None:
        if self._returncode is None and self._process.exitcode is not None:
            self._returncode = self._process.exitcode
            atexit.unregister(self._process.kill)
            self._process.close()  # also its file, of which a run of kills would need too many
        return self._returncode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._words, timeout or 0)
        return self.returncode

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


#: For workers on a sandbox, which shows each change at once.
QUICK = Timing(
    settle=timedelta(seconds=1),
    search_pauses=Backoff(first_s=1.0, longest_s=5.0),
    files_stable=timedelta(seconds=2),
    files_missing=timedelta(seconds=4),
    outage_pauses=Backoff(first_s=2.0, longest_s=2.0),
    expiry=timedelta(seconds=1),
    expiry_of_user=timedelta(seconds=2),
)


def start(
    words: Sequence[str],
    environment: Mapping[str, str],
    files: Files,
    directory: Path | None = None,
    timing: Timing | None = None,
) -> Process:
    """Start a command of `tracker`; it ends with this process at the latest.

    Args:
        timing: of workers; None for the timing of operation.
    """
    for written in filter(None, (files.output, files.errors)):
        written.touch(0o600)
    process = _FORKSERVER.Process(
        target=_be, args=(words, dict(environment), files, directory or Path.cwd(), timing)
    )
    process.start()
    return Process(process, words)


def _be(
    words: Sequence[str],
    environment: Mapping[str, str],
    files: Files,
    directory: Path,
    timing: Timing | None,
) -> None:
    """Run a command of `tracker`; called in the new process."""
    from tracker_service import bootstrap  # noqa: PLC0415
    from tracker_service.cli import main  # noqa: PLC0415
    from tracker_service.supervisor import die_with_parent  # noqa: PLC0415

    die_with_parent()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    _open(files)
    if timing:
        bootstrap.build_worker = partial(bootstrap.build_worker, timing=timing)
    sys.argv = ["tracker", *words]
    main(words, prog_name="tracker")


def _open(files: Files) -> None:
    """Redirect standard input, output and error of this process to files."""
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    output = os.open(files.output, appending, 0o600)
    os.dup2(os.open(files.input, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(os.open(files.errors, appending, 0o600) if files.errors else output, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
