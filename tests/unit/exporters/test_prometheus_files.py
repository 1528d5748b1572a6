"""The files of `config/prometheus` hold together, and promtool has nothing against them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.teraslice import ALL_SETS

CONFIG = Path(__file__).parents[3] / "config" / "prometheus"
PROMTOOL = shutil.which("promtool") or ""
needs_promtool = pytest.mark.skipif(
    not PROMTOOL, reason="left out: no promtool: apt-get install prometheus"
)


def promtool(*words: str | Path) -> None:
    done = subprocess.run(
        [PROMTOOL, *words], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_hold_what_their_tests_say():
    promtool("test", "rules", CONFIG / "teraslice.test.yml")


@needs_promtool
def test_the_scrape_configuration_can_be_used():
    promtool("check", "config", CONFIG / "prometheus.yml")


def alerts() -> set[str]:
    groups = yaml.safe_load((CONFIG / "teraslice.rules.yml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def test_each_alert_is_tested():
    tests = yaml.safe_load((CONFIG / "teraslice.test.yml").read_text())["tests"]
    tested = {
        each["alertname"]
        for test in tests
        for each in test["alert_rule_test"]
        if each.get("exp_alerts")
    }

    assert tested == alerts()


def metric_names(expression: str) -> set[str]:
    return set(re.findall(r"(?<![:\w])teraslice_\w+(?![:\w])", expression))


def shown_names() -> set[str]:
    names = {family.name for family in ALL_SETS}
    histogram = "teraslice_exporter_update_duration_seconds"
    return names | {f"{histogram}_{part}" for part in ("bucket", "sum", "count")}


def test_rules_and_dashboard_ask_for_nothing_that_is_not_exported():
    rules = yaml.safe_load((CONFIG / "teraslice.rules.yml").read_text())["groups"][0]["rules"]
    board = json.loads((CONFIG / "teraslice-dashboard.json").read_text())
    targets = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    variables = [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    recorded = {rule["record"] for rule in rules if "record" in rule}

    asked = [*(rule["expr"] for rule in rules), *targets, *variables]

    assert len(targets) >= 10
    assert {name for each in asked for name in metric_names(each)} - shown_names() == set()
    used = {name for each in targets for name in re.findall(r"[\w]+:[\w:]+", each)}
    assert used <= recorded
