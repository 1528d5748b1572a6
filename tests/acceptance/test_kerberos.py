"""A site without Knox: the service logs in with its keytab and acts for those a proxy names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.acceptance.service import RunningService
from tests.conftest import LEFT_OUT
from tests.kerberos_stand import KerberosStand, kerberos_stand
from tests.stands import NoCluster
from tests.waiting import until
from tracker_service.errors import AccessDenied

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.kerberos]

HEADER = "X-Remote-User"
Run = Callable[..., "KerberosService"]


class KerberosService(RunningService):
    """`tracker run` with a keytab; whoever comes from this machine may name the user."""

    def reached(self, stand: KerberosStand) -> dict[str, str]:
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
def stand() -> Iterator[KerberosStand]:
    try:
        with kerberos_stand() as started:
            yield started
    except NoCluster as error:
        LEFT_OUT.append(f"the cluster with Kerberos: {error}")
        if os.environ.get("CI"):
            pytest.fail(f"the cluster must not be missing in CI: {error}", pytrace=False)
        pytest.skip(f"the cluster with Kerberos: {error}")


@pytest.fixture(scope="module")
def run(stand: KerberosStand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    running = []

    def run_service(**settings: object) -> KerberosService:
        state_dir = tmp_path_factory.mktemp("kerberos") / "state"
        running.append(KerberosService(stand, state_dir, **settings))
        return running[-1]

    yield run_service
    for service in running:
        service.end()


@pytest.fixture(scope="module")
def service(run: Run) -> KerberosService:
    return run(TRACKER_COPYING__STRATEGY="direct")


@pytest.fixture(scope="module")
def jobs(stand: KerberosStand, service: KerberosService) -> dict[str, str]:
    """A job of each of two users that has failed, and whose log is saved."""
    started = {user: stand.start("fail", user) for user in ("guest", "sam")}
    for user, job in started.items():
        service.track(job, user=user)
    for user, job in started.items():
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


def test_a_copy_workflow_runs_as_the_user(run: Run, stand: KerberosStand) -> None:
    service = run(TRACKER_COPYING__STRATEGY="workflow")
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
        assert "whether the KDC answers" in outage.text
    finally:
        stand.kdc("start")

    assert_saved(service, stand, job, "guest")


def test_a_keytab_is_enough_and_nothing_of_the_users_is_kept(
    service: KerberosService, jobs: dict[str, str]
) -> None:
    trace = (service.state_dir / "krb5.trace").read_text()

    assert "MEMORY:tracker" in trace
    assert "FILE:/tmp/krb5cc" not in trace
    assert not Path(f"/tmp/krb5cc_{os.getuid()}").exists()
    assert service.query("SELECT count(*) FROM tasks")[0][0] > 0
    assert service.query("SELECT * FROM credentials") == []


def test_who_comes_without_a_name_is_let_in_nowhere(service: KerberosService) -> None:
    address = f"{service.url}/api/jobs/tracking"

    assert requests.get(address, timeout=30).status_code == 401
    with_password = requests.get(address, auth=("guest", "guest-password"), timeout=30)
    assert with_password.status_code == 401


def test_a_principal_that_may_act_for_nobody_names_the_setting(
    run: Run, stand: KerberosStand, jobs: dict[str, str]
) -> None:
    service = run(
        TRACKER_GATEWAY__PRINCIPAL="tom@EXAMPLE.COM", TRACKER_GATEWAY__KEYTAB=stand.keytab("tom")
    )

    answer = service.get(f"job/{jobs['guest']}?refresh=true")

    assert answer.status_code == 403, answer.text
    assert "oozie.service.ProxyUserService.proxyuser.tom.hosts" in answer.text


def test_a_keytab_of_another_principal_is_told_as_an_outage(
    run: Run, stand: KerberosStand, jobs: dict[str, str]
) -> None:
    service = run(TRACKER_GATEWAY__KEYTAB=stand.keytab("tom"))

    answer = service.get(f"job/{jobs['guest']}?refresh=true")

    assert answer.status_code == 503, answer.text
    assert "gateway.keytab has the present key of gateway.principal" in answer.text
