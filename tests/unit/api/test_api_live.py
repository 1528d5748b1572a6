"""What a running application has written until now, asked for over HTTP."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest

from tests.unit.calls import SAM, assert_problem, get, post
from tests.unit.fakes import APP_1, APP_2, job
from tracker_service.errors import GatewayUnavailable, RouteClosed
from tracker_service.sources.nodes import RunningContainer, RunningLog, running_container

LIVE = f"/api/job/{job(1)}/logs/{APP_1[12:]}?live=true"
FIRST, SECOND = "container_1_01_000001", "container_1_01_000002"


class FakeNodes:
    """What the containers that run have written."""

    def __init__(self) -> None:
        self.written = {
            FIRST: {"stderr": b"oh\n", "stdout": b"tick 1\n"},
            SECOND: {"stdout": b"tock 2\n"},
        }
        self.trouble: Exception | None = None
        self.read_from: dict[tuple[str, str], int] = {}

    def logs(self, container: RunningContainer, user: str) -> list[RunningLog]:
        if self.trouble:
            raise self.trouble
        written = self.written[container.id]
        return [RunningLog(name, len(data)) for name, data in written.items()]

    def read(
        self, container: RunningContainer, user: str, log: RunningLog, start: int = 0
    ) -> Generator[bytes, None, None]:
        self.read_from[container.id, log.name] = start
        yield self.written[container.id][log.name][start:]


@pytest.fixture
def nodes(client, oozie, fake_cluster) -> FakeNodes:
    """The nodes of a cluster on which the application of a tracked job of guest runs."""
    yarn, fake_cluster.nodes = fake_cluster.yarn, FakeNodes()
    yarn.has(APP_1, "NOT_START", state="RUNNING")
    yarn.running[APP_1] = [
        running_container(name, "node1:8041", "http://node1:8042/x") for name in (FIRST, SECOND)
    ]
    post(client, job(1))
    return fake_cluster.nodes


def test_its_owner_reads_all_that_is_written_as_it_comes(client, nodes):
    answer = get(client, LIVE)

    assert answer.status_code == 200
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert re.findall(r"oh|tick \d|tock \d", answer.text) == ["oh", "tick 1", "tock 2"]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ("&file=stdout", ["tick 1\n", "tock 2\n"]),
        (f"&container={SECOND}", ["tock 2\n"]),
        (f"&file=stderr&container={FIRST}", ["oh\n"]),
    ],
)
def test_a_file_and_a_container_can_be_chosen(client, nodes, chosen, told):
    answer = get(client, LIVE + chosen)

    assert [each for each in ("oh\n", "tick 1\n", "tock 2\n") if each in answer.text] == told


def test_nobody_else_reads_it(client, nodes):
    assert "belongs to guest" in assert_problem(get(client, LIVE, auth=SAM), 403)


def test_one_that_has_ended_is_to_be_read_from_what_is_saved(client, nodes, fake_cluster):
    fake_cluster.yarn.has(APP_1, "SUCCEEDED")

    assert "without live=true" in assert_problem(get(client, LIVE), 409)


def test_a_job_or_an_application_that_there_is_not_is_not_found(client, nodes):
    assert_problem(get(client, LIVE.replace(job(1), job(999))), 404)
    assert_problem(get(client, LIVE.replace(APP_1[12:], APP_2[12:])), 404)


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (RouteClosed("This site does not lead to NodeManagers."), 501),
        (GatewayUnavailable("GET yarn at https://knox: answered 500"), 503),
    ],
)
def test_a_site_that_does_not_lead_there_says_so(client, nodes, trouble, status):
    nodes.trouble = trouble

    assert str(trouble).split(" at ")[0] in assert_problem(get(client, LIVE), status)


@pytest.mark.parametrize("more", ["tail=5", "grep=x", "from=2", "format=json", "level=ERROR"])
def test_lines_cannot_be_chosen_of_what_is_still_written(client, nodes, more):
    told = assert_problem(get(client, f"{LIVE}&{more}"), 400)

    assert "only container and file can be chosen" in told


def test_who_says_what_they_have_gets_only_what_is_new(client, nodes):
    seen = f"&seen={FIRST}/stderr:3&seen={FIRST}/stdout:5"

    answer = get(client, LIVE + seen)

    assert answer.headers["X-Seen-Left-Out"] == "true"
    assert "LogType:stderr" not in answer.text
    assert "LogLength:2\nLogContents:\n1\n\nEnd" in answer.text
    assert "LogContents:\ntock 2\n" in answer.text
    assert nodes.read_from == {(FIRST, "stdout"): 5, (SECOND, "stdout"): 0}


@pytest.mark.parametrize(
    "wrong", ["&seen=stderr:3", f"&seen={FIRST}/stderr", f"&seen={FIRST}/stderr:-1", "&seen=x"]
)
def test_what_was_seen_has_a_form(client, nodes, wrong):
    assert_problem(get(client, LIVE + wrong), 400)
