from __future__ import annotations

import os
from importlib import util
from pathlib import Path

import pytest

from tests.unit.sinks.messages import BASE_URL
from tracker_service.domain.subscriptions import SITE_OWNER, Selection, Subscription
from tracker_service.engine.clock import utc_now
from tracker_service.errors import ConfigError
from tracker_service.identities.keys import KeyRing
from tracker_service.settings import load
from tracker_service.sinks.opening import SinkOpener

SINKS = """
sinks:
  allowed_mail_domains: [example.com]
  ops: {type: webhook, url: "https://hooks.example.com/tracker", secret_file: SECRET}
  team: {type: mail, host: mail.example.com, sender: tracker@example.com, to: [a@example.com],
         user: tracker, password_file: SECRET}
  chat: {type: apprise, url_file: URL}
  alerts: {type: alertmanager, url: "http://localhost:9093", labels: {team: data}}
  dog: {type: datadog, key_file: SECRET, tags: ["env:prod"]}
  bus: {type: eventbridge, region: eu-central-1, credentials_file: AWS}
  counts: {type: graphite, host: localhost}
routes:
  - {sink: team, types: [tracker.job.failed]}
"""


@pytest.fixture(autouse=True)
def in_an_empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("TRACKER_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    (tmp_path / "url").write_text("json://127.0.0.1:9\n")
    (tmp_path / "aws").write_text("[default]\n")
    written = tmp_path / "tracker.yml"
    text = SINKS.replace("SECRET", str(tmp_path / "secret"))
    written.write_text(
        text.replace("URL", str(tmp_path / "url")).replace("AWS", str(tmp_path / "aws"))
    )
    return written


def refusal(file: Path, old: str, new: str) -> str:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(file)
    return str(caught.value)


# Apprise loads all of its services at once, some with old modules of Python.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_sink_of_each_type_opens(file, tmp_path):
    opener = SinkOpener(
        sinks=load(file).sinks, key_ring=KeyRing(tmp_path / "key"), base_url=BASE_URL
    )

    opened = [opener(of_site(name)) for name in opener.sinks.by_name]

    assert [type(sink).__name__ for sink in opened] == [
        "Webhook",
        "Mail",
        "Chat",
        "Alertmanager",
        "Datadog",
        "EventBridge",
        "Graphite",
    ]
    for sink in opened:
        sink.close()


def of_site(name: str) -> Subscription:
    return Subscription(
        task_id=1,
        name=name,
        owner=SITE_OWNER,
        sink={"name": name},
        selection=Selection(),
        created_at=utc_now(),
        trouble=None,
    )


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("type: graphite", "type: carbon", "carbon"),
        ("to: [a@example.com]", "to: ['a@example.com\\nBcc: b@x']", "to"),
        ("to: [a@example.com]", "to: []", "team: a route leads here"),
        (", password_file", ", tls: none, password_file", "in the clear"),
        ("user: tracker, ", "", "set both or none"),
        ("host: localhost", "host: local host", "host"),
        ("region: eu-central-1", "region: 'eu central'", "region"),
        ("{team: data}", "{te-am: data}", "labels"),
        ("url_file: ", "url_file: /nowhere", "cannot read /nowhere"),
        ("key_file: ", "key: x, key_file: ", "key"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(file, old, new, why):
    assert why in refusal(file, old, new)


def test_mail_for_users_needs_a_mail_server(file):
    file.write_text("sinks:\n  allowed_mail_domains: [example.com]\n")

    with pytest.raises(ConfigError, match="add a sink of type mail"):
        load(file)


@pytest.mark.parametrize(("package", "extra"), [("apprise", "notify"), ("boto3", "aws")])
def test_a_missing_extra_is_named_at_the_start(file, monkeypatch, package, extra):
    found = util.find_spec
    monkeypatch.setattr(
        "tracker_service.settings.sinks.find_spec",
        lambda name: None if name == package else found(name),
    )

    with pytest.raises(ConfigError) as caught:
        load(file)

    assert f"pip install 'tracker-service[{extra}]'" in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "one\ntwo", "schlüssel", "a\x00b"])
def test_a_file_without_a_secret_that_can_be_sent_is_refused(file, tmp_path, text):
    (tmp_path / "secret").write_text(text)
    opener = SinkOpener(
        sinks=load(file).sinks, key_ring=KeyRing(tmp_path / "key"), base_url=BASE_URL
    )

    with pytest.raises(ConfigError, match="one line in ASCII"):
        opener(of_site("dog"))
