"""Uses the machine for the cluster: a JDK, free ports, a clean environment, commands."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence

OLDEST_JAVA, NEWEST_JAVA = 11, 17


class Failure(Exception):
    """An error that the user sees as one line."""


def say(text: str) -> None:
    """Prints progress and errors on standard error; standard output is for programs."""
    print(text, file=sys.stderr, flush=True)


def java_home() -> pathlib.Path:
    """The home of the JDK: of JAVA_HOME where that is set, else of the first java on the PATH."""
    places = [os.environ["JAVA_HOME"] + "/bin"] if os.environ.get("JAVA_HOME") else []
    java = shutil.which("java", path=":".join([*places, os.environ.get("PATH", "")]))
    if not java:
        raise Failure("no java: install a JDK, 11 to 17 (Debian: openjdk-17-jdk-headless)")
    output = subprocess.run(
        [java, "-XshowSettings:properties", "-version"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ.get("PATH", "")},  # JAVA_TOOL_OPTIONS would add lines of its own
    ).stderr
    version = re.search(r"java\.specification\.version = (\S+)", output)
    home = re.search(r"java\.home = (.*)", output)
    if not version or not home:
        raise Failure(f"{java} does not tell its version: set JAVA_HOME to a JDK, 11 to 17")
    if not OLDEST_JAVA <= float(version[1]) <= NEWEST_JAVA:
        raise Failure(f"{java} is Java {version[1]}: Hadoop 3.3 needs 11 to 17; set JAVA_HOME")
    found = pathlib.Path(home[1].strip())
    if not (found / "bin/javac").exists():
        raise Failure(f"no javac in {found}: install a JDK (Debian: openjdk-17-jdk-headless)")
    return found


def clean_environment(home: pathlib.Path, java: pathlib.Path, **more: str) -> dict[str, str]:
    """The environment of daemons and containers: only HOME comes from the caller."""
    return {
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "PATH": f"{home}/bin:{java}/bin:/usr/local/bin:/usr/bin:/bin",
        "JAVA_HOME": str(java),
    } | more


def attempt(
    command: Sequence[object], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, whether it succeeds or fails."""
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


def run(
    command: Sequence[object], failure: str, home: pathlib.Path, environment: dict[str, str]
) -> str:
    """Runs a command that must succeed; if it fails, its whole output is kept in a file."""
    done = attempt(command, environment)
    if done.returncode:
        log = home / "logs/last-failure.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr))  # no colours
        lines = log.read_text().splitlines()
        causes = [line for line in lines if "error" in line.lower()]
        cause = causes[0][:300] if causes else f"exit status {done.returncode}"
        raise Failure(f"{failure}; {cause} (all of it: {log})")
    return done.stdout


def free(port: int) -> bool:
    """Whether a daemon could listen on the port now."""
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, port))
            except (OSError, OverflowError):
                return False
    return True
