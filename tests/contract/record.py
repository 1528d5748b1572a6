"""Record the logs of the sandbox's jobs on a real cluster: `python -m tests.contract.record fork`.

Each application's aggregated files and what `yarn logs` prints of them go to
`tracker_service/sandbox/logs/<workflow>/<action>/`. The cluster has to be one that
`tests/cluster/cluster up` started in $CLUSTER_HOME, of two nodes and with the usual ports. Where
the workflow is `memory`, its nodes have to watch their containers:

    up --nodes 2 --set yarn.nodemanager.pmem-check-enabled=true
       --set yarn.nodemanager.resource.memory.enforced=false
       --set yarn.nodemanager.container-monitor.interval-ms=200
       --set yarn.nodemanager.container-monitor.process-tree.class=\
org.apache.hadoop.yarn.util.ProcfsBasedProcessTree
"""

from __future__ import annotations

import gzip
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.through import ENDED, Gateway, described, until, yarn_logs
from tests.stands import submit

LOGS = Path(__file__).parents[2] / "tracker_service" / "sandbox" / "logs"
TICKS_S = 4  #: what `sleep` may print before it is killed
_NAME = re.compile(r"oozie:(launcher|action):T=[\w-]+:W=\w+:A=(\w+):ID=(\S+)")


def main(workflows: list[str]) -> None:
    guest = Gateway(described(), "guest")
    for workflow in workflows:
        shutil.rmtree(LOGS / workflow, ignore_errors=True)
        for folder, application in applications(guest, set(run(guest, workflow))):
            record(guest, application, LOGS / workflow / folder)
            print(f"{workflow}/{folder}: {application}")


def run(guest: Gateway, workflow: str) -> Iterator[str]:
    """Run a workflow to its end, and return its id and those of all that it started."""
    guest.upload(workflow)
    if workflow == "parent":
        guest.upload("child")
    job = submit(guest, workflow)
    if job.endswith("-C"):
        until(lambda: guest.state(job), lambda state: state == "DONEWITHERROR", 120)
        actions = guest.get(f"oozie/v2/job/{job}?len=10").json["actions"]
        yield from (action["externalId"] for action in actions)
        return
    if workflow == "sleep":
        application = guest.application_of(job)
        until(lambda: str(guest.app(application)["state"]), lambda state: state == "RUNNING", 30)
        time.sleep(TICKS_S)
        guest.kill(job)
    guest.wait(job, ENDED)
    yield job
    for action in guest.info(job)["actions"]:
        if action["type"] == "sub-workflow":
            yield action["externalId"]


def applications(guest: Gateway, jobs: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the applications of jobs with the name of a folder: work, count, count-job, work-2."""
    listed = guest.get("resourcemanager/v1/cluster/apps").json["apps"]["app"]
    seen: Counter[str] = Counter()
    for app in sorted(listed, key=lambda app: app["id"]):
        found = _NAME.fullmatch(app["name"])
        if found and found[3] in jobs:
            name = f"{found[2]}-job" if found[1] == "action" else found[2]
            seen[name] += 1
            yield name if seen[name] == 1 else f"{name}-{seen[name]}", app["id"]


def record(guest: Gateway, application: str, folder: Path) -> None:
    """Write what the cluster keeps of an application's log; nothing where there is none."""
    guest.wait_logs(application)
    files = guest.log_files(application, "guest")
    if not files:
        return
    folder.mkdir(parents=True)
    for path, _ in files:
        data = guest.open(path).expect(200).body
        (folder / f"{Path(path).name}.gz").write_bytes(gzip.compress(data, mtime=0))
    text = yarn_logs(guest.cluster, application, "guest")
    (folder / "yarn-logs.txt.gz").write_bytes(gzip.compress(text, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1:])
