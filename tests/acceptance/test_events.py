"""A failure arrives where somebody looks: at a webhook, and in a stream of events."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from threading import Thread
from typing import Any

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.stands import Stand
from tests.unit.loopback_server import Loopback, Reply
from tests.waiting import until

pytestmark = pytest.mark.slow

GUEST = ("guest", "guest-password")
ON_LOOPBACK = {
    "TRACKER_SINKS__ALLOWED_HOSTS": '["127.0.0.1"]',
    "TRACKER_SINKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
}


@pytest.fixture
def receiver() -> Iterator[Loopback]:
    server = Loopback()
    server.says(Reply(204))
    yield server
    server.close()


def subscribe(service: RunningService, url: str, *types: str) -> str:
    body = {"sink": {"type": "webhook", "url": url}, "types": list(types)}
    answer = requests.post(f"{service.url}/api/subscriptions", json=body, auth=GUEST, timeout=60)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def bodies(receiver: Loopback) -> list[dict[str, Any]]:
    return [json.loads(asked.body) for asked in receiver.asked]


class Reader:
    """Reads a stream of events on a thread, as a browser does."""

    def __init__(self, service: RunningService, last: str | None = None) -> None:
        self._connection = HTTPConnection(service.url.removeprefix("http://"), timeout=60)
        basic = b64encode(":".join(GUEST).encode()).decode()
        headers = {"Accept": "text/event-stream", "Authorization": f"Basic {basic}"}
        headers |= {"Last-Event-ID": last} if last else {}
        self._connection.request("GET", "/api/events", headers=headers)
        self._socket = self._connection.sock
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()
        self.ids: list[str] = []
        self.events: list[dict[str, Any]] = []
        self._thread = Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while line := self._line():
            name, _, value = line.decode().strip().partition(": ")
            if name == "id":
                self.ids.append(value)
            if name == "data":
                self.events.append(json.loads(value))

    def _line(self) -> bytes:
        try:
            return self._answer.readline()
        except (OSError, HTTPException):  # it was closed in the middle
            return b""

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._answer.close()
        self._connection.close()


def test_a_failure_reaches_a_webhook_and_a_stream_with_its_cause(
    stand: Stand, run: Run, receiver: Loopback
) -> None:
    service = run(stand, **ON_LOOPBACK)
    subscribe(service, f"{receiver.origin}/team", "tracker.job.failed", "tracker.logs.*")
    with closing(Reader(service)) as reader:
        job = stand.start("fail")
        service.track(job)

        until(lambda: len(bodies(receiver)), lambda number: number >= 2)
        until(lambda: [e["type"] for e in reader.events], lambda t: "tracker.logs.saved" in t)

    by_type = {body["type"]: body for body in bodies(receiver)}
    assert set(by_type) == {"tracker.job.failed", "tracker.logs.saved"}
    failed = by_type["tracker.job.failed"]
    assert (failed["subject"], failed["data"]["status"]) == (job, "KILLED")
    assert failed["data"]["cause"]["summary"]
    assert failed["data"]["cause"]["evidence"]
    assert failed["data"]["links"]["logs"] == f"{service.url}/api/job/{job}/logs"
    assert failed["data"]["logs"]["saved"] == failed["data"]["logs"]["wanted"] >= 1
    types = [event["type"] for event in reader.events]
    assert types[-2:] == ["tracker.job.failed", "tracker.logs.saved"]
    assert set(types[:-2]) == {"tracker.job.state_changed"}


def test_a_reader_who_comes_again_misses_nothing_and_gets_nothing_twice(
    sandbox: Stand, run: Run
) -> None:
    service = run(sandbox, **ON_LOOPBACK)
    with closing(Reader(service)) as first:
        service.track(sandbox.start("fail"))
        until(lambda: len(first.ids), lambda number: number >= 2)
    service.track(sandbox.start("fail"))
    page = f"{service.url}/api/events?limit=1000"

    def known() -> list[dict[str, Any]]:
        return list(requests.get(page, auth=GUEST, timeout=60).json()["events"])

    until(lambda: [e["type"] for e in known()].count("tracker.logs.saved"), lambda n: n == 2)
    every = [event["sequence"] for event in known()]
    with closing(Reader(service, first.ids[0])) as again:
        until(lambda: again.ids[-1:], lambda ids: ids == every[-1:])

    assert first.ids[:1] + again.ids == every


def test_many_readers_hold_no_thread(sandbox: Stand, run: Run) -> None:
    service = run(sandbox, TRACKER_SERVE__THREADS=4)
    readers = [Reader(service) for _ in range(40)]
    try:
        service.track(sandbox.start("fail"))
        until(lambda: {len(reader.ids) >= 3 for reader in readers}, lambda done: done == {True})
        assert len({tuple(reader.ids[:3]) for reader in readers}) == 1
    finally:
        for reader in readers:
            reader.close()


def test_what_is_not_delivered_when_the_worker_dies_is_delivered_by_the_next(
    sandbox: Stand, run: Run, receiver: Loopback
) -> None:
    receiver.says(Reply(503))
    service = run(sandbox, **ON_LOOPBACK)
    subscribe(service, receiver.origin, "tracker.job.failed")
    service.track(sandbox.start("fail"))
    until(lambda: len(receiver.asked), lambda number: number >= 1)

    service.kill_all()
    receiver.says(Reply(204))
    service.start()

    until(lambda: service.query("SELECT state FROM deliveries"), lambda r: r == [("delivered",)])
    assert len({body["id"] for body in bodies(receiver)}) == 1
