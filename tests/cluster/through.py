"""A client of the cluster, through its gateway, with the standard library only."""

import base64
import dataclasses
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Collection, Iterator, Mapping
from email.message import Message
from typing import Any
from xml.sax.saxutils import escape

WORKFLOWS = pathlib.Path(__file__).resolve().parent / "workflows"
ENDED = ("SUCCEEDED", "KILLED", "FAILED")
AGGREGATED = ("SUCCEEDED", "FAILED", "TIME_OUT")


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of the gateway."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def expect(self, status: int) -> "Answer":
        """The answer itself; fails if it has another status."""
        if self.status != status:
            raise AssertionError(f"{self.status} instead of {status}: {self.body[:2000]!r}")
        return self


class Gateway:
    """One user of one topology; a new connection for every request, and no cookie is kept."""

    def __init__(
        self,
        cluster: Mapping[str, Any],
        user: str = "guest",
        password: str | None = None,
        token: str | None = None,
    ) -> None:
        self.cluster, self.user = cluster, user
        self.base = urllib.parse.urlsplit(cluster["token_gateway" if token else "gateway"])
        secret = f"{user}:{password or cluster['users'].get(user)}".encode()
        basic = "Basic " + base64.b64encode(secret).decode()
        self.credentials = f"Bearer {token}" if token else basic
        self.context = ssl.create_default_context(cafile=cluster["ca"])

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Answer:
        """Asks for a path below the topology, or for a Location that the gateway gave."""
        parts = urllib.parse.urlsplit(path)
        if parts.netloc not in ("", self.base.netloc):
            raise AssertionError(f"a redirect out of the gateway: {path}")
        target = parts._replace(scheme="", netloc="").geturl()
        if not parts.netloc:
            target = f"{self.base.path}/{path}"
        headers = {"Authorization": self.credentials} | ({"Content-Type": kind} if kind else {})
        connection = http.client.HTTPSConnection(
            self.base.netloc, timeout=120, context=self.context
        )
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """Asks for a path by GET."""
        return self.ask("GET", path)

    def token(self) -> str:
        """A token of this user, for the topology that takes tokens."""
        return str(self.get("knoxtoken/api/v1/token").expect(200).json["access_token"])

    # --- WebHDFS: a transfer has two steps, and both go through the gateway ---

    def create(self, path: str, data: bytes) -> Answer:
        """Writes a file, in place of one that is there."""
        first = self.ask("PUT", f"{webhdfs(path)}?op=CREATE&overwrite=true")
        if first.status != 307:
            return first
        return self.ask("PUT", first.headers["Location"], data, "application/octet-stream")

    def open(self, path: str) -> Answer:
        """Reads a file."""
        first = self.get(f"{webhdfs(path)}?op=OPEN")
        return self.get(first.headers["Location"]) if first.status == 307 else first

    def delete(self, path: str) -> bool:
        """Deletes a file, or a directory with its contents; returns whether it existed."""
        answer = self.ask("DELETE", f"{webhdfs(path)}?op=DELETE&recursive=true")
        return bool(answer.expect(200).json["boolean"])

    def listing(self, path: str) -> list[dict[str, Any]]:
        """The FileStatus of each entry of a directory; none if it does not exist."""
        answer = self.get(f"{webhdfs(path)}?op=LISTSTATUS")
        if answer.status == 404:
            return []
        return list(answer.expect(200).json["FileStatuses"]["FileStatus"])

    def files(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """All files below a directory: (path, FileStatus)."""
        for entry in self.listing(path):
            below = f"{path.rstrip('/')}/{entry['pathSuffix']}"
            if entry["type"] == "DIRECTORY":
                yield from self.files(below)
            else:
                yield below, entry

    # --- Oozie ---

    def upload(self, name: str) -> None:
        """Puts one of the workflows into the user's home, where `submit` looks for it."""
        for file in sorted((WORKFLOWS / name).iterdir()):
            self.create(f"/user/{self.user}/{name}/{file.name}", file.read_bytes()).expect(201)

    def configuration(self, name: str, /, **properties: object) -> bytes:
        """The configuration with which an uploaded workflow is submitted."""
        namenode = self.cluster["namenode"]
        values = {
            "user.name": self.user,
            "oozie.wf.application.path": f"{namenode}/user/{self.user}/{name}",
            "nameNode": namenode,
            "resourceManager": self.cluster["resource_manager"],
        } | properties
        rows = "".join(
            f"<property><name>{escape(key)}</name><value>{escape(str(value))}</value></property>"
            for key, value in values.items()
        )
        return f"<configuration>{rows}</configuration>".encode()

    def submit(self, name: str, /, **properties: object) -> str:
        """Submits and starts an uploaded workflow; the id of the job."""
        body = self.configuration(name, **properties)
        answer = self.ask(
            "POST", "oozie/v1/jobs?action=start", body, "application/xml;charset=UTF-8"
        )
        return str(answer.expect(201).json["id"])

    def kill(self, job: str) -> Answer:
        """Kills a job."""
        return self.ask("PUT", f"oozie/v1/job/{job}?action=kill")

    def info(self, job: str) -> dict[str, Any]:
        """Oozie's description of a job, with its actions."""
        return dict(self.get(f"oozie/v2/job/{job}?show=info").expect(200).json)

    def state(self, job: str) -> str:
        """The status of a job."""
        return str(self.get(f"oozie/v2/job/{job}?show=status").expect(200).json["status"])

    def wait(self, job: str, states: Collection[str] = ENDED, seconds: float = 180) -> str:
        """Waits until a job is in one of these states, and says in which."""
        return until(lambda: self.state(job), lambda state: state in states, seconds)

    def application_of(self, job: str, action: str = "work", seconds: float = 60) -> str:
        """Waits until an action has an application, and says which: of YARN, not `job_...`."""

        def find() -> str:
            actions = self.info(job)["actions"]
            ids = [str(a["externalId"]) for a in actions if a["name"] == action]
            return ids[0] if ids else ""

        return until(find, lambda found: found.startswith("application_"), seconds)

    # --- YARN ---

    def app(self, application: str) -> dict[str, Any]:
        """The ResourceManager's description of an application."""
        path = f"resourcemanager/v1/cluster/apps/{application}"
        return dict(self.get(path).expect(200).json["app"])

    def wait_logs(self, application: str, seconds: float = 60) -> str:
        """Waits until the logs of an application are aggregated, and says with what success."""
        return until(
            lambda: str(self.app(application)["logAggregationStatus"]),
            lambda state: state in AGGREGATED,
            seconds,
        )

    def log_files(self, application: str, owner: str) -> list[tuple[str, dict[str, Any]]]:
        """The aggregated files of an application, one of each node: (path, FileStatus)."""
        bucket = f"{int(application.rsplit('_', 1)[1]) % 10000:04d}"
        kind = f"bucket-logs-{self.cluster['log_format']}"
        root = f"{self.cluster['log_root']}/{owner}/{kind}/{bucket}/{application}"
        return list(self.files(root))


def webhdfs(path: str) -> str:
    """The address of a file below the topology."""
    return f"webhdfs/v1{urllib.parse.quote(path)}"


def until(ask: Callable[[], str], good: Callable[[str], bool], seconds: float) -> str:
    """Asks until the answer is good; the answer."""
    limit = time.monotonic() + seconds
    while not good(answer := ask()):
        if time.monotonic() > limit:
            raise AssertionError(f"still {answer!r} after {seconds} s")
        time.sleep(0.2)
    return answer


def described(home: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The description of the cluster in a directory, by default $CLUSTER_HOME or `.cluster`."""
    found = pathlib.Path(home or os.environ.get("CLUSTER_HOME") or ".cluster")
    return dict(json.loads((found / "cluster.json").read_text()))


def yarn_logs(cluster: Mapping[str, Any], application: str, owner: str) -> bytes:
    """What the cluster's own `yarn logs` prints of an application, asked as its owner.

    Without Kerberos, Hadoop believes the name in the environment.
    """
    who = {"HADOOP_USER_NAME": owner}
    if kerberos := cluster["kerberos"]:
        who = {
            "KRB5PRINCIPAL": f"{owner}@{kerberos['realm']}",
            "KRB5KEYTAB": f"{kerberos['keytabs']}/{owner}.keytab",
        }
    done = subprocess.run(
        [
            f"{cluster['home']}/bin/yarn",
            "logs",
            *("-applicationId", application),
            *("-appOwner", owner),
        ],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=120,
        env=cluster["environment"] | who | {"LANG": "C.UTF-8"},
    )
    if done.returncode:
        raise AssertionError(f"yarn logs: {done.returncode}: {done.stderr[-2000:]!r}")
    return done.stdout
