"""The two clusters that the same tests run on: the sandbox and a real Hadoop, Oozie and Knox."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import requests

from tests.cluster import through
from tracker_service.sandbox.server import SandboxServer
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import Gateway

COMMAND = Path(__file__).parent / "cluster" / "cluster"
#: Away from the usual ports, so that a cluster started by hand is left alone.
PORT_OFFSET = "10000"
APART_HOME, APART_PORT_OFFSET = ".cluster/apart", "12500"
ODD = ("oozie.service.UUIDService.generator=random", "dfs.user.home.dir.prefix=/home")
#: The variable that says why no cluster can be started, so that no other process tries again.
MISSING = "NO_CLUSTER"


class NoCluster(Exception):
    """The real cluster cannot be started here; the message says why."""


class Address(Protocol):
    """Where the service reaches a cluster."""

    @property
    def name(self) -> str: ...

    @property
    def url(self) -> str:
        """The URL of the topology."""

    @property
    def ca_file(self) -> Path | None: ...


class Stand(Address, Protocol):
    """A cluster behind a gateway, as the tests need it."""

    def start(self, workflow: str, user: str = "guest", **properties: str) -> str:
        """Start a workflow of `tests/cluster/workflows` and return its id.

        Args:
            properties: more properties of the job's configuration; only for workflows.
        """

    def shared(self, workflow: str) -> str:
        """Return the id of the one job of guest that all tests share which only look at it.

        It may run or have ended; who changes a job, or looks at its course, starts one.
        """

    def rerun(self, job: str, workflow: str) -> None:
        """Run an ended job again, from the action that failed."""

    def kill(self, job: str) -> None:
        """Kill a job as guest would."""

    def yarn_logs(self, application: str, owner: str) -> bytes:
        """Return what `yarn logs` prints of an application."""

    def yarn_applications(self, job: str) -> set[str]:
        """Return all applications that YARN ran for a job."""


SCENARIOS = {
    "ok": "succeeds",
    "fail": "fails",
    "sleep": "never-ends",
    "java": "java-exception",
    "memory": "out-of-memory",
    "missing": "missing-input",
    "denied": "permission-denied",
    "fork": "fork",
    "parent": "sub-workflow",
    "retried": "retried",
    "killed": "killed",
}


PARTS = {"parent": ("child",), "bundle": ("daily",)}  #: workflows that others start
#: The file that defines a coordinator or a bundle, and the prefix of its properties.
KINDS = {"coordinator.xml": b"oozie.coord.app", "bundle.xml": b"oozie.bundle.app"}


class SandboxStand:
    """The sandbox, in this process, so that its requests can be counted."""

    name = "sandbox"
    ca_file = None

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.url = server.url
        self._shared: dict[str, str] = {}

    def start(self, workflow: str, user: str = "guest", **properties: str) -> str:
        cluster, runs_s = self.server.cluster, None if workflow == "sleep" else 2.0
        if workflow == "daily":
            return cluster.start_coordinator(user=user, runs_s=runs_s)
        if workflow == "bundle":
            return cluster.start_bundle(user=user, runs_s=runs_s)
        return cluster.start(SCENARIOS[workflow], user=user, runs_s=runs_s, properties=properties)

    def shared(self, workflow: str) -> str:
        if workflow not in self._shared:
            self._shared[workflow] = self.start(workflow)
        return self._shared[workflow]

    def rerun(self, job: str, workflow: str) -> None:
        self.server.cluster.rerun(job)

    def kill(self, job: str) -> None:
        self.server.cluster.kill(job)

    def yarn_logs(self, application: str, owner: str) -> bytes:
        return self.server.cluster.applications[application].text

    def yarn_applications(self, job: str) -> set[str]:
        cluster = self.server.cluster
        with cluster.settled() as now:
            launched = {
                application.application_id
                for application in cluster.applications.values()
                if application.job.job_id == job and application.has_launched(now)
            }
        if coordinator := cluster.coordinators.get(job):
            below = coordinator.workflows
        else:
            below = list(cluster.jobs[job].children.values())
        return launched.union(*(self.yarn_applications(child.job_id) for child in below))


class RealStand:
    """The real cluster, through its gateway."""

    name = "real"

    def __init__(self, described: dict[str, Any]) -> None:
        self.described = described
        self.url: str = described["gateway"]
        self.ca_file = Path(described["ca"])
        self._uploaded: set[tuple[str, str]] = set()

    def client(self, user: str = "guest") -> through.Gateway:
        """Return a client of the gateway that is not the service's own."""
        return through.Gateway(self.described, user)

    def start(self, workflow: str, user: str = "guest", **properties: str) -> str:
        client = self.client(user)
        for name in (*PARTS.get(workflow, ()), workflow):
            if (user, name) not in self._uploaded:
                self.upload(client, name)
                self._uploaded.add((user, name))
        return submit(client, workflow, **properties)

    def shared(self, workflow: str) -> str:
        tests = os.environ.get("PYTEST_XDIST_TESTRUNUID", os.getpid())  # all processes of a run
        path = Path(self.described["home"]) / "run" / f"shared-{tests}-{workflow}"
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if not (job := file.read()):
                job = self.start(workflow)
                file.write(job)
        return job

    def upload(self, client: through.Gateway, name: str) -> None:
        """Upload a workflow only once, so that it does not change under another test process."""
        with (Path(self.described["home"]) / "uploading").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            there = client.get(f"webhdfs/v1/user/{client.user}/{name}/.uploaded?op=GETFILESTATUS")
            if there.status == 404:
                client.upload(name)
                client.create(f"/user/{client.user}/{name}/.uploaded", b"").expect(201)

    def rerun(self, job: str, workflow: str) -> None:
        client = self.client()
        document = client.configuration(workflow, **{"oozie.wf.rerun.failnodes": "true"})
        path = f"oozie/v2/job/{job}?action=rerun"
        client.ask("PUT", path, document, "application/xml;charset=UTF-8").expect(200)

    def kill(self, job: str) -> None:
        self.client().kill(job)

    def change(self, *words: str) -> None:
        """Run a verb of the command `cluster` that stops, starts or changes a part.

        Only for the cluster of `apart_stand`, or what no other test needs: other tests run on the
        usual one meanwhile.
        """
        done = cluster(*words, home=self.described["home"])
        assert done.returncode == 0, done.stderr

    def yarn_logs(self, application: str, owner: str) -> bytes:
        return through.yarn_logs(self.described, application, owner)

    def yarn_applications(self, job: str) -> set[str]:
        client = self.client()
        found, waiting = set(), [job]
        while waiting:
            current = waiting.pop()
            told = client.get(f"oozie/v2/job/{current}?len=1000").expect(200).json
            waiting += [
                action["externalId"]
                for action in told["actions"]
                if str(action["externalId"]).endswith("-W")
            ]
            listed = client.get("resourcemanager/v1/cluster/apps").json["apps"].get("app", [])
            found |= {app["id"] for app in listed if app["name"].endswith(f"ID={current}")}
        return found


