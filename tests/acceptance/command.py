"""Run `tracker` as its users do: as a process, with only the settings that a user would set."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import warm
from tests.waiting import GENEROUS_S
from tracker_service.supervisor import die_with_parent

TRACKER = Path(sys.executable).with_name("tracker")  #: as it is installed


def environment(**variables: object) -> dict[str, str]:
    """Return this machine's environment with only these variables of the tracker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    return kept | {name: str(value) for name, value in variables.items()}


def login(url: str, user: str = "guest", password: str | None = None) -> dict[str, str]:
    """Return the variables that name the service, the user and the password."""
    return {
        "TRACKER_URL": url,
        "TRACKER_USER": user,
        "TRACKER_PASSWORD": password or f"{user}-password",
    }


def tracker(
    directory: Path, variables: Mapping[str, object], *arguments: str, piped: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command of `tracker` to its end, in a directory of its own."""
    own = environment(HOME=directory, **variables)
    with tempfile.TemporaryDirectory() as name:
        output, errors, given = (Path(name) / each for each in ("output", "errors", "input"))
        given.write_text(piped)
        process: warm.Process | subprocess.Popen[bytes]
        if "LD_PRELOAD" in variables:  # only a new interpreter loads it
            process = installed(arguments, own, output, errors, directory)
        else:
            process = warm.start(arguments, own, warm.Files(output, errors, given), directory)
        try:
            status = process.wait(GENEROUS_S)
        finally:
            process.kill()
            process.wait()
        return subprocess.CompletedProcess(
            arguments, status, output.read_text(), errors.read_text()
        )


def installed(
    words: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    errors: Path | None = None,
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start the installed command in a new interpreter; it ends with this process."""
    with output.open("ab") as out, (errors or output).open("ab") as err:
        return subprocess.Popen(
            [TRACKER, *words],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - calls prctl and nothing else
        )
