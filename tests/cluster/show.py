"""The texts that `status`, `env` and `show` print about the running cluster."""

import pathlib
import shlex
from collections.abc import Iterator
from typing import Any

from . import probes
from .layout import HERE, Layout
from .processes import Processes


def status(at: Layout) -> tuple[list[str], bool]:
    """One line for each part and each process, and whether all are ready."""
    lines, well = [], True
    parts = probes.direct(at) | (probes.through_gateway(at) if at.knox else {})
    for part, url in parts.items():
        code = probes.ask(at, url)
        good = probes.is_good(url, code)
        lines.append(f"{'ok' if good else 'NO':3} {code or '---'}  {part:26} {url}")
        well = well and good
    processes = Processes(at.home)
    for name in at.daemons():
        pid = processes.pid(name)
        lines.append(f"{'ok' if pid else 'NO':3} pid  {name:26} {pid or 'gone'}")
        well = well and pid is not None
    return lines, well


def environment(described: dict[str, Any]) -> Iterator[str]:
    """Lines for a shell: the addresses, and `hdfs` and `yarn` on the PATH."""
    values = {
        "CLUSTER_HOME": described["home"],
        "CLUSTER_GATEWAY": described["gateway"],
        "CLUSTER_TOKEN_GATEWAY": described["token_gateway"],
        "CLUSTER_CA": described["ca"],
        "CLUSTER_NAMENODE": described["namenode"],
        "CLUSTER_RESOURCE_MANAGER": described["resource_manager"],
    } | described["environment"]
    del values["PATH"]
    for name, value in values.items():
        if value:
            yield f"export {name}={shlex.quote(value)}"
    yield f'export PATH={shlex.quote(described["home"] + "/bin")}:"$PATH"'


def for_a_person(described: dict[str, Any]) -> str:
    """The settings for the service, the users, and how to start a first job.

    It is a shell script too, so that it can be pasted as it is.
    """
    if not described["gateway"]:
        return "# up without a gateway; the addresses are in the output of `cluster env`"
    people = ", ".join(f"{user}:{password}" for user, password in described["users"].items())
    properties = {
        "user.name": "guest",
        "nameNode": described["namenode"],
        "resourceManager": described["resource_manager"],
        "oozie.wf.application.path": f"{described['namenode']}/user/guest/fail",
    }
    rows = "".join(
        f"\n<property><name>{name}</name><value>{value}</value></property>"
        for name, value in properties.items()
    )
    return EXAMPLE.format(
        gateway=described["gateway"],
        ca=described["ca"],
        people=people,
        guest=f"guest:{described['users']['guest']}",
        workflow=shlex.quote(str(nearest(HERE / "workflows/fail"))),
        rows=rows,
    )


def nearest(path: pathlib.Path) -> pathlib.Path:
    """The path, relative to the current directory if it is below it."""
    here = pathlib.Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


EXAMPLE = """\
# For the service:
export TRACKER_GATEWAY__URL={gateway}
export TRACKER_GATEWAY__CA_FILE={ca}
# Users and passwords: {people}

# A job that fails, submitted as guest; Oozie answers with its id:
knox() {{ curl -sS --cacert "$TRACKER_GATEWAY__CA_FILE" -u {guest} "$@"; }}
for file in workflow.xml work.sh; do
  knox -L -T {workflow}/$file \\
    "$TRACKER_GATEWAY__URL/webhdfs/v1/user/guest/fail/$file?op=CREATE&overwrite=true"
done
knox -H 'Content-Type: application/xml' "$TRACKER_GATEWAY__URL/oozie/v1/jobs?action=start" -d '\
<configuration>{rows}
</configuration>'
"""
