from __future__ import annotations

import pytest

from tracker_service.checks.files import read_file
from tracker_service.checks.grammar import Secrets
from tracker_service.checks.repair import repaired

GOOD = 'host/health:\n  cron_schedule: "* * * * *"\n'
SAMPLE = """\
www.x.com/health:
  cron_schedule: * * * * *
  scheme: https
  response_json_values:
    - status
  success_test:
    key: status
    value: ok
  post_endpoint: https://app.datadoghq.com/api/v1/events
    post_api_key:
      param_name: api_key
      param_value: 0123456789
    post_json_info:
      title: x.com health
      text: health ok
      tags:
        - status: {status}
localhost:8080/health:
  cron_schedule: */5 * * * *
  post_service: aws-cloudwatch
    aws_key: key
    aws_secret: secret
    data_detail_type: health
    data_resources:
      - a
    data_details_json:
      - status: {status}
self:
  post_service: aws-cloudwatch
    data_source: watcher
"""


def read(text: str, **more):
    return read_file("f.yml", text, Secrets(), **more)


def bad(more: str = "", text: str = GOOD) -> str:
    found = read(text + "".join(f"  {line}\n" for line in more.splitlines()))
    assert not found.checks, "it was read"
    return f"{found.fault.line} {found.fault.rule}: {found.fault.message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "h:\n  cron_schedule: * * * * *\n",
            "2 yaml: did not find expected alphabetic or numeric character: put a text that begins"
            " with * or & in quotes",
        ),
        (
            "h:\n  cron_schedule: '@daily'\n  post_service: aws-cloudwatch\n    aws_key: x\n",
            "4 yaml: mapping values are not allowed in this context: keys below a key that has a "
            "value belong beside it",
        ),
        ("h:\n\tcron_schedule: '@daily'\n", "2 yaml: found character that cannot start any token"),
        ("- a\n", "1 top: write one endpoint a key, as `host/path:`"),
        (GOOD + GOOD, "3 duplicate: host/health: it stands on line 1 already"),
        (
            GOOD + "  scheme: http\n  scheme: http\n",
            "4 duplicate: scheme: it stands on line 3 already",
        ),
        (
            "h:\n  cron_schedule: '@daily'\n  headers: &a {x: y}\ni: *a\n",
            "3 alias: write the value again: aliases are not read",
        ),
        ("h: !!python/none x\n", "1 tag: tag:yaml.org,2002:python/none: tags are not read"),
        ("h: 5\n", "1 type: h: write keys below it, as `cron_schedule:`"),
        ("h:\n  scheme: http\n", "1 missing: h: cron_schedule is missing"),
        (
            "ftp://h/x:\n  cron_schedule: '@daily'\n",
            "1 endpoint: ftp://h/x: it begins with http:// or https://",
        ),
        (
            "u:p@h/x:\n  cron_schedule: '@daily'\n",
            "1 endpoint: u:p@h/x: it is no endpoint such as www.example.com:8080/health",
        ),
        (
            "h:99999/x:\n  cron_schedule: '@daily'\n",
            "1 endpoint: h:99999/x: it is no endpoint such as www.example.com:8080/health",
        ),
        (
            "https://h/x:\n  cron_schedule: '@daily'\n  scheme: http\n",
            "3 scheme: https://h/x: scheme: the endpoint itself says https",
        ),
        ("h:\n  cron_schedule: 5\n", "2 type: h: cron_schedule: 5 is no text; put it in quotes"),
        (
            "h:\n  cron_schedule: 0 0 31 2 *\n",
            "2 cron: h: cron_schedule: '0 0 31 2 *': bad day-of-month",
        ),
        (
            "self:\n  data_source: x\n",
            "2 missing: self: data_source: it needs post_service beside it",
        ),
    ],
)
def test_a_bad_file_is_named_with_line_and_rule(text, message):
    assert bad(text=text) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("colour: red", "3 unknown: host/health: colour: there is no such key"),
        ("scheme: ftp", "3 choice: host/health: scheme: 'ftp' is none of http, https"),
        ("method: LOOK", "3 choice: host/health: method: 'LOOK' is none of GET, HEAD, POST"),
        ("timeout: soon", "3 duration: host/health: timeout: 'soon' is no duration such as 30s"),
        ("timeout: 1h", "3 range: host/health: timeout: it is from 0 to 300 seconds"),
        ("retries: 11", "3 range: host/health: retries: 11 is no whole number from 0 to 10"),
        ("retries: yes", "3 range: host/health: retries: 'yes' is no whole number from 0 to 10"),
        ("verify: on", "3 type: host/health: verify: 'on' is neither true nor false"),
        ("timezone: Mars", "2 cron: host/health: cron_schedule: 'Mars' is no time zone"),
        ("headers: x", "3 type: host/health: headers: write a name and a value a line"),
        ('headers: {"a b": x}', "3 header: host/health: headers: 'a b' is no name of a header"),
        ("headers: {a: '${NOPE}'}", "3 secret: host/health: headers: the variable NOPE is not set"),
        ("headers: {a: 'secret:x'}", "3 secret: host/health: headers: secret:x: name a file in"),
        ("status_code: 99", "3 status: host/health: status_code: 99 is no status such as 200"),
        ("response_json_values: x", "3 type: host/health: response_json_values: write a list"),
        ("response_json_values: ['a[']", "3 path: host/health: response_json_values: 'a[' is no"),
        ("success_test: ok", "3 type: host/health: success_test: write keys below it"),
        ("success_test: {key: a}", "3 missing: host/health: success_test: value is missing"),
        ("success_test: {value: a}", "3 missing: host/health: success_test: key is missing"),
        (
            "success_test: {key: a, op: like, value: b}",
            "3 choice: host/health: success_test: op: 'like' is none of eq, ne",
        ),
        (
            "success_test: {key: a, op: regex, value: '('}",
            "3 regex: host/health: success_test: value: no expression of RE2",
        ),
        (
            "success_test: {key: a, op: in, value: b}",
            "3 type: host/health: success_test: value: write a list of values",
        ),
        ("on_missed: later", "3 choice: host/health: on_missed: 'later' is none of skip"),
        (
            "maintenance: {begin: x, end: '03:00'}",
            "3 time: host/health: maintenance: begin: 'x' is",
        ),
        ("maintenance: {end: '03:00'}", "3 missing: host/health: maintenance: begin is missing"),
        ("tags: [1]", "3 type: host/health: tags: write a list of texts"),
        ("post_on: never", "3 choice: host/health: post_on: 'never' is none of success, failure"),
        ("post_endpoint: x", "3 url: host/health: post_endpoint: 'x' is no URL with http://"),
        (
            "post_json_info: {a: b}",
            "3 missing: host/health: post_json_info: it needs post_endpoint",
        ),
        (
            "post_endpoint: http://x\npost_api_key: {}",
            "4 missing: host/health: post_api_key: param_name and param_value are missing",
        ),
        (
            "post_endpoint: http://x\npost_api_key: {param_name: a}",
            "4 missing: host/health: post_api_key: param_value is missing",
        ),
        (
            "post_endpoint: http://x\npost_json_info: text",
            "4 type: host/health: post_json_info: write keys below it",
        ),
        ("post_service: pager", "3 choice: host/health: post_service: 'pager' is not known"),
        (
            "post_service: aws-cloudwatch\naws_key: x",
            "4 missing: host/health: aws_key: set aws_key and aws_secret, or neither",
        ),
        (
            "post_service: aws-cloudwatch\ndata_source: aws.x",
            "4 source: host/health: data_source: aws. is for Amazon's own sources",
        ),
        (
            "post_service: aws-cloudwatch\ndata_details_json: x",
            "4 type: host/health: data_details_json: write keys and values below it",
        ),
        ("jitter: -1s", "3 duration: host/health: jitter: '-1s' is no duration"),
        ("failures_in_a_row: 0", "3 range: host/health: failures_in_a_row: 0 is no whole number"),
        ("ca_file: /none.pem", "3 file: host/health: ca_file: /none.pem cannot be read"),
        ("name: ''\nenabled: 1", "4 type: host/health: enabled: 1 is neither true nor false"),
    ],
)
def test_each_rule_has_its_message(line, message):
    assert bad(line).startswith(message)


