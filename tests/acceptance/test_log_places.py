"""Aggregated logs of one application in several places, and damaged files among them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.service import RunningService
from tests.stands import RealStand, access

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture
def stand(real: RealStand) -> RealStand:
    return real


@pytest.fixture
def failed(real: RealStand) -> tuple[str, str]:
    """A job that has failed and whose log is aggregated, and its application."""
    client, job = real.client(), real.start("fail")
    application = client.application_of(job)
    client.wait(job)
    client.wait_logs(application)
    return job, application


def node_file(real: RealStand, application: str) -> str:
    [(path, _)] = real.client().log_files(application, "guest")
    return path


def copy_of(service: RunningService, job: str) -> dict[str, Any]:
    service.track(job)
    [copy] = service.wait_saved(job).values()
    return dict(copy)


def test_both_layouts_of_one_application_are_saved_as_yarn_logs_prints_them(
    real: RealStand, service: RunningService, failed: tuple[str, str]
) -> None:
    job, application = failed
    hdfs, path = access(real).hdfs, node_file(real, application)
    hdfs.write(f"/app-logs/guest/logs-tfile/{application}/oldnode_8041", b"".join(hdfs.read(path)))

    copy = copy_of(service, job)

    saved = b"".join(hdfs.read(copy["path"]))
    assert saved == real.yarn_logs(application, "guest")
    assert b" on oldnode_8041\n" in saved
    assert (copy["completeness"], copy["gaps"]) == ("COMPLETE", [])


def test_what_is_whole_beside_damaged_files_is_saved_and_its_cause_is_found(
    real: RealStand, service: RunningService, failed: tuple[str, str]
) -> None:
    job, application = failed
    hdfs, path = access(real).hdfs, node_file(real, application)
    whole, text = b"".join(hdfs.read(path)), real.yarn_logs(application, "guest")
    directory = path.rpartition("/")[0]
    hdfs.write(f"{directory}/cut_8041", whole[:3000])
    hdfs.write(f"{directory}/empty_8041", b"")

    copy = copy_of(service, job)

    assert b"".join(hdfs.read(copy["path"])) == text
    assert copy["completeness"] == "PARTIAL"
    assert [gap.partition(": ")[0] for gap in copy["gaps"]] == [
        f"{directory}/cut_8041",
        f"{directory}/empty_8041",
    ]
    assert service.get(f"job/{job}/cause").json()["category"] != "unknown"
