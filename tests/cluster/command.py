"""The command line: `cluster up|down|logs|httpfs|ldap|kdc|status|show|env`."""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
from collections.abc import Iterator, Sequence
from typing import Any

from . import running, show
from .layout import Layout
from .machine import Failure, say

NOT_UP = 3  # exit status of `status`, as of an init script


def parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    found = argparse.ArgumentParser(
        prog="cluster", description="A real Hadoop, Oozie and Knox on this machine. See README.md."
    )
    verbs = found.add_subparsers(dest="verb", required=True)
    add_up(verbs.add_parser("up", help="start all, wait until all answer, print one JSON object"))
    verbs.add_parser("down", help="stop what was started")
    logs = verbs.add_parser("logs", help="let the NodeManagers write logs in another format")
    logs.add_argument("format", choices=("tfile", "ifile"))
    logs.add_argument("compression", choices=("none", "gz"))
    httpfs = verbs.add_parser("httpfs", help="start HttpFS, with a topology of its own, or stop it")
    httpfs.add_argument("action", choices=("stop", "start"))
    kdc = verbs.add_parser("kdc", help="stop the KDC alone, or start it again with the same keys")
    kdc.add_argument("action", choices=("stop", "start"))
    ldap = verbs.add_parser("ldap", help="stop the directory of users alone, or start it again")
    ldap.add_argument("action", choices=("stop", "start"))
    ldap.add_argument(
        "--password",
        action="append",
        default=[],
        metavar="USER=PASSWORD",
        help="that a user has from then on; may be repeated",
    )
    verbs.add_parser("status", help="which parts answer")
    verbs.add_parser("show", help="what to set for the service, and how to submit a job")
    verbs.add_parser("env", help="shell exports: addresses, and `hdfs` and `yarn` on the PATH")
    return found


def add_up(up: argparse.ArgumentParser) -> None:
    """The options of `up`: a field of Layout each."""
    flag: dict[str, Any] = {"action": "store_true"}
    up.add_argument("--kerberos", help="all daemons and the gateway log in to an own KDC", **flag)
    up.add_argument(
        "--logs", choices=("tfile", "ifile"), default="tfile", help="format of the aggregated logs"
    )
    up.add_argument("--oozie-acl", help="Oozie: only owner and admin may change a job", **flag)
    up.add_argument(
        "--yarn-acl", help="YARN and job history check who views an application", **flag
    )
    up.add_argument(
        "--no-knox", dest="knox", action="store_false", help="without the gateway and its users"
    )
    up.add_argument(
        "--port-offset", type=int, default=0, metavar="N", help="every port N higher (default 0)"
    )
    up.add_argument(
        "--nodes", type=int, default=1, metavar="N", help="how many NodeManagers (default 1)"
    )
    up.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a property of a site file of Hadoop, Oozie or Knox; may be repeated",
    )


def layout_of(home: pathlib.Path, options: argparse.Namespace) -> Layout:
    """The layout with the given options of `up`."""
    given = {name: value for name, value in vars(options).items() if name != "verb"}
    at = Layout.of_options(home, given)
    # Java class paths, URLs and Hadoop's lists would split any other path.
    if not re.fullmatch(r"[\w./+@=-]+", str(home)):
        raise Failure(f"{home}: letters, digits and ._-+@=/ only; set CLUSTER_HOME to another path")
    if not 1 <= at.nodes <= 9:
        raise Failure("--nodes has to be 1 to 9")
    if min(at.ports()) < 1 or max(at.ports()) > 65535:
        raise Failure("--port-offset leads out of the range of ports")
    for setting in at.settings:
        if not setting.partition("=")[1]:
            raise Failure(f"--set {setting}: not of the form KEY=VALUE")
    return at


@contextlib.contextmanager
def locked(home: pathlib.Path) -> Iterator[None]:
    """Only one `up` or `down` of a directory at a time; a second one waits."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another `cluster` command of this directory")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(home: pathlib.Path, options: argparse.Namespace) -> int:
    """Runs a verb; returns the exit status."""
    if options.verb == "up":
        at = layout_of(home, options)
        shared = pathlib.Path(os.environ.get("CLUSTER_JARS") or home).resolve()
        with locked(home):
            print(json.dumps(running.up(at, shared)))
        return 0
    if options.verb == "down":
        with locked(home):
            print("stopped: " + (", ".join(running.down(home)) or "nothing"))
        return 0
    if options.verb == "logs":
        with locked(home):
            running.write_logs(home, options.format, options.compression)
        return 0
    if options.verb in running.SWITCHED:
        with locked(home):
            running.switch(home, options.verb, options.action)
        return 0
    if options.verb == "ldap":
        with locked(home):
            running.ldap(home, options.action, options.password)
        return 0
    return show_cluster(home, options.verb)


def show_cluster(home: pathlib.Path, verb: str) -> int:
    """Prints the answer of a verb that changes nothing; returns the exit status."""
    described = running.description(home)
    if verb == "status":
        lines, well = (
            show.status(Layout.of_options(home, described["options"])) if described else ([], False)
        )
        print("\n".join(lines) or "down")
        return 0 if well else NOT_UP
    if not described:
        raise Failure("down: first `cluster up`")
    print("\n".join(show.environment(described)) if verb == "env" else show.for_a_person(described))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    options = parser().parse_args(arguments)
    home = pathlib.Path(os.environ.get("CLUSTER_HOME") or ".cluster").resolve()
    # A caller that gives up by SIGTERM leaves no half-started cluster behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(home, options)
    except Failure as failure:
        say(f"cluster: {failure}")
        return 1
    except OSError as error:
        say(f"cluster: {error}")
        return 1
    except KeyboardInterrupt:
        say("cluster: interrupted")
        return 130