@contextmanager
def sandbox_stand(latency_s: float = 0.0) -> Iterator[SandboxStand]:
    """Run a sandbox for the length of the block."""
    with SandboxServer(latency_s=latency_s) as server:
        yield SandboxStand(server)


@dataclass(frozen=True)
class Topology:
    """A further topology of a stand's gateway."""

    name: str
    url: str
    ca_file: Path | None


@contextmanager
def httpfs(stand: Stand) -> Iterator[Address]:
    """Serve the files of a stand through HttpFS while the block runs."""
    if isinstance(stand, SandboxStand):
        stand.server.gateway.webhdfs.plays_httpfs = True
        try:
            yield stand
        finally:
            stand.server.gateway.webhdfs.plays_httpfs = False
        return
    assert isinstance(stand, RealStand)
    stand.change("httpfs", "start")
    try:
        yield Topology("HttpFS", f"{stand.url.rpartition('/')[0]}/httpfs", stand.ca_file)
    finally:
        stand.change("httpfs", "stop")


@contextmanager
def real_stand() -> Iterator[RealStand]:
    """Start the real cluster while the block runs, or use the one that `make cluster` has started.

    Raises:
        NoCluster: it cannot be started here; says why.
    """
    _check_missing()
    if cluster("status").returncode == 0:
        yield RealStand(through.described())
        return
    with started("--port-offset", PORT_OFFSET) as described:
        yield RealStand(described)


