"""Put load on the API from another process: see `posting`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Load:
    """What to do."""

    host: str
    port: int
    users: Sequence[str]  #: each with a client, and with a connection that is kept
    ids: Sequence[str]  #: posted one by one
    seconds: float
    per_second: float | None  #: of all clients together; None: as fast as answers come


@dataclass(frozen=True)
class Done:
    """What came of it."""

    seconds: Sequence[float]  #: of each answer, from when it was to be asked for
    errors: Sequence[str]
    took_s: float

    @property
    def per_second(self) -> float:
        """Return how many were answered in a second."""
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
