"""Everything that a job started is found and followed, and the logs of it are saved."""

from __future__ import annotations

import pytest

from tests.acceptance.service import RunningService
from tests.acceptance.test_main_way import assert_all_logs_are_saved
from tests.stands import Stand, access
from tests.waiting import until
from tracker_service.domain.jobs import JobId, Observation

pytestmark = pytest.mark.slow


def wait_for_end(stand: Stand, job: str) -> Observation:
    """Wait until a job has ended, whether anybody tracks it or not."""
    oozie = access(stand).oozie
    return until(
        lambda: oozie.jobs([JobId(job)])[JobId(job)],
        lambda seen: seen.status.is_terminal,
        seconds=120,
    )


def test_the_logs_of_all_tries_are_saved_of_a_job_that_is_posted_when_it_has_ended(
    service: RunningService, stand: Stand
) -> None:
    job = stand.start("retried")
    wait_for_end(stand, job)
    assert len(stand.yarn_applications(job)) == 2

    service.track(job)

    assert_all_logs_are_saved(service, stand, job)
