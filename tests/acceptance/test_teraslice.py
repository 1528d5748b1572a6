"""Real processes scrape Teraslice masters: one worker each, another after it, all APIs show it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.stands import SandboxStand
from tests.unit.loopback_server import Loopback, Reply
from tests.unit.teraslice import FakeMaster, names, one
from tests.waiting import until

pytestmark = pytest.mark.slow

UPDATES = "teraslice_exporter_update_duration_seconds_count"


@pytest.fixture
def fake() -> Iterator[FakeMaster]:
    server = Loopback()
    yield FakeMaster(server)
    server.close()


@pytest.fixture
def service(run: Run, sandbox: SandboxStand, fake: FakeMaster) -> RunningService:
    master = {"name": "prod", "url": fake.server.origin, "interval": 0.5}
    hangs = {"name": "hangs", "url": "http://198.51.100.1", "interval": 30, "timeout": 30}
    return run(
        sandbox,
        TRACKER_EXPORTERS__TERASLICE=json.dumps([master, hangs]),
        TRACKER_SERVE__PROCESSES=2,
    )


def page(service: RunningService) -> str:
    answer = requests.get(f"{service.url}/metrics/teraslice", timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.text


def updates(service: RunningService, fake: FakeMaster) -> float:
    return one(page(service), UPDATES, url=f"{fake.server.origin}/") or 0


def test_each_process_shows_what_one_worker_has_scraped(service):
    until(lambda: one(page(service), "teraslice_up", name="lab") == 1)

    shown = {one(page(service), "processed", cluster="prod") for _ in range(20)}

    assert shown == {176}
    own = requests.get(f"{service.url}/metrics", timeout=60).text
    assert "tracker_workers" in names(own)
    assert not {"processed", "teraslice_up"} & names(own)


def test_after_a_worker_was_killed_another_one_goes_on_and_counts_on(service, fake):
    fake.replies["/"] = Reply(500)
    errors = "teraslice_exporter_errors_total"
    until(lambda: one(page(service), errors, error_type="status") or 0, lambda count: count >= 2)
    fake.replies.clear()
    until(lambda: one(page(service), "teraslice_up", name="lab") == 1)
    counted, before = updates(service, fake), page(service)

    os.kill(until(lambda: service.child("worker") or 0, bool), signal.SIGKILL)

    until(lambda: updates(service, fake), lambda count: count >= counted + 3)
    counts = [one(each, errors, error_type="status") or 0 for each in (before, page(service))]
    assert counts[1] >= counts[0] >= 2


def test_two_workers_share_the_masters_and_none_is_scraped_twice(service, fake):
    service.command("worker")
    admin = f"{service.url}/readyz"
    until(lambda: requests.get(admin, timeout=60).json()["workers"], lambda count: count == 2)
    start = updates(service, fake)

    until(lambda: updates(service, fake), lambda count: count >= start + 10)

    asked = [at for at in fake.asked_paths() if at == "/v1/cluster/controllers"]
    assert len(asked) <= updates(service, fake) + 2, "each update that was asked for is counted"
