from __future__ import annotations

import re

import pytest

NODE = {"scheme": "http", "host": "localhost", "port": "8042"}


@pytest.fixture
def application(cluster) -> str:
    """An application that runs since a moment."""
    job = cluster.jobs[cluster.start("never-ends")]
    return job.applications[0].application_id


@pytest.fixture
def container(guest, clock, application) -> str:
    clock.advance(60)
    [attempt] = guest.ask(attempts(application)).json["appAttempts"]["appAttempt"]
    return attempt["containerId"]


def attempts(application: str) -> str:
    return f"resourcemanager/v1/cluster/apps/{application}/appattempts"


def page(guest, path: str, **query: str):
    return guest.ask(f"yarn/nodemanager/node/containerlogs/{path}", query_string={**NODE, **query})


def test_the_container_of_a_running_application_says_where_its_logs_are(
    guest, application, container
):
    [attempt] = guest.ask(attempts(application)).json["appAttempts"]["appAttempt"]

    told = guest.ask(f"{attempts(application)}/{attempt['appAttemptId']}/containers").json

    assert told["container"]["containerId"] == container
    assert told["container"]["logUrl"].endswith(f":8042/node/containerlogs/{container}/guest")


def test_an_application_that_has_ended_has_no_container(guest, cluster, application, container):
    attempt = guest.ask(attempts(application)).json["appAttempts"]["appAttempt"][0]
    cluster.kill(cluster.applications[application].job.job_id)

    assert guest.ask(f"{attempts(application)}/{attempt['appAttemptId']}/containers").json == {}
    assert page(guest, f"{container}/guest").status_code == 307


def test_the_pages_show_a_log_that_grows(guest, clock, container):
    listed = page(guest, f"{container}/guest").text
    [length] = map(int, re.findall(r"stdout : Total file length is (\d+) bytes", listed))
    shown = page(guest, f"{container}/guest/stdout/", start="0").text
    assert "<pre>tick 1\ntick 2\n" in shown

    clock.advance(1)

    more = page(guest, f"{container}/guest/stdout/", start=str(length)).text
    assert re.search(r"<pre>tick \d+\n</pre>", more)


def test_a_page_can_be_cut_on_both_sides_and_is_escaped(guest, container):
    assert "<pre>ick 1</pre>" in page(guest, f"{container}/guest/stdout/", start="1", end="6").text
    assert "&lt;a warning&gt; &amp; &quot;" in page(guest, f"{container}/guest/stderr").text


def test_a_page_of_a_log_that_is_not_there_says_so(guest, container):
    assert "Cannot find this log" in page(guest, f"{container}/guest/nothing").text


def test_the_gateway_lets_nobody_go_to_another_host(guest, container):
    assert page(guest, f"{container}/guest", host="elsewhere").status_code == 400


def test_a_topology_without_the_service_has_no_pages(guest, gateway, container):
    gateway.lacking.add("yarn")

    answer = page(guest, f"{container}/guest")

    assert (answer.status_code, answer.data) == (404, b"")


@pytest.mark.parametrize("path", ["yarn", "yarn/cluster", "yarn/nodemanager/node/containerlogs"])
def test_there_is_nothing_else_below_the_service(guest, path):
    assert guest.ask(path).status_code == 404
