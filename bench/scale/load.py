"""Put load on the API from another process: see `posting`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Load:
    """The load to put on the API."""

    host: str
    port: int
    users: Sequence[str]  #: each has a client with a persistent connection
    ids: Sequence[str]  #: posted one by one
    seconds: float
    per_second: float | None  #: of all clients together; None for as fast as possible


@dataclass(frozen=True)
class Done:
    """The answers to the load."""

    seconds: Sequence[float]  #: of each answer, from the instant at which its request was due
    errors: Sequence[str]
    took_s: float

    @property
    def per_second(self) -> float:
        """Return how many requests were answered in a second."""
        return len(self.seconds) / self.took_s


def run(load: Load) -> Done:
    """Put load on the API from another process."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.scale.posting"],
        input=json.dumps(asdict(load)),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return Done(**json.loads(done.stdout))
