"""Each format of aggregated logs that YARN writes is saved as `yarn logs` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.service import RunningService
from tests.acceptance.test_main_way import wait_until_running
from tests.profiles import IS_LONG
from tests.stands import RealStand, access
from tests.waiting import until

# They restart the NodeManager: nothing else may run on this cluster meanwhile.
pytestmark = [pytest.mark.slow, pytest.mark.cluster]

USUAL = ("tfile", "none")  #: all other tests have it
FORMATS = (USUAL, ("tfile", "gz"), ("ifile", "none"), ("ifile", "gz"))


@pytest.fixture(scope="session")
def real(apart: RealStand) -> RealStand:
    return apart


@pytest.fixture(params=FORMATS if IS_LONG else FORMATS[-1:], ids="-".join)
def saving(
    real: RealStand, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[RunningService]:
    """The service in front of a cluster that writes logs in one of the formats."""
    real.change("logs", *request.param)
    service = RunningService(real, tmp_path / "state")
    try:
        yield service
    finally:
        service.end()
        real.change("logs", *USUAL)


def assert_saved(real: RealStand, application: str, copy: dict[str, Any]) -> None:
    """Compare a log with what `yarn logs` prints; or see that there is none, there as well.

    What is killed with its job before it has a container leaves none.
    """
    if copy["status"] == "SUCCEEDED":
        saved = b"".join(access(real).hdfs.read(copy["path"]))
        assert saved == real.yarn_logs(application, "guest")
    else:
        assert re.search("YARN has kept no log|Can not find", copy["reason"]), copy
        with pytest.raises(AssertionError, match="Can not find"):
            real.yarn_logs(application, "guest")


def copies_of(service: RunningService, job: str) -> dict[str, Any]:
    return dict(service.get(f"job/{job}/logs/status").json()["jobs"])


def test_whatever_a_job_started_is_saved_directly_and_equals_what_yarn_prints(
    saving: RunningService, real: RealStand
) -> None:
    rerun, sleep = real.start("fail"), real.start("sleep")
    jobs = [real.start("fork"), real.start("parent"), real.start("retried"), rerun, sleep]
    saving.track(*jobs)
    [application] = until(lambda: saving.get(f"job/{sleep}?refresh=true").json()["application-ids"])
    wait_until_running(real, f"application_{application}")
    real.kill(sleep)
    [before] = saving.wait_saved(rerun)

    real.rerun(rerun, "fail")
    saving.track(rerun)

    until(lambda: len(copies_of(saving, rerun)) == 2)
    for job in jobs:
        copies = saving.wait_saved(job)
        assert {f"application_{each}" for each in copies} == real.yarn_applications(job)
        for application, copy in copies.items():
            assert_saved(real, f"application_{application}", copy)
    assert "/run-0/" in copies_of(saving, rerun)[before]["path"]
    ways = "SELECT DISTINCT strategy FROM copies WHERE status = 'SUCCEEDED'"
    assert saving.query(ways) == [("direct",)]
