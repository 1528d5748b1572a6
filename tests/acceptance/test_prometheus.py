"""A real Prometheus scrapes the exporter and fires the alerts of `config/prometheus`."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.ports import free_port
from tests.unit.loopback_server import Loopback, Reply
from tests.unit.running_exporter import RunningExporter
from tests.unit.teraslice import FakeMaster, controller, execution
from tests.waiting import until

PROMETHEUS = shutil.which("prometheus") or ""
CONFIG = Path(__file__).parents[2] / "config" / "prometheus"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PROMETHEUS, reason="left out: no prometheus: apt-get install prometheus"
    ),
]


def alerts() -> set[str]:
    groups = yaml.safe_load((CONFIG / "teraslice.rules.yml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


class RunningPrometheus:
    """Prometheus with the rules of `config/`, in which a minute takes a second."""

    def __init__(self, home: Path, target: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        rules = (CONFIG / "teraslice.rules.yml").read_text()
        quick = re.sub(r"\b(\d+)m\b", r"\1s", rules).replace("> 300", "> 5")
        (home / "teraslice.rules.yml").write_text(quick)
        configuration = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        [job] = [each for each in configuration["scrape_configs"] if "metrics_path" in each]
        job |= {"metrics_path": "/metrics", "static_configs": [{"targets": [target]}]}
        configuration["scrape_configs"] = [job]
        (home / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self.log = home / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    PROMETHEUS,
                    f"--config.file={home}/prometheus.yml",
                    f"--storage.tsdb.path={home}/data",
                    f"--web.listen-address={self.url[7:]}",
                ],
                stdout=log,
                stderr=log,
            )

    def api(self, path: str, **query: str) -> Any:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(requests.ConnectionError):
            answer = requests.get(f"{self.url}/api/v1/{path}", query, timeout=60)
            if answer.ok:
                return answer.json()["data"]
        return {}

    def firing(self) -> set[tuple[str, str]]:
        """Return what fires: the alert, and the job that it is about."""
        return {
            (each["labels"]["alertname"], each["labels"].get("job_name", ""))
            for each in self.api("alerts").get("alerts", [])
            if each["state"] == "firing"
        }

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def fake() -> Iterator[FakeMaster]:
    server = Loopback()
    yield FakeMaster(server)
    server.close()


@pytest.fixture
def exporter(tmp_path: Path, fake: FakeMaster) -> Iterator[RunningExporter]:
    running = RunningExporter(tmp_path, fake.server.origin, TERASLICE_QUERY_DELAY="300")
    running.wait()
    yield running
    running.end()


@pytest.fixture
def prometheus(tmp_path: Path, exporter: RunningExporter) -> Iterator[RunningPrometheus]:
    running = RunningPrometheus(tmp_path, f"127.0.0.1:{exporter.port}")
    yield running
    running.end()


class Courses:
    """Controllers of which one does well, and each other one has a trouble of its own."""

    def __init__(self, fake: FakeMaster) -> None:
        self.processed = 0
        names = ("well", "fails", "stuck", "lonely", "vanishes")
        fake.executions = [execution(n, name=name) for n, name in enumerate(names)]
        self.vanished = False
        self._fake = fake

    def go_on(self) -> None:
        self.processed += 1
        lonely = {"workers_active": 0, "workers_available": 0}
        rows = [
            controller(0, name="well", processed=self.processed),
            controller(1, name="fails", processed=self.processed, failed=self.processed),
            controller(2, name="stuck", processed=7),
            controller(3, name="lonely", processed=self.processed, **lonely),
            controller(4, name="vanishes", processed=self.processed),
        ]
        self._fake.controllers = rows[:4] if self.vanished else rows


TROUBLES = {
    ("TerasliceSlicesFail", "fails"),
    ("TerasliceQueueStuck", "stuck"),
    ("TerasliceNoWorkers", "lonely"),
    ("TerasliceControllerGone", "vanishes"),
}
ABSENT = ("TerasliceExporterAbsent", "")
DOWN = {("TerasliceMasterDown", ""), ("TerasliceExporterStale", "")}


def test_a_real_prometheus_scrapes_the_exporter_and_fires_each_alert(fake, exporter, prometheus):
    courses, seen = Courses(fake), set[tuple[str, str]]()

    def fired() -> set[tuple[str, str]]:
        courses.go_on()
        seen.update(prometheus.firing())
        return seen

    until(fired, lambda found: len(found) >= 3)
    courses.vanished = True
    until(fired, lambda found: found >= TROUBLES)
    [target] = prometheus.api("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    series = prometheus.api("query", query='processed{name="well"}')["result"]
    assert [each["metric"]["cluster"] for each in series] == ["lab"]
    by_record = "url_name_job_name:teraslice_controller_slices_failed:ratio_rate5m"
    until(lambda: prometheus.api("query", query=by_record + " > 0")["result"])

    fake.replies["/v1/cluster/controllers"] = Reply(500)
    until(fired, lambda found: found >= TROUBLES | DOWN)
    exporter.end()
    until(prometheus.firing, lambda found: ABSENT in found)

    assert {name for name, _ in (*seen, ABSENT)} == alerts()
