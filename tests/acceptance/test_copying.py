"""How many copies run at once, what they leave behind, and what becomes of trouble."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Run
from tests.stands import SandboxStand, sandbox_stand
from tests.waiting import until

pytestmark = pytest.mark.slow


def most_at_once(stand: SandboxStand) -> int:
    """Return how many copy workflows ran at the same time, at the busiest moment."""
    copies = [
        job
        for job in stand.server.cluster.jobs.values()
        if job.definition.name.startswith("tracker-copy-")
    ]
    return max(
        sum(other.created_at <= job.created_at < other.ends_at for other in copies)
        for job in copies
    )


def test_a_user_has_no_more_copies_at_once_than_the_limit_and_all_are_made(run: Run) -> None:
    with sandbox_stand() as stand:
        service = run(stand, TRACKER_COPYING__STRATEGY="workflow", TRACKER_COPYING__PER_USER=2)
        jobs = [stand.start("fail") for _ in range(7)]

        service.track(*jobs)

        until(
            lambda: (
                "waits for a place: 2 copy workflows of guest"
                in str(service.get("jobs/tracking").json())
            )
        )
        assert {c["status"] for job in jobs for c in service.wait_saved(job).values()} == {
            "SUCCEEDED"
        }
        assert most_at_once(stand) == 2


def test_all_users_together_have_no_more_copies_at_once_than_the_gateway_allows(run: Run) -> None:
    with sandbox_stand() as stand:
        service = run(stand, TRACKER_COPYING__STRATEGY="workflow", TRACKER_COPYING__PER_GATEWAY=3)
        jobs = [(user, stand.start("fail", user)) for user in ("guest", "sam", "tom") * 2]

        for user, job in jobs:
            service.track(job, user=user)
        for user, job in jobs:
            [copy] = service.wait_saved(job, user).values()
            assert copy["status"] == "SUCCEEDED"

        assert most_at_once(stand) <= 3


def test_an_outage_in_the_middle_of_copying_uses_up_no_try(run: Run) -> None:
    with sandbox_stand() as stand:
        service = run(stand, TRACKER_COPYING__STRATEGY="workflow", TRACKER_COPYING__TRIES=1)
        job = stand.start("fail")
        service.track(job)
        until(lambda: service.query("SELECT 1 FROM copies WHERE status = 'RUNNING'"))

        stand.server.down.update({"oozie", "webhdfs"})
        until(lambda: "at http" in str(service.query("SELECT reason FROM copies")))
        stand.server.down.clear()

        [copy] = service.wait_saved(job).values()
        assert copy["status"] == "SUCCEEDED"
