"""The sandbox calls the URL that a job names, as Oozie does."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.waiting import until
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.server import SandboxServer
from tracker_service.sandbox.workflows import NOTIFICATION_URL


class Told(ThreadingHTTPServer):
    """A server that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def properties(self) -> dict[str, str]:
        return {NOTIFICATION_URL: f"http://127.0.0.1:{self.server_port}/?id=$jobId&status=$status"}


class _Handler(BaseHTTPRequestHandler):
    server: Told

    def do_GET(self) -> None:
        self.server.asked.append(self.path.partition("id=")[2])
        self.send_response(500)  # which delays nothing
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def told() -> Iterator[Told]:
    server = Told()
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def served(cluster: Cluster) -> Iterator[Cluster]:
    with SandboxServer(cluster):
        yield cluster


def test_each_change_of_state_is_told(served, told, clock):
    job = served.start("fails", properties=told.properties)
    until(lambda: told.asked == [f"{job}&status=RUNNING"])
    clock.advance(5)
    until(lambda: told.asked[1:] == [f"{job}&status=KILLED"])

    served.rerun(job)

    until(lambda: told.asked[2:] == [f"{job}&status=RUNNING"])


def test_a_job_that_is_killed_is_told(served, told):
    job = served.start("never-ends", properties=told.properties)
    until(lambda: told.asked == [f"{job}&status=RUNNING"])

    served.kill(job)

    until(lambda: told.asked[1:] == [f"{job}&status=KILLED"])


def test_nobody_who_is_away_stops_the_others_from_being_told(served, told):
    nowhere = {NOTIFICATION_URL: "http://127.0.0.1:1/"}
    for properties in (nowhere, {NOTIFICATION_URL: "no URL"}):
        served.start("never-ends", properties=properties)

    job = served.start("never-ends", properties=told.properties)

    until(lambda: told.asked == [f"{job}&status=RUNNING"])


def test_a_job_without_the_property_is_told_to_nobody(served, told):
    served.start("never-ends")
    job = served.start("never-ends", properties=told.properties)

    until(lambda: told.asked)

    assert told.asked == [f"{job}&status=RUNNING"]
