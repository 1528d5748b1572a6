"""Run `tracker` as its users do: as a process, with nothing but what a user would set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(**variables: object) -> dict[str, str]:
    """Return this machine's environment with these variables alone for the tracker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    there = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    kept["PYTHONPATH"] = os.pathsep.join(there)
    return kept | {name: str(value) for name, value in variables.items()}


def login(url: str, user: str = "guest", password: str | None = None) -> dict[str, str]:
    """Return what says who asks which service."""
    return {
        "TRACKER_URL": url,
        "TRACKER_USER": user,
        "TRACKER_PASSWORD": password or f"{user}-password",
    }


def tracker(
    directory: Path, variables: Mapping[str, object], *arguments: str, piped: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command of `tracker` to its end, in a directory of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tracker_service.cli", *arguments],
        env=environment(HOME=directory, **variables),
        cwd=directory,
        input=piped,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
