from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import HttpUrl

from tests.ports import free_port
from tests.unit.loopback_server import Asked, Loopback, Reply
from tests.unit.sinks.messages import AT, BASE_URL, JOB, failure, message, numbered
from tracker_service.domain.events import EventType
from tracker_service.errors import ConfigError
from tracker_service.settings.sinks import EventBridgeSettings
from tracker_service.sinks.opening import open_sink
from tracker_service.sinks.sink import Outcome, Result, Sink

# boto3 itself still calls what Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

REGION = "eu-central-1"
THROTTLED = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}
MALFORMED = {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}


@pytest.fixture
def credentials_file(tmp_path: Path) -> Path:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = s3cret\n")
    return file


@pytest.fixture
def sink(loopback: Loopback, credentials_file: Path) -> Iterator[Sink]:
    """A sink that leads to a stand-in for EventBridge."""
    opened = open_sink(settings(loopback.origin, credentials_file), BASE_URL)
    yield opened
    opened.close()


def settings(origin: str, credentials_file: Path, **options: Any) -> EventBridgeSettings:
    return EventBridgeSettings(
        type="eventbridge",
        region=REGION,
        credentials_file=credentials_file,
        endpoint_url=HttpUrl(origin),
        **options,
    )


def answer(*failures: tuple[int, dict[str, str]]) -> Any:
    """Accept all entries but some."""

    def reply(asked: Asked) -> Reply:
        entries: list[dict[str, str]] = [
            {"EventId": f"aws-{number}"} for number in range(len(entries_of(asked)))
        ]
        for number, failed in failures:
            entries[number] = failed
        return Reply(
            200, json.dumps({"FailedEntryCount": len(failures), "Entries": entries}).encode()
        )

    return reply


def entries_of(asked: Asked) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(asked.body)["Entries"]
    return entries


def results(outcomes: Any) -> list[Result]:
    return [outcome.result for outcome in outcomes]


def test_an_entry_has_the_whole_event(sink, loopback):
    loopback.says(answer())

    assert results(sink.deliver([failure()])) == [Result.DELIVERED]

    [asked] = loopback.asked
    [entry] = entries_of(asked)
    assert entry["Source"] == "tracker"
    assert entry["DetailType"] == "tracker.job.failed"
    assert entry["Resources"] == [JOB]
    assert entry["EventBusName"] == "default"
    assert datetime.fromtimestamp(entry["Time"], AT.tzinfo) == AT
    detail = json.loads(entry["Detail"])
    assert detail["id"] == failure().kept.event.id
    assert detail["data"]["cause"]["category"] == "memory"
    assert detail["data"]["links"]["job"] == f"{BASE_URL}/api/job/{JOB}"


def test_at_most_ten_entries_go_in_one_request(sink, loopback):
    loopback.says(answer())

    outcomes = sink.deliver(numbered(25))

    assert results(outcomes) == [Result.DELIVERED] * 25
    assert [len(entries_of(asked)) for asked in loopback.asked] == [10, 10, 5]


def test_the_entries_of_a_request_are_not_larger_than_eventbridge_takes(sink, loopback):
    loopback.says(answer())
    large = [message(subject=f"job-{number}", text="x" * 100_000) for number in range(4)]

    assert results(sink.deliver(large)) == [Result.DELIVERED] * 4
    assert [len(entries_of(asked)) for asked in loopback.asked] == [2, 2]


def test_an_event_that_is_too_large_is_refused_and_the_others_are_sent(sink, loopback):
    loopback.says(answer())
    small, other = numbered(2)

    outcomes = sink.deliver([small, message(text="ü" * 300_000), other])

    assert results(outcomes) == [Result.DELIVERED, Result.REFUSED, Result.DELIVERED]
    assert "262143 bytes" in outcomes[1].answer


def test_an_answer_of_200_whose_entries_failed_is_a_failure_of_these_alone(sink, loopback):
    loopback.says(answer((1, THROTTLED), (3, MALFORMED)))

    outcomes = sink.deliver(numbered(20))

    assert results(outcomes) == [
        Result.DELIVERED,
        Result.TRY_AGAIN,
        Result.DELIVERED,
        Result.REFUSED,
        *[Result.DELIVERED] * 6,
    ]
    assert outcomes[1].answer == "ThrottlingException: Rate exceeded"
    assert len(loopback.asked) == 1