def test_words_of_yaml_1_1_stay_texts():
    found = read(GOOD + "  success_test: [{key: a, value: on}, {key: b, value: 12:30:45}]\n")
    assert [test.value for test in found.checks[0].tests] == ["on", "12:30:45"]


def test_the_sample_of_the_note_is_refused_until_it_is_repaired():
    assert read(SAMPLE).fault.line == 2
    found = read(repaired(SAMPLE))

    assert found.fault is None
    first, second = found.checks
    assert first.request.url == "https://www.x.com/health"
    assert first.post.parameter == ("api_key", "0123456789")
    assert first.post.body["tags"] == [{"status": {"status": None}}]
    assert second.schedule.cron == "*/5 * * * *"
    assert second.put.detail == {"status": {"status": None}}
    assert found.report.put.source == "watcher"


def test_the_sample_of_the_note_runs_as_it_is_where_the_site_is_lenient():
    found = read(SAMPLE, is_lenient=True)
    assert len(found.checks) == 2
    assert found.was_repaired


def test_a_repaired_file_stays_as_it_is():
    assert repaired(repaired(SAMPLE)) == repaired(SAMPLE)
    assert repaired(GOOD) == GOOD


def test_secrets_come_from_the_environment_and_are_not_shown(monkeypatch, tmp_path):
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv("TOKEN", "from-env")
    text = GOOD + "  headers: {Authorization: 'Bearer ${TOKEN}', X: 'secret:key'}\n"

    [check] = read_file("f.yml", text, Secrets(tmp_path)).checks

    assert check.request.headers == (("Authorization", "Bearer from-env"), ("X", "from-file"))
    assert "from-env" not in repr(check)


def test_a_check_that_is_not_enabled_is_left_out():
    found = read(GOOD + "  enabled: false\n")
    assert (found.checks, found.fault) == ((), None)
