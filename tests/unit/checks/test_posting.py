"""Results of checks go where the note wants them: to a URL with a key, and on a bus of Amazon."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.unit.checks.endpoints import http
from tests.unit.fakes import AtOnce
from tests.unit.loopback_server import Loopback, Reply
from tracker_service.checks.check import shown_url
from tracker_service.checks.lookup import CheckPages
from tracker_service.checks.posts import is_posted
from tracker_service.checks.repair import repaired
from tracker_service.checks.self_report import Reporter, figures_of
from tracker_service.checks.state import CheckState, Standing
from tracker_service.domain.subscriptions import CHECKS_OWNER, DeliveryState
from tracker_service.identities.keys import KeyRing
from tracker_service.settings.sinks import SinksSettings
from tracker_service.sinks.deliverer import Deliverer
from tracker_service.sinks.opening import SinkOpener
from tracker_service.store import deliveries, jobsets, subscriptions
from tracker_service.store.tables import tasks

# boto3 itself still calls what Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SECRET = "0123456789abcdef"
SAMPLE = """\
{first}/health:
  cron_schedule: * * * * *
  response_json_values:
    - status
  success_test:
    key: status
    value: ok
  post_endpoint: {datadog}/api/v1/events
    post_api_key:
      param_name: api_key
      param_value: 0123456789abcdef
    post_json_info:
      title: first health
      text: health {{status}}
      priority: normal
      tags:
        - status: {{status}}
      alert_type: info
{second}/health:
  cron_schedule: * * * * *
  post_service: aws-cloudwatch
    aws_key: testing
    aws_secret: testing
    aws_region: us-east-1
    aws_endpoint_url: {aws}
    data_detail_type: health
    data_source: second
    data_resources:
      - second
    data_details_json:
      - ok: {{ok}}
      - http_status: {{http_status}}
self:
  post_endpoint: {datadog}/self
    post_json_info:
      title: the watcher
      text: '{{watcher.checks.ok}} of {{watcher.jobs.total}} are well'