def test_two_events_of_one_subject_never_go_in_one_request(sink, loopback):
    loopback.says(answer((0, THROTTLED)))
    first, second = message(event_id="1"), message(event_id="2")

    outcomes = sink.deliver([first, second])

    assert results(outcomes) == [Result.TRY_AGAIN]
    assert len(entries_of(loopback.asked[0])) == 1


@pytest.mark.parametrize("body", [b"{}", b'{"FailedEntryCount": 0, "Entries": []}'])
def test_an_entry_without_an_answer_is_sent_again(sink, loopback, body):
    loopback.says(Reply(200, body))

    assert set(results(sink.deliver(numbered(2)))) == {Result.TRY_AGAIN}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "AccessDeniedException"),
        (400, "ResourceNotFoundException"),
        (400, "ThrottlingException"),
        (500, "InternalException"),
        (403, "ExpiredTokenException"),
    ],
)
def test_a_request_that_fails_as_a_whole_is_an_outage(sink, loopback, status, code):
    loopback.says(Reply(status, json.dumps({"__type": code, "message": "no"}).encode()))

    [outcome] = sink.deliver(numbered(3))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert code in outcome.answer
    assert len(loopback.asked) == 1


def test_one_invalid_entry_does_not_hold_up_the_others(sink, loopback):
    def refuse_one(asked: Asked) -> Reply:
        if any(entry["Resources"][0].startswith("0000001") for entry in entries_of(asked)):
            return Reply(400, b'{"__type": "ValidationException", "message": "bad entry"}')
        return answer()(asked)

    loopback.says(refuse_one)

    outcomes = sink.deliver(numbered(3))

    assert results(outcomes) == [Result.DELIVERED, Result.REFUSED, Result.DELIVERED]
    assert "bad entry" in outcomes[1].answer


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1"])
def test_an_answer_of_something_else_is_an_outage(sink, loopback, body):
    loopback.says(Reply(200, body))

    assert results(sink.deliver(numbered(2)))[0] == Result.TRY_AGAIN


def test_an_eventbridge_that_is_not_there_is_an_outage(credentials_file):
    absent = open_sink(settings(f"http://127.0.0.1:{free_port()}", credentials_file), BASE_URL)

    [outcome] = absent.deliver(numbered(2))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)


def test_a_file_without_credentials_is_an_outage(loopback, credentials_file, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-somebody-else")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    credentials_file.write_text("[other]\n")

    [outcome] = open_sink(settings(loopback.origin, credentials_file), BASE_URL).deliver(
        [failure()]
    )

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert "credentials" in outcome.answer
    assert loopback.asked == []


def test_a_file_that_is_no_credentials_file_is_named(loopback, credentials_file):
    credentials_file.write_text("s3cret\n")

    with pytest.raises(ConfigError, match=str(credentials_file)) as caught:
        open_sink(settings(loopback.origin, credentials_file), BASE_URL)

    assert "s3cret" not in str(caught.value)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The origin of a server that answers as AWS does."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_what_a_rule_of_the_bus_matches_arrives_in_its_queue(moto, credentials_file):
    client = client_of(moto)
    queue_url = client("sqs").create_queue(QueueName="failures")["QueueUrl"]
    queue = client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    client("events").create_event_bus(Name="tracker")
    rule = {"Name": "failures", "EventBusName": "tracker"}
    pattern = {"source": ["hadoop"], "detail-type": [EventType.JOB_FAILED]}
    client("events").put_rule(**rule, EventPattern=json.dumps(pattern))
    client("events").put_targets(
        Rule="failures",
        EventBusName="tracker",
        Targets=[{"Id": "queue", "Arn": queue["Attributes"]["QueueArn"]}],
    )
    sink = open_sink(settings(moto, credentials_file, bus="tracker", source="hadoop"), BASE_URL)

    outcomes: list[Outcome] = list(sink.deliver([failure(), *numbered(12, EventType.LOGS_LOST)]))

    assert results(outcomes) == [Result.DELIVERED] * 13, outcomes
    received = client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
    [arrived] = [json.loads(each["Body"]) for each in received["Messages"]]
    assert arrived["detail-type"] == "tracker.job.failed"
    assert arrived["resources"] == [JOB]
    assert arrived["detail"]["data"]["cause"]["summary"] == "The executor ran out of memory"


def client_of(origin: str) -> Any:
    session = boto3.Session("AKIDEXAMPLE", "s3cret", region_name=REGION)
    return lambda service: session.client(service, endpoint_url=origin)
