"""The command `tracker exporter teraslice` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from tests.ports import free_port
from tests.waiting import until

TRACKER = Path(sys.executable).parent / "tracker"


class RunningExporter:
    """The command, with a port of its own."""

    def __init__(self, home: Path, url: str, *words: str, **variables: str) -> None:
        self.port = free_port()
        self.log = home / "exporter.log"
        known = {name: text for name, text in os.environ.items() if not name.startswith("TRACKER")}
        environment = known | {"TERASLICE_URL": url, "PORT": str(self.port)} | variables
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [TRACKER, "exporter", "teraslice", *words],
                env=environment,
                cwd=home,
                stderr=log,
                stdout=log,
            )

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://localhost:{self.port}{path}", timeout=60)

    def wait(self) -> None:
        """Wait until it answers; end it if it never does."""

        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(requests.ConnectionError):
                return self.get("/").ok
            return False

        try:
            until(answers)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]
