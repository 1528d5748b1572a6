"""A Teraslice master for tests: answers as real ones do, or as a test says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.unit.loopback_server import Asked, Loopback, Reply
from tracker_service.exporters.exposition import Exposed, page
from tracker_service.exporters.families import Family, families
from tracker_service.exporters.health import Health
from tracker_service.exporters.masters import Master
from tracker_service.exporters.scraping import Scraper, Update

ANSWERS = Path(__file__).parent / "exporters" / "answers"
URL = "https://teraslice-xyz.lan/"
NOW = datetime(2026, 11, 22, 3, 17, 30, tzinfo=UTC)
ALL_SETS = families(with_bare=True, with_extended=True)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def recorded(name: str) -> Any:
    """Return an answer that a real master gave."""
    return json.loads((ANSWERS / name).read_text())


def controller(number: int = 1, **more: Any) -> dict[str, Any]:
    """Return a row of a controller."""
    [row] = recorded("controllers_running.json")
    ids: dict[str, Any] = {
        "ex_id": f"ex-{number}",
        "job_id": f"job-{number}",
        "name": f"job {number}",
    }
    return row | ids | more


def execution(number: int = 1, **more: Any) -> dict[str, Any]:
    """Return a stored execution."""
    ids = {"ex_id": f"ex-{number}", "job_id": f"job-{number}", "name": f"job {number}"}
    return recorded("ex_one.json") | ids | more


@dataclass
class FakeMaster:
    """Answers at each path what a test has set; a reply of its own goes before."""

    server: Loopback
    controllers: Any = field(default_factory=lambda: recorded("controllers_running.json"))
    executions: Any = field(default_factory=lambda: [recorded("ex_one.json")])
    info: Any = field(default_factory=lambda: recorded("root.json"))
    state: Any = field(default_factory=lambda: recorded("state_native.json"))
    jobs: Any = field(default_factory=list)
    replies: dict[str, Reply] = field(default_factory=dict)  #: by path
    prefix: str = ""

    def __post_init__(self) -> None:
        self.server.says(self._reply)

    def _reply(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix(self.prefix)
        if path in self.replies:
            return self.replies[path]
        answers = {
            "/": self.info,
            "/v1/cluster/controllers": self.controllers,
            "/v1/cluster/state": self.state,
            "/v1/jobs": self.jobs,
            "/v1/ex": self._page(asked),
        }
        if path not in answers or not asked.path.startswith(self.prefix):
            message = f"cannot {asked.method} endpoint {path}"
            return Reply(405, json.dumps({"error": 405, "message": message}).encode())
        return Reply(200, json.dumps(answers[path], indent=4).encode())

    def _page(self, asked: Asked) -> Any:
        if asked.path.removeprefix(self.prefix) != "/v1/ex" or not isinstance(
            self.executions, list
        ):
            return self.executions
        begin, size = int(asked.query.get("from", 0)), int(asked.query.get("size", 100))
        return self.executions[begin : begin + size]

    def master(self, **more: Any) -> Master:
        """Return the master as the exporter knows it."""
        usual: dict[str, Any] = {
            "name": "prod",
            "url": self.server.origin + self.prefix,
            "display_url": URL,
            "interval_s": 30,
            "timeout_s": 10,
        }
        return Master(**usual | more)

    def asked_paths(self) -> list[str]:
        return [asked.path for asked in self.server.asked]


def update(master: Master, before: Health | None = None) -> Update:
    """Update the series of a master once."""
    return Scraper(lambda: NOW).update(master, before or Health())


def text(found: Update, shown: Iterable[Family] = ALL_SETS, **more: Any) -> str:
    """Return the page with one master."""
    usual: dict[str, Any] = {
        "cluster": "prod",
        "url": URL,
        "health": found.health,
        "snapshot": found.snapshot,
    }
    return b"".join(page([Exposed(**usual | more)], shown)).decode()


def samples(page_text: str) -> Samples:
    """Return each series of a page: its name and its labels, and its value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page_text)
        for sample in family.samples
    }


def one(page_text: str, name: str, /, **labels: str) -> float | None:
    """Return the value of the only series with a name and some labels; None if there is none."""
    found = [
        value
        for (its_name, its_labels), value in samples(page_text).items()
        if its_name == name and labels.items() <= dict(its_labels).items()
    ]
    assert len(found) <= 1, (name, labels, found)
    return found[0] if found else None


def names(page_text: str) -> set[str]:
    """Return the names of all series."""
    return {name for name, _ in samples(page_text)}
