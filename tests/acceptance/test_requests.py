"""Count what the cluster is asked: many jobs cost few requests."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Run
from tests.stands import SandboxStand, sandbox_stand
from tests.waiting import GENEROUS_S, until

pytestmark = pytest.mark.slow


@pytest.fixture
def crowd() -> Iterator[tuple[SandboxStand, list[str]]]:
    """A sandbox of its own with a thousand running jobs."""
    with sandbox_stand() as stand:
        yield stand, [stand.start("sleep") for _ in range(1000)]


def test_a_thousand_posted_ids_cost_at_most_twelve_requests(
    crowd: tuple[SandboxStand, list[str]], run: Run
) -> None:
    stand, jobs = crowd
    service = run(stand, TRACKER_POLLING__INTERVAL_S=3600)
    assert service.get("jobs/tracking").status_code == 200  # now the caller is verified
    stand.server.requests.clear()

    answer = service.post(jobs)

    assert [each["status"] for each in answer.json()] == ["RUNNING"] * 1000
    assert len(stand.server.requests) <= 12
    assert service.query("SELECT count(*) FROM tasks") == [(1000,)]
    assert service.query("SELECT max(size), count(*) FROM jobsets") == [(100, 10)]


def test_one_look_at_a_thousand_running_jobs_costs_at_most_twelve_requests(
    crowd: tuple[SandboxStand, list[str]], run: Run
) -> None:
    stand, jobs = crowd
    service = run(stand, TRACKER_POLLING__INTERVAL_S=6)
    service.track(*jobs)
    unseen = "SELECT count(*) FROM jobsets WHERE polled_at IS NULL"
    until(lambda: service.query(unseen) == [(0,)])
    written = service.query("SELECT max(observed_at) FROM jobs")
    first = service.query("SELECT min(polled_at) FROM jobsets")
    stand.server.requests.clear()

    until(lambda: service.query("SELECT min(polled_at) FROM jobsets") > first)

    assert len(stand.server.requests) <= 12
    # What did not change is not written.
    assert service.query("SELECT max(observed_at) FROM jobs") == written


def test_what_the_store_knows_is_answered_without_asking_the_cluster(
    crowd: tuple[SandboxStand, list[str]], run: Run
) -> None:
    stand, jobs = crowd
    service = run(stand, TRACKER_POLLING__INTERVAL_S=3600)
    service.track(*jobs[:100])
    stand.server.requests.clear()

    for job in jobs[:50]:
        assert service.status(job) == "RUNNING"
    assert len(service.get("jobs/tracking").json()) == 100

    assert not stand.server.requests


def test_two_users_share_one_gateway_and_neither_waits_for_the_other(
    sandbox: SandboxStand, run: Run
) -> None:
    service = run(sandbox)
    jobs = {user: sandbox.start("fail", user) for user in ("guest", "sam")}
    began = time.monotonic()

    for user, job in jobs.items():
        service.track(job, user=user)
    for user, job in jobs.items():
        [copy] = service.wait_saved(job, user=user).values()
        assert copy["status"] == "SUCCEEDED"
        assert copy["path"].startswith(f"/user/{user}/WORK/logs/{job}/")

    assert time.monotonic() - began < GENEROUS_S


def test_the_service_outlives_an_outage_of_oozie_and_then_goes_on(run: Run) -> None:
    with sandbox_stand() as stand:
        service = run(stand)
        job = stand.start("fail")
        assert service.get("jobs/tracking").status_code == 200
        stand.server.down.add("oozie")

        answer = service.post([job])

        assert answer.status_code == 200
        assert answer.json() == [{"id": job, "status": "UNKNOWN", "applications-ids": []}]
        stand.server.down.clear()
        [copy] = service.wait_saved(job).values()
        assert copy["status"] == "SUCCEEDED"


def test_nobody_gets_in_while_the_gateway_cannot_say_who_they_are(run: Run) -> None:
    with sandbox_stand() as stand:
        service = run(stand)
        stand.server.down.add("webhdfs")

        answer = service.post([stand.start("ok")])

        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert service.query("SELECT count(*) FROM tasks") == [(0,)]


def test_a_password_is_kept_sealed_and_erased_with_the_last_task(
    sandbox: SandboxStand, run: Run
) -> None:
    service = run(sandbox)
    job = sandbox.start("fail")
    service.track(job)
    assert service.query("SELECT owner FROM credentials") == [("guest",)]
    files = b"".join(f.read_bytes() for f in service.state_dir.iterdir() if f.is_file())
    assert b"guest-password" not in files

    service.wait_saved(job)

    assert service.query("SELECT owner FROM credentials") == []
    assert "guest-password" not in service.log.read_text()
    assert (service.state_dir / "credentials.key").stat().st_mode & 0o777 == 0o600
