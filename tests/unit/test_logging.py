from __future__ import annotations

import logging as standard

import pytest
import structlog

from tests.unit.logged import logged
from tracker_service.logging import HIDDEN


def test_an_event_is_one_line_of_json_with_its_time_and_level():
    with logged() as log:
        structlog.get_logger().info("job_state_changed", job="1-W", was="RUNNING", now="KILLED")

    [line] = log.lines
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "job_state_changed",
        "level": "info",
        "job": "1-W",
        "was": "RUNNING",
        "now": "KILLED",
    }


def test_on_a_console_an_event_is_one_line_that_people_can_read():
    with logged(form="console") as log:
        try:
            raise ValueError("first line\nsecond line")
        except ValueError:
            structlog.get_logger().exception("duty_broke", duty="poll")

    [line] = log.text.splitlines()
    assert line.startswith("timestamp=")
    assert " level=error event=duty_broke duty=poll" in line
    assert r"first line\nsecond line" in line


def test_what_is_bound_to_the_request_is_in_each_line():
    with logged() as log, structlog.contextvars.bound_contextvars(request_id="abc", job="1-W"):
        structlog.get_logger().info("tracked")

    [line] = log.lines
    assert (line["request_id"], line["job"]) == ("abc", "1-W")


def test_libraries_log_in_the_same_form_and_only_what_matters():
    with logged() as log:
        standard.getLogger("gunicorn.error").warning("worker %d was sent SIGKILL", 7)
        standard.getLogger("hdfs.client").info("GET https://knox/secret")

    [line] = log.lines
    assert line.pop("timestamp")
    assert line == {
        "event": "worker 7 was sent SIGKILL",
        "level": "warning",
        "logger": "gunicorn.error",
    }


def test_what_is_below_the_level_is_not_written():
    with logged("WARNING") as log:
        structlog.get_logger().info("tracked")

    assert log.text == ""


@pytest.mark.parametrize(
    "facts",
    [
        {"password": "hunter2"},
        {"headers": {"Authorization": "Basic hunter2", "Accept": "*/*"}},
        {"headers": [("Set-Cookie", "hadoop-jwt=hunter2; Path=/")]},
        {"session_cookie": ["hunter2"]},
        {"api_token": b"hunter2"},
        {"reason": "GET https://guest:hunter2@knox:8443/gateway refused"},
        {"url": "postgresql://tracker:hunter2@db/tracker"},
        {"url": "https://knox/webhdfs/v1/f?op=OPEN&delegation=hunter2&offset=0"},
        {"url": "https://knox/webhdfs/v1/f?token=hunter2"},
        {"reason": "sent Authorization: Basic hunter2=="},
        {"reason": "sent {'authorization': 'Bearer hunter2.x-y_z'}"},
        {"reason": "Cookie: a=hunter2; hadoop-jwt=hunter2; JSESSIONID=hunter2"},
        {"reason": ValueError("password='hunter2'")},
        {"told": {"deep": [{"clientSecret": "hunter2"}]}},
    ],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_secret_is_never_written(form, facts):
    with logged(form=form) as log:
        structlog.get_logger().warning("trouble", **facts)

    assert "hunter2" not in log.text
    assert HIDDEN in log.text


def test_a_secret_in_a_traceback_or_of_a_library_is_not_written():
    with logged() as log:
        try:
            raise ValueError("https://guest:hunter2@knox")
        except ValueError:
            structlog.get_logger().exception("look_broke")
            standard.getLogger("urllib3").warning("https://guest:hunter2@knox", exc_info=True)

    assert log.text.count("ValueError: https://***@knox") == 2
    assert "hunter2" not in log.text


@pytest.mark.parametrize(
    "text",
    [
        "GET webhdfs/v1/user/guest/WORK/logs/1-W/application_1_2.log at https://knox:8443/gateway",
        "0000042-261122041514971-oozie-prod-W is KILLED",
        "try 1 of 3 failed: the copy workflow wrote an empty file",
        "guest@example.com is unknown",
    ],
)
def test_what_is_no_secret_is_written_as_it_is(text):
    with logged() as log:
        structlog.get_logger().info("told", reason=text, count=3, is_late=False, none=None)

    [line] = log.lines
    assert (line["reason"], line["count"], line["is_late"], line["none"]) == (text, 3, False, None)
