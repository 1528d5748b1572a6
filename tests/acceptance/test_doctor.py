"""`tracker doctor` in front of the sandbox and of a real cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance import command
from tests.acceptance.service import RunningService
from tests.stands import RealStand, Stand, access

pytestmark = pytest.mark.slow

Doctor = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture
def doctor(stand: Stand, tmp_path: Path) -> Doctor:
    """Runs `tracker doctor` as guest, and returns what it found by check."""
    usual = {
        "TRACKER_GATEWAY__URL": stand.url,
        "TRACKER_USER": "guest",
        "TRACKER_PASSWORD": "guest-password",
    }
    if stand.ca_file:
        usual["TRACKER_GATEWAY__CA_FILE"] = str(stand.ca_file)

    def run(**variables: str | None) -> dict[str, dict[str, str]]:
        wanted = {name: value for name, value in (usual | variables).items() if value}
        told = command.tracker(tmp_path, wanted, "doctor", "--output", "json")
        found = {each["check"]: each for each in json.loads(told.stdout)}
        assert told.stderr == ""
        assert told.returncode == int("FAIL" in {each["level"] for each in found.values()})
        return found

    return run


def levels(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {check: each["level"] for check, each in found.items() if each["level"] != "ok"}


def test_a_cluster_in_good_health_has_no_failure_and_nothing_is_left_in_it(
    doctor: Doctor, service: RunningService, stand: Stand
) -> None:
    found = doctor(TRACKER_URL=service.url)

    assert set(levels(found)) <= {"job-history"}  # which the service can do without
    assert "NORMAL" in found["oozie"]["message"]
    left = access(stand).hdfs.list("/user/guest/WORK/logs/.tracker")
    assert [each.name for each in left if each.name.startswith("doctor-")] == []


def test_a_wrong_password_is_told(doctor: Doctor) -> None:
    found = doctor(TRACKER_PASSWORD="wrong")

    assert found["login"]["level"] == "FAIL"
    assert "refuses the password of guest" in found["login"]["message"]
    assert "oozie" not in found


def test_a_wrong_topology_is_told(doctor: Doctor, stand: Stand) -> None:
    found = doctor(TRACKER_GATEWAY__URL=f"{stand.url}-not")

    assert found["topology"]["level"] == "FAIL"
    assert f"there is no topology at {stand.url}-not" in found["topology"]["message"]


@pytest.mark.cluster
@pytest.mark.parametrize("stand", ["real"], indirect=True)
def test_a_real_cluster_has_nothing_to_warn_of(doctor: Doctor, service: RunningService) -> None:
    assert levels(doctor(TRACKER_URL=service.url)) == {}


@pytest.mark.cluster
@pytest.mark.parametrize("stand", ["real"], indirect=True)
def test_a_missing_authority_is_told(doctor: Doctor) -> None:
    found = doctor(TRACKER_GATEWAY__CA_FILE=None)

    assert found["tls"]["level"] == "FAIL"
    assert "set TRACKER_GATEWAY__CA_FILE" in found["tls"]["message"]
    assert "login" not in found


@pytest.mark.cluster
def test_people_read_one_sentence_a_line(real: RealStand, tmp_path: Path) -> None:
    variables = {
        "TRACKER_GATEWAY__URL": real.url,
        "TRACKER_GATEWAY__CA_FILE": str(real.ca_file),
        "TRACKER_USER": "guest",
        "TRACKER_PASSWORD": "guest-password",
    }

    told: subprocess.CompletedProcess[str] = command.tracker(tmp_path, variables, "doctor")

    assert told.returncode == 0, told.stdout
    assert "ok   Oozie answers (NORMAL)" in told.stdout.splitlines()
    assert all(line[:5] in ("ok   ", "WARN ") for line in told.stdout.splitlines())
