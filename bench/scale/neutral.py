"""Run the neutral gateway as a process, and control its jobs."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tracker_service.supervisor import die_with_parent

LATENCY_S = 0.02
KINDS = ("bulk", "details", "who", "other")


@dataclass(frozen=True)
class Topology:
    """A topology of the gateway, which counts its requests by topology."""

    name: str
    url: str
    ca_file: None = None


@dataclass(frozen=True)
class Count:
    """The requests through one topology up to an instant."""

    at: float
    kinds: Counter[str]

    @property
    def requests(self) -> int:
        """Return the number of requests."""
        return sum(self.kinds[kind] for kind in KINDS)

    @property
    def states(self) -> int:
        """Return how many states of jobs were sent."""
        return self.kinds["states"]

    def since(self, before: Count) -> Count:
        """Return the requests since an earlier count; `at` is then the time between, in seconds."""
        return Count(self.at - before.at, self.kinds - before.kinds)

    @property
    def per_minute(self) -> float:
        """Return the requests per minute of a result of `since`."""
        return 60 * self.requests / self.at


class NeutralGateway:
    """The gateway as the measurement sees it."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self._port, self._process = port, process

    def topology(self, name: str) -> Topology:
        """Return a topology; any name exists."""
        return Topology(name, f"http://127.0.0.1:{self._port}/gateway/{name}")

    def start(self, count: int, users: Sequence[str]) -> list[str]:
        """Start jobs that run until `end`, for these users in turn; return their ids."""
        return list(json.loads(self._ask("jobs", {"count": count, "users": users})))

    def end(self, instants: Mapping[str, float]) -> None:
        """Set when jobs succeed: by id, in seconds since 1970."""
        self._ask("end", instants)

    def count(self, topology: Topology) -> Count:
        """Return the requests through a topology until now."""
        counts = json.loads(self._ask("counts"))
        return Count(time.time(), Counter(counts.get(topology.name, {})))

    def asked_at(self, topology: Topology) -> array[float]:
        """Return when the state of each job was last sent through a topology, in order of jobs."""
        instants = array("d")
        instants.frombytes(self._ask(f"asked_at?{topology.name}"))
        return instants

    def _ask(self, what: str, body: object = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", f"/control/{what}", json.dumps(body))
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def neutral_gateway(latency_s: float = LATENCY_S) -> Iterator[NeutralGateway]:
    """Run the gateway for the length of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.scale.gateway", str(latency_s)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - calls prctl and nothing else
    )
    try:
        assert process.stdout is not None
        yield NeutralGateway(int(process.stdout.readline()), process)
    finally:
        process.terminate()
        process.wait()
