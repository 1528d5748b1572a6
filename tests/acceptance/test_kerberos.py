"""A site without Knox: the service logs in with its keytab and acts for those a proxy names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.acceptance import command
from tests.acceptance.clocks import SettableClock
from tests.acceptance.service import RunningService
from tests.kerberos_stand import KerberosStand
from tests.stands import Address
from tests.waiting import until
from tracker_service.errors import AccessDenied

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.kerberos]

HEADER = "X-Remote-User"


class KerberosService(RunningService):
    """`tracker run` with a keytab; whoever comes from this machine may name the user."""

    def reached(self, stand: Address) -> dict[str, str]:
        assert isinstance(stand, KerberosStand)
        kerberos = stand.described["kerberos"]
        self.state_dir.mkdir()
        keytab = shutil.copy(kerberos["service_keytab"], self.state_dir / "tracker.keytab")
        services = {f"TRACKER_GATEWAY__{n.upper()}": url for n, url in stand.services.items()}
        return services | {
            "KRB5_CONFIG": str(stand.krb5_conf(self.state_dir)),
            "KRB5_TRACE": str(self.state_dir / "krb5.trace"),
            "TRACKER_GATEWAY__AUTH": "kerberos",
            "TRACKER_GATEWAY__PRINCIPAL": kerberos["service"],
            "TRACKER_GATEWAY__KEYTAB": str(keytab),
            "TRACKER_SERVE__USER_HEADER": HEADER,
            "TRACKER_SERVE__USER_HEADER_FROM": '["127.0.0.1"]',
            "TRACKER_COPYING__NAME_NODE": stand.described["namenode"],
            "TRACKER_COPYING__RESOURCE_MANAGER": stand.described["resource_manager"],
            "TRACKER_COPYING__TRIES": "1",
        }

    def login(self, user: str) -> dict[str, dict[str, str]]:
        return {"headers": {HEADER: user}}


@pytest.fixture(scope="module")
def stand(kerberos: KerberosStand) -> KerberosStand:
    return kerberos


@contextmanager
def running(stand: KerberosStand, directory: Path, **settings: object) -> Iterator[KerberosService]:
    service = KerberosService(stand, directory / "state", **settings)
    try:
        yield service
    finally:
        service.end()


@pytest.fixture(scope="module")
def service(
    stand: KerberosStand, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KerberosService]:
    directory = tmp_path_factory.mktemp("kerberos")
    with running(stand, directory, TRACKER_COPYING__STRATEGY="direct") as started:
        yield started


@pytest.fixture(scope="module")
def jobs(stand: KerberosStand, service: KerberosService) -> dict[str, str]:
    """A job of each of two users that has failed, and whose log is saved.

    One after the other: Oozie's database in memory may lock up when two end at the same time.
    """
    started = {}
    for user in ("guest", "sam"):
        job = started[user] = stand.start("fail", user)
        service.track(job, user=user)
        service.wait_saved(job, user)
    return started


def assert_saved(service: KerberosService, stand: KerberosStand, job: str, user: str) -> None:
    """The log is the user's own in HDFS, and read through the service as YARN prints it."""
    [(application, copy)] = service.wait_saved(job, user).items()
    assert copy["status"] == "SUCCEEDED", copy
    expected = stand.yarn_logs(f"application_{application}", user)
    assert b"FileNotFoundError" in expected
    assert service.get(f"job/{job}/logs/{application}", user).content == expected
    hdfs = stand.access(user).hdfs
    assert hdfs.status(copy["path"]).owner == user
    assert b"".join(hdfs.read(copy["path"])) == expected


@pytest.mark.parametrize("user", ["guest", "sam"])
def test_the_log_of_a_failed_job_is_saved_and_read_as_the_user_whom_the_proxy_names(
    service: KerberosService, stand: KerberosStand, jobs: dict[str, str], user: str
) -> None:
    assert service.get(f"job/{jobs[user]}", user).json()["user"] == user

    assert_saved(service, stand, jobs[user], user)


def test_the_log_of_another_is_copied_for_nobody_and_read_by_nobody(
    service: KerberosService, stand: KerberosStand, jobs: dict[str, str]
) -> None:
    job = jobs["guest"]
    [copy] = service.wait_saved(job).values()

    service.track(job, user="sam")  # Oozie shows the job to everybody, HDFS no log of it

    [refused] = service.wait_saved(job, "sam").values()
    assert refused["status"] == "FAILED"
    assert "Permission denied: user=sam" in refused["reason"]
    assert service.get(f"job/{job}/logs", "sam").status_code == 404
    with pytest.raises(AccessDenied, match="user=sam"):
        stand.access("sam").hdfs.read(copy["path"])


