"""Starts and stops one cluster, and describes the running one."""

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
#: Parts that start and stop alone: what a cluster needs for them, and the option for that.
SWITCHED = {"kdc": ("kerberos", " --kerberos"), "httpfs": ("gateway", "")}


def up(at: Layout, shared: pathlib.Path) -> dict[str, Any]:
    """Starts the cluster, unless it is up with the same options; returns its description.

    Its jars and classes are in a directory that it may share with other clusters.
    """
    described = description(at.home)
    if described and lives(at.home, described):
        if described["options"] != at.options:
            raise Failure("already up with other options: first `cluster down`")
        return described
    down(at.home)  # ends the rest of a cluster of which a part has died
    java = java_home()
    check_ports(at)
    began = time.monotonic()
    build.build(at.home, java, shared)
    prepare(at)
    try:
        Daemons(at, java).start()
    except BaseException:
        down(at.home)
        raise
    described = describe(at, java) | {"seconds": round(time.monotonic() - began, 1)}
    fresh = at.home / "cluster.json.new"
    fresh.write_text(json.dumps(described, indent=2) + "\n")
    fresh.rename(at.home / "cluster.json")
    return described


def down(home: pathlib.Path) -> list[str]:
    """Stops all processes, and returns their names."""
    (home / "cluster.json").unlink(missing_ok=True)
    return Processes(home).stop_all()


def write_logs(home: pathlib.Path, logs: str, compression: str) -> None:
    """Restarts the NodeManagers, so that they write aggregated logs in another format.

    All other daemons can read both formats, and go on.
    """
    described = description(home)
    if described is None:
        raise Failure("no cluster is up: first `cluster up`")
    at = Layout.of_options(home, described["options"])
    compressed = f"yarn.nodemanager.log-aggregation.compression-type={compression}"
    at = dataclasses.replace(at, logs=logs, settings=(*at.settings, compressed))
    config.write(at)
    daemons = Daemons(at, java_home())
    for node in range(at.nodes):
        daemons.processes.stop(f"nm{node + 1}")
        daemons.node_manager(node)
    for node in range(at.nodes):
        daemons.processes.wait_line(f"nm{node + 1}", "Registered with ResourceManager")


def switch(home: pathlib.Path, part: str, action: str) -> None:
    """Stops or starts the KDC or HttpFS; the other daemons go on."""
    wanted, option = SWITCHED[part]
    described = description(home)
    if not described or not described[wanted]:
        raise Failure(f"no cluster with {wanted} is up: first `cluster up{option}`")
    daemons = Daemons(Layout.of_options(home, described["options"]), java_home())
    if action == "stop":
        daemons.processes.stop(part)
    elif not daemons.processes.pid(part):
        {"kdc": daemons.kdc, "httpfs": daemons.httpfs}[part]()


def ldap(home: pathlib.Path, action: str, passwords: Sequence[str]) -> None:
    """Stops or starts the LDAP directory; passwords may change with its start."""
    described = description(home)
    if not described or not described["gateway"]:
        raise Failure("no cluster with a gateway is up: first `cluster up`")
    at = Layout.of_options(home, described["options"])
    daemons = Daemons(at, java_home())
    if action == "stop":
        daemons.processes.stop("ldap")
        return
    for each in passwords:
        gateway.change_password(at, *each.split("=", 1))
    if not daemons.processes.pid("ldap"):
        daemons.directory()


def description(home: pathlib.Path) -> dict[str, Any] | None:
    """The description that `up` wrote of the cluster in a directory; None if none is up.

    A description by another version of this folder does not count; `up` then starts the cluster
    again.
    """
    try:
        described = json.loads((home / "cluster.json").read_text())
        Layout.of_options(home, described["options"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(described)


def lives(home: pathlib.Path, described: dict[str, Any]) -> bool:
    """Whether every process of a described cluster runs."""
    processes = Processes(home)
    return all(
        processes.pid(name) for name in Layout.of_options(home, described["options"]).daemons()
    )


def check_ports(at: Layout) -> None:
    """Fails if a port is in use, and suggests an offset with free ports."""
    for port, what in at.ports().items():
        if not free(port):
            others = (dataclasses.replace(at, port_offset=n) for n in range(1000, 40000, 1000))
            fitting = (other.port_offset for other in others if all(map(free, other.ports())))
            offset = next(fitting, "N")
            raise Failure(
                f"port {port} ({what}) is in use: stop what has it, or use --port-offset {offset}"
            )


def prepare(at: Layout) -> None:
    """Removes the files of the last cluster, and writes the configuration of this one."""
    for name in MADE_ANEW:
        shutil.rmtree(at.home / name, ignore_errors=True)
    for name in ("run", "logs"):
        (at.home / name).mkdir(parents=True)
    config.write(at)
    if at.knox:
        gateway.write(at)


def describe(at: Layout, java: pathlib.Path) -> dict[str, Any]:
    """The description of the cluster for clients and tests."""
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
    """The environment for this cluster's `hdfs` and `yarn`, which come first on our PATH."""
    found = {
        "JAVA_HOME": str(java),
        "JDK_JAVA_OPTIONS": at.java_options,
        "PATH": os.pathsep.join([f"{at.home}/bin", f"{java}/bin", "/usr/bin", "/bin"]),
    }
    return found | ({"KRB5_CONFIG": str(at.krb5_conf)} if at.kerberos else {})
