from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.gateway import TOPOLOGY_PATH, SandboxGateway


@dataclass
class Clock:
    now: float = 1_795_400_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Caller:
    """One user of the gateway, who sends credentials with each request and keeps no cookie."""

    def __init__(self, gateway: SandboxGateway, user: str) -> None:
        self.client = Client(gateway, use_cookies=False)
        self.user = user

    def ask(self, path: str, method: str = "GET", **more) -> TestResponse:
        if not path.startswith("http"):
            path = f"{TOPOLOGY_PATH}/{path}"
        auth = (self.user, f"{self.user.lower()}-password")
        return self.client.open(path, method=method, auth=auth, **more)

    def hdfs(self, path: str, operation: str, method: str = "GET", **query) -> TestResponse:
        return self.ask(f"webhdfs/v1{path}", method, query_string={"op": operation, **query})

    def write(self, path: str, data: bytes = b"", **query) -> TestResponse:
        location = self.hdfs(path, "CREATE", "PUT", **query).headers["Location"]
        return self.ask(location, "PUT", data=data, content_type="application/octet-stream")

    def read(self, path: str, **query) -> bytes:
        return self.ask(self.hdfs(path, "OPEN", **query).headers["Location"]).data

    def info(self, job_id: str) -> dict[str, Any]:
        return self.ask(f"oozie/v2/job/{job_id}?show=info").get_json()

    def app(self, application_id: str) -> dict[str, Any]:
        return self.ask(f"resourcemanager/v1/cluster/apps/{application_id}").get_json()["app"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster(clock) -> Cluster:
    return Cluster(clock=clock)


@pytest.fixture
def gateway(cluster) -> SandboxGateway:
    return SandboxGateway(cluster)


@pytest.fixture
def guest(gateway) -> Caller:
    return Caller(gateway, "guest")


@pytest.fixture
def sam(gateway) -> Caller:
    return Caller(gateway, "sam")