"""


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bus(aws: str):
    """What arrives on the bus: a rule sends it to a queue, which is read back."""
    more = {
        "endpoint_url": aws,
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
    events, queues = boto3.client("events", **more), boto3.client("sqs", **more)
    url = queues.create_queue(QueueName="seen")["QueueUrl"]
    about = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = about["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventPattern=json.dumps({"source": ["second"]}))
    events.put_targets(Rule="all", Targets=[{"Id": "1", "Arn": arn}])

    def seen() -> list[dict[str, object]]:
        found = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [json.loads(each["Body"]) for each in found.get("Messages", [])]

    yield seen
    events.close()
    queues.close()


@pytest.fixture
def datadog(loopback: Loopback) -> Loopback:
    loopback.says(Reply(status=202, body=b'{"status": "ok"}'))
    return loopback


@pytest.fixture
def deliverer(site):
    opener = SinkOpener(sinks=SinksSettings(), key_ring=KeyRing(site.key_file), base_url="")
    return Deliverer(site.store, opener, AtOnce(), mute_path=lambda *_: "")


def deliver(site, deliverer: Deliverer) -> None:
    site.store.write(lambda c: jobsets.claim(c, "d", ["notify"], 3600, 100))
    with site.store.read() as connection:
        for held in jobsets.held(connection, "d"):
            if held.kind == "notify":
                deliverer.load(connection, held.lease)
    deliverer.deliver()


def test_the_sample_of_the_note_posts_to_datadog_and_eventbridge(
    site, endpoint, datadog, aws, bus, deliverer
):
    first, second = endpoint(http()), endpoint(http())
    site.write(
        repaired(
            SAMPLE.format(
                first=first.authority, second=second.authority, datadog=datadog.origin, aws=aws
            )
        )
    )
    worker = site.worker()
    site.advance(60)
    worker.turn()
    worker.do("report_checks")
    deliver(site, deliverer)

    posted = {asked.path: asked for asked in datadog.asked}
    event = posted["/api/v1/events"]
    assert event.query == {"api_key": SECRET}
    assert json.loads(event.body) == {
        "title": "first health",
        "text": "health ok",
        "priority": "normal",
        "tags": ["status:ok"],
        "alert_type": "info",
    }
    report = json.loads(posted["/self"].body)
    assert report["text"] == "2 of 2 are well"
    assert report["watcher"]["checks.ok"] == 2
    [put] = bus()
    assert put["detail-type"] == "health"
    assert put["resources"] == ["second"]
    assert put["detail"] == {"ok": True, "http_status": 200}


@pytest.mark.parametrize("name", ["", "  name: it\n"])
def test_a_secret_of_a_file_is_written_down_nowhere(site, endpoint, datadog, deliverer, name):
    datadog.says(Reply(status=403, body=f"wrong key {SECRET}".encode()))
    server = endpoint(http())
    site.write(
        f"{server.authority}/?token={SECRET}:\n  cron_schedule: '* * * * *'\n"
        f"  headers: {{X-Key: '{SECRET}'}}\n  post_endpoint: {datadog.origin}/\n"
        f"  post_api_key: {{header_name: K, header_value: '{SECRET}'}}\n{name}  post_on: always\n"
    )
    worker = site.worker()
    site.advance(60)
    worker.turn()
    deliver(site, deliverer)

    assert SECRET.encode() in server.requests[0]
    assert datadog.asked[0].headers["K"] == SECRET
    with site.store.read() as connection:
        [kept] = deliveries.known(connection, CHECKS_OWNER, [], None, 10)
    assert "wrong key ***" in str(kept.answer)
    written = [file.read_bytes() for file in site.directory.glob("tracker.db*")]
    assert SECRET.encode() not in b"".join(written)
    assert SECRET not in "".join(CheckPages(site.store).exposition())


def test_a_post_that_is_refused_for_good_is_kept_and_counted(site, endpoint, datadog, deliverer):
    datadog.says(Reply(status=400, body=b"no"))
    server = endpoint(http())
    site.write(
        f"{server.authority}/:\n  cron_schedule: '* * * * *'\n"
        f"  post_endpoint: {datadog.origin}/\n  name: it\n"
    )
    worker = site.worker()
    site.advance(60)
    worker.turn()
    deliver(site, deliverer)

    with site.store.read() as connection:
        [kept] = deliveries.known(connection, CHECKS_OWNER, [], None, 10)
        assert figures_of(connection)["post.failed"] == 1
    assert kept.state == DeliveryState.DEAD


def test_subscriptions_of_checks_that_have_gone_go_too(site, endpoint, datadog):
    server = endpoint(http())
    text = f"{server.authority}/:\n  cron_schedule: '* * * * *'\n"
    site.write(f"{text}  post_endpoint: {datadog.origin}/\n")
    worker = site.worker()
    with site.store.read() as connection:
        assert len(subscriptions.of_owners(connection, [CHECKS_OWNER])) == 1

    site.write(text)
    worker.do("enrol_checks")

    with site.store.read() as connection:
        assert subscriptions.of_owners(connection, [CHECKS_OWNER]) == []
        assert connection.execute(tasks.select()).fetchall()


def test_a_report_is_made_once_a_minute_whoever_makes_it(site, datadog):
    site.write(f"self:\n  post_endpoint: {datadog.origin}/\n")
    first, second = site.worker(), site.worker()
    for _ in range(3):
        first.do("report_checks")
        second.do("report_checks")
    assert len(site.events("check.post")) == 1

    site.advance(60)
    second.do("report_checks")
    assert len(site.events("check.post")) == 2


def test_without_a_report_in_the_files_none_is_made(site):
    reporter = Reporter(site.store, lambda: None, site.now)
    reporter.step()
    assert site.events("check.post") == []


@pytest.mark.parametrize(
    ("post_on", "ok", "changed", "posted"),
    [
        ("success", True, False, True),
        ("success", False, True, False),
        ("failure", False, False, True),
        ("failure", True, True, False),
        ("change", True, True, True),
        ("change", True, False, False),
        ("always", False, False, True),
    ],
)
def test_what_is_posted_is_what_the_check_wants(check, now, post_on, ok, changed, posted):
    before = Standing(CheckState.UP, now())
    after = Standing(CheckState.DOWN if changed else CheckState.UP, now())
    found = check("h", post_endpoint="http://h/", post_on=post_on)
    assert is_posted(found, before, after, is_ok=ok) is posted


def test_urls_are_shown_without_the_values_of_their_queries():
    assert shown_url("http://h/p?a=1&b&c=") == "http://h/p?a=***&b&c=***"
    assert shown_url("http://h/p") == "http://h/p"
