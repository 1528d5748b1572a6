from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl

from tests.unit.loopback_server import Asked, Loopback, Reply
from tests.unit.sinks.messages import AT, BASE_URL, JOB, failure, message, numbered
from tracker_service.domain.events import EventType
from tracker_service.settings.sinks import DatadogSettings
from tracker_service.sinks.datadog import Datadog
from tracker_service.sinks.opening import open_sink
from tracker_service.sinks.reach import Reach
from tracker_service.sinks.sink import Result, Sink
from tracker_service.sinks.web import WebReceiver

KEY = "0123456789abcdef+/=0123456789abc"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "datadog.key"
    file.write_text(f"{KEY}\n")
    return file


def opened(loopback: Loopback, key_file: Path, **options: Any) -> Sink:
    url = HttpUrl(f"{loopback.origin}/api/v1/events{options.pop('query', '')}")
    settings = DatadogSettings(type="datadog", url=url, key_file=key_file, **options)
    return open_sink(settings, BASE_URL)


def posted(loopback: Loopback, *messages: Any, now: datetime = AT) -> list[dict[str, Any]]:
    receiver = WebReceiver(loopback.origin, Reach(is_everywhere=True))
    sink = Datadog(receiver, {}, ["env:prod"], secrets=[KEY], base_url=BASE_URL, clock=lambda: now)
    sink.deliver(messages)
    return [json.loads(asked.body) for asked in loopback.asked]


def test_an_event_has_the_card_and_tags(loopback):
    [event] = posted(loopback, failure())

    assert event["title"] == "etl-daily failed: The executor ran out of memory"
    assert "stderr:17" in event["text"]
    assert event["alert_type"] == "error"
    assert event["priority"] == "normal"
    assert event["aggregation_key"] == JOB
    assert event["date_happened"] == int(AT.timestamp())
    assert {
        "env:prod",
        "event_type:tracker.job.failed",
        "job_name:etl-daily",
        "user:alice",
        "category:memory",
        f"event_id:{failure().kept.event.id}",
    } <= set(event["tags"])


def test_an_event_that_datadog_takes_for_too_old_gets_no_time(loopback):
    [event] = posted(loopback, failure(), now=AT + timedelta(hours=18))

    assert "date_happened" not in event


def test_texts_are_bounded(loopback):
    huge = message(name="x" * 10_000, subject="s" * 1000, cause={"summary": "y" * 100_000})

    [event] = posted(loopback, huge)

    assert len(event["title"]) <= 100
    assert len(event["text"]) <= 4000
    assert len(event["aggregation_key"]) <= 100
    assert max(map(len, event["tags"])) <= 200


@pytest.mark.parametrize(
    ("kind", "alert_type"),
    [
        (EventType.LOGS_AT_RISK, "warning"),
        (EventType.LOGS_SAVED, "success"),
        ("check.changed", "info"),
    ],
)
def test_the_alert_type_tells_how_bad_it_is(loopback, kind, alert_type):
    [event] = posted(loopback, message(kind))

    assert event["alert_type"] == alert_type


def test_the_key_goes_in_a_header(loopback, key_file):
    loopback.says(Reply(202, b'{"status":"ok"}'))

    [outcome] = opened(loopback, key_file).deliver([failure()])

    [asked] = loopback.asked
    assert outcome.result == Result.DELIVERED
    assert asked.path == "/api/v1/events"
    assert (asked.headers["DD-API-KEY"], asked.query) == (KEY, {})


@pytest.mark.parametrize("query", ["", "?site=eu"])
def test_the_key_goes_in_the_url_where_that_is_wanted(loopback, key_file, query):
    opened(loopback, key_file, key_in="url", query=query).deliver([failure()])

    [asked] = loopback.asked
    assert asked.query["api_key"] == KEY
    assert "DD-API-KEY" not in asked.headers
    assert ("site" in asked.query) == bool(query)


@pytest.mark.parametrize("key_in", ["header", "url"])
@pytest.mark.parametrize("filler", range(460, 505, 3))
def test_the_key_is_not_told_even_if_the_receiver_repeats_it(loopback, key_file, key_in, filler):
    def repeat(asked: Asked) -> Reply:
        text = f"{KEY} 0123456789abcdef%2B%2F%3D0123456789abc " + "." * filler + KEY
        return Reply(403, text.encode())

    loopback.says(repeat)

    [outcome] = opened(loopback, key_file, key_in=key_in).deliver([failure()])

    assert outcome.result == Result.TRY_AGAIN
    assert "0123" not in outcome.answer
    assert "***" in outcome.answer


def test_a_wrong_key_waits_and_a_wrong_event_does_not(loopback, key_file):
    loopback.says(Reply(400, b"bad"), Reply(403, b"Forbidden"))

    refused, waits = opened(loopback, key_file).deliver(numbered(3))

    assert (refused.result, waits.result) == (Result.REFUSED, Result.TRY_AGAIN)


def test_the_usual_url_is_that_of_the_documentation(key_file):
    settings = DatadogSettings(type="datadog", key_file=key_file)

    assert str(settings.url) == "https://api.datadoghq.com/api/v1/events"
