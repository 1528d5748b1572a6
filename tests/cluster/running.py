"""Brings one cluster up and down, and knows of the one that is up."""

import dataclasses
import json
import os
import pathlib
import shutil
import time
from collections.abc import Sequence
from typing import Any

from . import build, config, gateway
from .daemons import Daemons
from .layout import REALM, TRACKER, USERS, Layout
from .machine import Failure, free, java_home
from .processes import Processes

MADE_ANEW = (  # by every `up`; the jars, the classes and Knox's service definitions stay
    *("run", "logs", "conf", "oozie", "knox/conf", "knox/data/deployments", "knox/data/security"),
    *("knox/logs", "knox/tmp"),
)


def up(at: Layout) -> dict[str, Any]:
    """Starts the cluster, unless this very one is up, and describes it."""
    told = description(at.home)
    if told and lives(at.home, told):
        if told["options"] != at.options:
            raise Failure("already up with other options: first `cluster down`")
        return told
    down(at.home)  # what is left of a cluster that is no longer whole
    java = java_home()
    check_ports(at)
    began = time.monotonic()
    build.build(at.home, java)
    prepare(at)
    try:
        Daemons(at, java).start()
    except BaseException:
        down(at.home)
        raise
    told = describe(at, java) | {"seconds": round(time.monotonic() - began, 1)}
    fresh = at.home / "cluster.json.new"
    fresh.write_text(json.dumps(told, indent=2) + "\n")
    fresh.rename(at.home / "cluster.json")
    return told


def down(home: pathlib.Path) -> list[str]:
    """Stops what was started and says which processes that were."""
    (home / "cluster.json").unlink(missing_ok=True)
    return Processes(home).stop_all()


def write_logs(home: pathlib.Path, logs: str, compression: str) -> None:
    """Starts the NodeManagers anew, so that they write aggregated logs in another format.

    The others stay as they are: all can read both formats.
    """
    told = description(home)
    if told is None:
        raise Failure("no cluster is up: first `cluster up`")
    at = Layout.of_options(home, told["options"])
    compressed = f"yarn.nodemanager.log-aggregation.compression-type={compression}"
    at = dataclasses.replace(at, logs=logs, settings=(*at.settings, compressed))
    config.write(at)
    daemons = Daemons(at, java_home())
    for node in range(at.nodes):
        daemons.processes.stop(f"nm{node + 1}")
        daemons.node_manager(node)
    for node in range(at.nodes):
        daemons.processes.wait_line(f"nm{node + 1}", "Registered with ResourceManager")


def kdc(home: pathlib.Path, action: str) -> None:
    """Stops the KDC alone, or starts it again; the others go on."""
    told = description(home)
    if not told or not told["kerberos"]:
        raise Failure("no cluster with Kerberos is up: first `cluster up --kerberos`")
    daemons = Daemons(Layout.of_options(home, told["options"]), java_home())
    if action == "stop":
        daemons.processes.stop("kdc")
    elif not daemons.processes.pid("kdc"):
        daemons.kdc()


def ldap(home: pathlib.Path, action: str, passwords: Sequence[str]) -> None:
    """Stops the directory of users alone, or starts it again, maybe with other passwords."""
    told = description(home)
    if not told or not told["gateway"]:
        raise Failure("no cluster with a gateway is up: first `cluster up`")
    at = Layout.of_options(home, told["options"])
    daemons = Daemons(at, java_home())
    if action == "stop":
        daemons.processes.stop("ldap")
        return
    for each in passwords:
        gateway.change_password(at, *each.split("=", 1))
    if not daemons.processes.pid("ldap"):
        daemons.directory()


def description(home: pathlib.Path) -> dict[str, Any] | None:
    """What `up` told of the cluster in a directory, or None where none is up.

    A description by another version of this folder counts as none: `up` then starts anew.
    """
    try:
        told = json.loads((home / "cluster.json").read_text())
        Layout.of_options(home, told["options"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(told)


def lives(home: pathlib.Path, told: dict[str, Any]) -> bool:
    """Whether every process of a described cluster is there."""
    processes = Processes(home)
    return all(processes.pid(name) for name in Layout.of_options(home, told["options"]).daemons())


def check_ports(at: Layout) -> None:
    """Refuses where a port is taken, and offers an offset with which none is."""
    for port, what in at.ports().items():
        if not free(port):
            others = (dataclasses.replace(at, port_offset=n) for n in range(1000, 40000, 1000))
            fitting = (other.port_offset for other in others if all(map(free, other.ports())))
            offset = next(fitting, "N")
            raise Failure(
                f"port {port} ({what}) is in use: stop what has it, or use --port-offset {offset}"
            )


def prepare(at: Layout) -> None:
    """Empties what the last cluster left and writes the configuration of this one."""
    for name in MADE_ANEW:
        shutil.rmtree(at.home / name, ignore_errors=True)
    for name in ("run", "logs"):
        (at.home / name).mkdir(parents=True)
    config.write(at)
    if at.knox:
        gateway.write(at)


def describe(at: Layout, java: pathlib.Path) -> dict[str, Any]:
    """All that a client or a test needs to know."""
    return {
        "gateway": at.topology("sandbox") if at.knox else None,
        "token_gateway": at.topology("tokens") if at.knox else None,
        "ca": str(at.ca_file) if at.knox else None,
        "users": USERS,
        "direct": {
            "webhdfs": at.url("namenode_http") + "/webhdfs/v1",
            "oozie": at.url("oozie") + "/oozie",
            "resourcemanager": at.url("rm_http"),
            "jobhistory": at.url("jhs_http"),
            "nodemanagers": [at.url("nm_http", node) for node in range(at.nodes)],
        },
        "namenode": at.namenode,
        "resource_manager": f"localhost:{at.port('rm')}",
        "log_root": "/app-logs",
        "log_format": at.logs,
        "kerberos": kerberos_of(at) if at.kerberos else None,
        "home": str(at.home),
        "environment": environment(at, java),
        "options": at.options,
    }


def kerberos_of(at: Layout) -> dict[str, Any]:
    """How a client logs in."""
    return {
        "realm": REALM,
        "krb5_conf": str(at.krb5_conf),
        "keytabs": str(at.keytab.parent),
        "principals": sorted(USERS),
        "service": f"{TRACKER}/localhost@{REALM}",
        "service_keytab": str(at.keytab.parent / f"{TRACKER}_localhost.keytab"),
    }


def environment(at: Layout, java: pathlib.Path) -> dict[str, str]:
    """What `hdfs` and `yarn` of this cluster need; the PATH in front of which they are is ours."""
    found = {
        "JAVA_HOME": str(java),
        "JDK_JAVA_OPTIONS": at.java_options,
        "PATH": os.pathsep.join([f"{at.home}/bin", f"{java}/bin", "/usr/bin", "/bin"]),
    }
    return found | ({"KRB5_CONFIG": str(at.krb5_conf)} if at.kerberos else {})
