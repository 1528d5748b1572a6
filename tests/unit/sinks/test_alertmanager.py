from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

import pytest

from tests.ports import free_port, listens
from tests.unit.loopback_server import Loopback, Reply
from tests.unit.sinks.messages import BASE_URL, JOB, failure, message, numbered, state_changed
from tests.waiting import until
from tracker_service.domain.events import EventType, LedgerEventType
from tracker_service.settings.sinks import AlertmanagerSettings
from tracker_service.sinks.alertmanager import Alertmanager
from tracker_service.sinks.opening import open_sink
from tracker_service.sinks.reach import Reach
from tracker_service.sinks.sink import Result
from tracker_service.sinks.web import WebReceiver

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or ""
NOW = datetime.now(UTC)


def sink(origin: str, **labels: str) -> Alertmanager:
    receiver = WebReceiver(f"{origin}/api/v2/alerts", Reach(is_everywhere=True))
    return Alertmanager(receiver, labels, {}, BASE_URL)


def fired(loopback: Loopback, *messages: Any) -> list[list[dict[str, Any]]]:
    """The alerts of each request."""
    outcomes = sink(loopback.origin).deliver(messages)
    assert {outcome.result for outcome in outcomes} == {Result.DELIVERED}
    return [json.loads(asked.body) for asked in loopback.asked]


def test_a_failed_job_fires_and_its_success_resolves_the_same_alert(loopback):
    succeeded = state_changed("RUNNING", "SUCCEEDED")

    [[alert], [resolved]] = fired(loopback, failure(), succeeded)

    assert alert["labels"] == resolved["labels"]
    assert alert["labels"] == {
        "alertname": "TrackerJobFailed",
        "subject": JOB,
        "service": BASE_URL,
    }
    assert alert["annotations"]["summary"] == "etl-daily failed: The executor ran out of memory"
    assert "stderr:17" in alert["annotations"]["description"]
    assert alert["generatorURL"] == f"{BASE_URL}/api/job/{JOB}"
    assert "startsAt" in alert
    assert resolved["endsAt"] == "2026-11-30T03:00:07.000+00:00"


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (EventType.LOGS_AT_RISK, EventType.LOGS_SAVED),
        (EventType.LOGS_LOST, EventType.LOGS_SAVED),
        (EventType.LOGS_AT_RISK, EventType.LOGS_LOST),
        (EventType.SCALING_LIMIT_HIT, EventType.SCALING_LIMIT_OVER),
        (EventType.CLUSTER_TROUBLE, EventType.CLUSTER_TROUBLE_OVER),
        (LedgerEventType.FAILED, LedgerEventType.COMPLETED),
        ("check.trouble", "check.trouble_over"),
    ],
)
def test_each_trouble_ends_with_the_event_that_tells_of_its_end(loopback, begin, end):
    first, then = fired(loopback, message(begin), message(end))

    assert first[0]["labels"] in [alert["labels"] for alert in then if "startsAt" not in alert]


def test_what_is_no_trouble_is_not_sent(loopback):
    started = state_changed("PREP", "RUNNING")

    assert fired(loopback, started) == []


def test_labels_and_annotations_are_bounded(loopback):
    huge = message(subject="ü" * 10_000, cause={"summary": "x" * 100_000})

    [[alert]] = fired(loopback, huge)

    assert max(map(len, alert["labels"].values())) <= 200
    assert max(map(len, alert["annotations"].values())) <= 4000


def test_the_labels_of_the_site_do_not_hide_those_of_the_alert(loopback):
    sink(loopback.origin, team="data", alertname="X").deliver([failure()])

    [alert] = json.loads(loopback.asked[0].body)
    assert (alert["labels"]["team"], alert["labels"]["alertname"]) == ("data", "TrackerJobFailed")


def test_alertmanager_refuses_and_the_next_alert_is_sent(loopback):
    loopback.says(Reply(400, b'"bad label"'), Reply())

    refused, accepted = sink(loopback.origin).deliver(numbered(2))

    assert (refused.result, accepted.result) == (Result.REFUSED, Result.DELIVERED)
    assert "bad label" in refused.answer


def test_an_alertmanager_that_is_away_gets_all_later(loopback):
    loopback.says(Reply(503, headers={"Retry-After": "7"}))

    [outcome] = sink(loopback.origin).deliver(numbered(2))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert outcome.retry_after_s == 7


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a real Alertmanager."""
    if not ALERTMANAGER:
        pytest.skip("no Alertmanager: apt-get install prometheus-alertmanager")
    directory = tmp_path_factory.mktemp("alertmanager")
    config = directory / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    options = {
        "config.file": config,
        "storage.path": directory,
        "web.listen-address": f"127.0.0.1:{port}",
        "cluster.listen-address": "",
    }
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [ALERTMANAGER, *(f"--{name}={value}" for name, value in options.items())],
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: listens(port) or process.poll() is not None)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def alerts_of(team: str, alertmanager: str) -> list[dict[str, Any]]:
    """The alerts that fire now; Alertmanager does not list resolved ones."""
    with urlopen(f"{alertmanager}/api/v2/alerts?filter=team={team}") as answer:
        return json.load(answer)


def test_a_real_alertmanager_fires_and_resolves(alertmanager):
    receiver = sink(alertmanager, team="data")
    begin, end = NOW - timedelta(minutes=10), NOW - timedelta(minutes=1)
    known: dict[str, Any] = {"name": "etl-daily", "links": {"job": f"/api/job/{JOB}"}}
    hostile = message(subject='x"\n{}=,\x00\ud800' * 1000, at=begin)

    fires = receiver.deliver([message(at=begin, **known), hostile])
    assert [outcome.result for outcome in fires] == [Result.DELIVERED] * 2, fires
    firing = until(lambda: alerts_of("data", alertmanager), lambda alerts: len(alerts) == 2)
    receiver.deliver([state_changed("RUNNING", "SUCCEEDED", at=end)])

    [alert] = [each for each in firing if each["labels"]["subject"] == JOB]
    assert alert["status"]["state"] in ("unprocessed", "active")
    assert alert["generatorURL"] == f"{BASE_URL}/api/job/{JOB}"
    until(lambda: alerts_of("data", alertmanager), lambda alerts: len(alerts) == 1)


def test_an_alert_still_fires_after_the_five_minutes_of_alertmanager(alertmanager):
    receiver = sink(alertmanager, team="long")

    receiver.deliver([message(at=NOW - timedelta(hours=3))])

    found = until(lambda: alerts_of("long", alertmanager))
    assert datetime.fromisoformat(found[0]["endsAt"]) > NOW + timedelta(hours=20)


def test_user_and_password_go_as_http_basic(loopback, tmp_path):
    (tmp_path / "password").write_text("the-password\n")
    settings = AlertmanagerSettings(
        type="alertmanager",
        url=loopback.origin,
        user="tracker",
        password_file=tmp_path / "password",
    )

    open_sink(settings, BASE_URL).deliver([failure()])

    [asked] = loopback.asked
    login = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic "))
    assert (asked.path, login) == ("/api/v2/alerts", b"tracker:the-password")