def doctor(
    service: KerberosService, directory: Path, **settings: object
) -> dict[str, dict[str, str]]:
    """What `tracker doctor` finds for guest with the service's settings, by check."""
    usual = service.settings | {"TRACKER_USER": "guest", "TRACKER_URL": service.url}
    told = command.tracker(directory, usual | settings, "doctor", "--output", "json")
    return {each["check"]: each for each in json.loads(told.stdout)}


def test_the_doctor_finds_each_service_well(service: KerberosService, tmp_path: Path) -> None:
    found = doctor(service, tmp_path)

    assert {each["level"] for each in found.values()} == {"ok"}, found
    assert found.keys() >= {"login", "oozie", "hdfs-write", "resource-manager", "job-history"}


def test_a_keytab_of_another_principal_is_told(
    service: KerberosService, stand: KerberosStand, tmp_path: Path
) -> None:
    found = doctor(service, tmp_path, TRACKER_GATEWAY__KEYTAB=stand.keytab("tom"))

    assert found["login"]["level"] == "FAIL"
    assert "correct gateway.keytab or gateway.principal" in found["login"]["message"]


def test_a_clock_that_is_wrong_is_told(service: KerberosService, tmp_path: Path) -> None:
    clock = SettableClock(tmp_path)
    clock.set_ahead(3600)

    found = doctor(service, tmp_path, **clock.environment)

    assert found["login"]["level"] == "ok"  # it learns from the KDC how wrong it is
    assert found["clock"]["level"] == "WARN"
    assert "s ahead of the" in found["clock"]["message"]
    assert "let both follow NTP" in found["clock"]["message"]


def test_a_copy_workflow_runs_as_the_user(stand: KerberosStand, tmp_path: Path) -> None:
    with running(stand, tmp_path, TRACKER_COPYING__STRATEGY="workflow") as service:
        job = stand.start("fail")

        service.track(job)

        assert_saved(service, stand, job, "guest")


def test_tracking_goes_on_when_the_kdc_comes_back(
    service: KerberosService, stand: KerberosStand, jobs: dict[str, str]
) -> None:
    job = stand.start("fail")
    service.track(job)
    stand.kdc("stop")
    try:
        outage = until(
            lambda: service.get(f"job/{jobs['sam']}?refresh=true", "sam"),
            lambda answer: answer.status_code == 503,
        )
        assert "tracker/localhost@EXAMPLE.COM cannot log in" in outage.text
        assert "KDC running" in outage.text or "KDC is running" in outage.text
    finally:
        stand.kdc("start")

    assert_saved(service, stand, job, "guest")


def test_a_keytab_is_enough_and_nothing_of_the_users_is_kept(
    service: KerberosService, jobs: dict[str, str]
) -> None:
    trace = (service.state_dir / "krb5.trace").read_text()

    assert "MEMORY:tracker" in trace
    assert "FILE:/tmp/krb5cc" not in trace  # where `kinit` would leave a ticket
    assert service.query("SELECT count(*) FROM tasks")[0][0] > 0
    assert service.query("SELECT * FROM credentials") == []


def test_who_comes_without_a_name_is_let_in_nowhere(service: KerberosService) -> None:
    address = f"{service.url}/api/jobs/tracking"

    assert requests.get(address, timeout=120).status_code == 401
    with_password = requests.get(address, auth=("guest", "guest-password"), timeout=120)
    assert with_password.status_code == 401


def test_a_principal_that_may_act_for_nobody_names_the_setting(
    stand: KerberosStand, jobs: dict[str, str], tmp_path: Path
) -> None:
    tom = {
        "TRACKER_GATEWAY__PRINCIPAL": "tom@EXAMPLE.COM",
        "TRACKER_GATEWAY__KEYTAB": stand.keytab("tom"),
    }
    with running(stand, tmp_path, **tom) as service:
        answer = service.get(f"job/{jobs['guest']}?refresh=true")
        told = doctor(service, tmp_path)["login"]["message"]

    assert answer.status_code == 403, answer.text
    assert "oozie.service.ProxyUserService.proxyuser.tom.hosts" in answer.text
    assert "set hadoop.proxyuser.tom.hosts" in told
