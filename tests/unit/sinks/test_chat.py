from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.unit.loopback_server import Asked, Loopback, Reply
from tests.unit.sinks.messages import BASE_URL, failure, numbered
from tracker_service.errors import ConfigError
from tracker_service.settings.sinks import ChatSettings
from tracker_service.sinks import chat
from tracker_service.sinks.chat import Chat
from tracker_service.sinks.opening import open_sink
from tracker_service.sinks.sink import Result

# Apprise loads all of its services at once, some with old modules of Python.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TOKEN = "T0SECRETTOKEN/B0SECRETTOKEN/secretsecretsecret"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is written to the log of the service."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logging.getLogger().addHandler(handler)
    yield text
    logging.getLogger().removeHandler(handler)


def json_url(loopback: Loopback, path: str = "hook") -> str:
    return f"{loopback.origin.replace('http', 'json')}/{path}"


def test_a_receiver_of_json_gets_the_card(loopback):
    [outcome] = Chat(json_url(loopback), BASE_URL).deliver([failure()])

    assert outcome.result == Result.DELIVERED
    body = json.loads(loopback.asked[0].body)
    assert body["title"] == "etl-daily failed: The executor ran out of memory"
    assert "stderr:17" in body["message"]
    assert body["type"] == "failure"


def test_a_chat_that_speaks_as_slack_does_gets_the_cause(loopback):
    url = f"mmost://{loopback.origin.removeprefix('http://')}/secretsecretsecretsecret"

    [outcome] = Chat(url, BASE_URL).deliver([failure()])

    assert outcome.result == Result.DELIVERED
    assert "ran out of memory" in json.loads(loopback.asked[0].body)["text"]


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (400, Result.REFUSED),
        (410, Result.REFUSED),
        (403, Result.TRY_AGAIN),
        (404, Result.TRY_AGAIN),
        (429, Result.TRY_AGAIN),
        (500, Result.TRY_AGAIN),
        (503, Result.TRY_AGAIN),
    ],
)
def test_what_the_receiver_answers_decides(loopback, status, result):
    loopback.says(Reply(status))

    outcomes = Chat(json_url(loopback), BASE_URL).deliver(numbered(2))

    assert [outcome.result for outcome in outcomes] in ([result], [result] * 2)
    assert len(outcomes) == (2 if result == Result.REFUSED else 1)
    assert f"error={status}" in outcomes[0].answer


def test_a_receiver_that_is_not_there_is_an_outage():
    [outcome] = Chat(f"json://127.0.0.1:{free_port()}", BASE_URL).deliver(numbered(2))

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)
    assert "onnection" in outcome.answer


def test_a_receiver_that_never_answers_is_given_up(loopback, monkeypatch):
    monkeypatch.setattr(chat, "_TIMEOUT_S", 0.5)

    def hang(_: Asked) -> Reply:
        gone.wait(60)
        return Reply()

    gone = threading.Event()
    loopback.says(hang)
    try:
        [outcome] = Chat(f"{json_url(loopback)}?rto=1", BASE_URL).deliver([failure()])
    finally:
        gone.set()

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)


def test_what_apprise_raises_is_an_outage(loopback, monkeypatch):
    sink = Chat(json_url(loopback), BASE_URL)

    def breaks(*_: object, **__: object) -> None:
        raise TypeError("broken")

    monkeypatch.setattr("apprise.plugins.custom_json.NotifyJSON.notify", breaks)
    [outcome] = sink.deliver([failure()])

    assert (outcome.result, outcome.is_outage) == (Result.TRY_AGAIN, True)


def test_no_part_of_the_url_is_told(loopback):
    loopback.says(lambda asked: Reply(500, asked.path.encode()))

    [outcome] = Chat(json_url(loopback, TOKEN), BASE_URL).deliver([failure()])

    assert "secret" not in outcome.answer.lower()


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"https:/hooks.slack.com/services/{TOKEN}",
        f"nothing://{TOKEN}",
        f"json://a/{TOKEN} json://b",
        f"json://[{TOKEN}",
    ],
)
def test_what_apprise_does_not_know_is_refused_and_told_nowhere(tmp_path, logged, capfd, text):
    file = tmp_path / "url"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        open_sink(ChatSettings(type="apprise", url_file=file), BASE_URL)

    output = capfd.readouterr()
    assert "Apprise does not know" in str(caught.value)
    assert "SECRET" not in f"{caught.value}{logged.getvalue()}{output.out}{output.err}"


def test_the_url_stands_in_a_file(loopback, tmp_path: Path):
    file = tmp_path / "url"
    file.write_text(json_url(loopback) + "\n")

    open_sink(ChatSettings(type="apprise", url_file=file), BASE_URL).deliver([failure()])

    assert len(loopback.asked) == 1