@contextmanager
def apart_stand() -> Iterator[RealStand]:
    """Start a second real cluster while the block runs, for tests that stop parts of it.

    It is an odd site: ids of Oozie are random, and homes are in `/home`.

    Raises:
        NoCluster: it cannot be started here; says why.
    """
    _check_missing()
    options = [word for setting in ODD for word in ("--set", setting)]
    with started("--port-offset", APART_PORT_OFFSET, *options, home=APART_HOME) as described:
        change(described, "/home", op="MKDIRS")
        change(described, "/home", op="SETPERMISSION", permission="1777")
        for user in described["users"]:
            make_home(described, "/home", user)
        yield RealStand(described)


def make_home(
    described: dict[str, Any], directory: str, name: str, owner: str | None = None
) -> None:
    """Make the home of a user in a directory; its name is that of its owner, or another one."""
    home = f"{directory}/{quote(name)}"
    change(described, home, op="MKDIRS")
    change(described, home, op="SETOWNER", owner=owner or name, group="users")


def change(described: dict[str, Any], path: str, **operation: str) -> None:
    """Change something in HDFS, as its superuser and not through the gateway."""
    url = f"{described['direct']['webhdfs']}{path}"
    answer = requests.put(url, params=operation | {"user.name": "hdfs"}, timeout=120)
    assert answer.status_code == 200, answer.text


def _check_missing() -> None:
    if reason := os.environ.get(MISSING):
        raise NoCluster(reason)


@contextmanager
def started(*options: str, home: str | None = None) -> Iterator[dict[str, Any]]:
    """Start a cluster for the length of the block; yield its description.

    Raises:
        NoCluster: it cannot be started here; says why.
    """
    try:
        up = cluster("up", *options, home=home)
        if up.returncode != 0:
            raise NoCluster(up.stderr.strip().splitlines()[-1])
        yield json.loads(up.stdout)
    finally:
        cluster("down", home=home)


def cluster(*arguments: str, home: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command of the cluster in its usual directory, or in another with the same jars."""
    usual = os.environ.get("CLUSTER_HOME") or ".cluster"
    return subprocess.run(
        [sys.executable, str(COMMAND), *arguments],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        env=os.environ | {"CLUSTER_JARS": usual} | ({"CLUSTER_HOME": home} if home else {}),
    )


def submit(client: through.Gateway, name: str, **properties: str) -> str:
    """Start an uploaded workflow, or the coordinator or bundle in its place, and return its id."""
    kinds = [p for file, p in KINDS.items() if (through.WORKFLOWS / name / file).exists()]
    if not kinds:
        return client.submit(name, **properties)
    home = f"{client.cluster['namenode']}/user/{client.user}"
    document = client.configuration(name, home=home).replace(b"oozie.wf.app", kinds[0])
    answer = client.ask("POST", "oozie/v2/jobs?action=start", document, "application/xml")
    return str(answer.expect(201).json["id"])


def ask(
    stand: Address, path: str, method: str = "GET", password: str = "guest-password", **more: Any
) -> requests.Response:
    """Ask a stand as guest, with a client that is not the service's own."""
    return _client().request(
        method,
        f"{stand.url}/{path}",
        auth=("guest", password),
        verify=str(stand.ca_file) if stand.ca_file else True,
        allow_redirects=False,
        timeout=120,
        **more,
    )


@cache
def _client() -> requests.Session:
    """Return a client that keeps connections, which are dear, and no cookies."""
    client = requests.Session()
    client.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


def access(stand: Address, user: str = "guest", password: str | None = None) -> ClusterAccess:
    """Open a stand as one of its users; once only, so that no connection is left behind."""
    credential = BasicCredential(user, password or f"{user}-password")
    return _opened(stand.url, stand.ca_file, credential)


@cache
def _opened(url: str, ca_file: Path | None, credential: BasicCredential) -> ClusterAccess:
    return ClusterAccess(Gateway(url=url, ca_file=ca_file), credential, ids_per_request=100)
