"""What the API, Prometheus and badges show of checks."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.calls import GUEST
from tests.unit.checks.endpoints import http
from tests.unit.checks.test_duties import closed_port


def json_of(client: FlaskClient, path: str) -> Any:
    return client.get(path, auth=GUEST).get_json()


@pytest.fixture
def names(site, endpoint) -> tuple[str, str]:
    """A check that is up and one that is down, and a file that is bad."""
    good = f"{endpoint(http()).authority}/a"
    bad = f"127.0.0.1:{closed_port()}/b"
    values = "  response_json_values: [status]\n"
    site.write(
        f"{good}:\n  cron_schedule: '* * * * *'\n{values}"
        f"{bad}:\n  cron_schedule: '* * * * *'\n  failures_in_a_row: 1\n"
    )
    site.write("x:\n  colour: red\n", "bad.yml")
    worker = site.worker()
    site.advance(60)
    worker.turn()
    return good, bad


def test_checks_are_listed_with_their_files(client: FlaskClient, names):
    answer = json_of(client, "/api/checks")

    found = {check["name"]: check for check in answer["checks"]}
    assert found[names[0]]["state"] == "up"
    assert found[names[0]]["ok"] is True
    assert found[names[1]]["state"] == "down"
    assert found[names[1]]["error"].startswith("no connection to 127.0.0.1:")
    [_, fault] = sorted(answer["files"], key=lambda file: file["rule"] is not None)
    assert (fault["rule"], fault["line"]) == ("missing", 1)
    assert fault["message"] == "x: cron_schedule is missing"


def test_checks_are_listed_page_after_page(client: FlaskClient, names):
    first = json_of(client, "/api/checks?limit=1")["checks"]
    second = json_of(client, f"/api/checks?after={first[0]['name']}")
    assert [c["name"] for c in (*first, *second["checks"])] == sorted(names)
    assert second["files"] == []


def test_a_check_is_shown_with_its_history_and_availability(client: FlaskClient, names):
    answer = json_of(client, f"/api/checks/{names[0]}")

    assert answer["runs"][0]["values"] == {"status": "ok"}
    assert set(answer["availability"]) == {"1h", "24h", "7d", "30d"}
    assert set(answer["phases"]) == {"resolve", "connect", "processing", "transfer"}


def test_an_unknown_check_is_answered_404(client: FlaskClient, names):
    for path in ("/api/checks/none", "/badges/checks/none.svg"):
        answer = client.get(path, auth=GUEST)
        assert answer.status_code == 404
        assert "`tracker checks list`" in answer.get_json()["detail"]


def test_strangers_see_no_checks(client: FlaskClient, names):
    assert client.get("/api/checks").status_code == 401


def test_prometheus_reads_the_names_of_blackbox_exporter(client: FlaskClient, names):
    text = client.get("/metrics/checks").text

    assert f'probe_success{{check="{names[0]}"}} 1.0\n' in text
    assert f'probe_success{{check="{names[1]}"}} 0.0\n' in text
    assert f'probe_duration_seconds{{check="{names[0]}",phase="connect"}} ' in text
    assert f'probe_http_status_code{{check="{names[0]}"}} 200.0\n' in text


def test_a_badge_shows_the_state(client: FlaskClient, names):
    for name, state in zip(names, ("up", "down"), strict=True):
        answer = client.get(f"/badges/checks/{name}.svg")
        assert answer.content_type == "image/svg+xml"
        assert f"{name}: {state}</title>" in answer.text


def test_workers_needed_are_told_to_an_autoscaler(client: FlaskClient, names):
    answer = client.get("/api/workers", auth=("admin", "admin-password"))
    assert answer.status_code == 200
    assert int(answer.headers["Tracker-Workers-Needed"]) >= 1
