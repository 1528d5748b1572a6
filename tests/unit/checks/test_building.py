"""What a worker is given to do, by the settings; and old runs, which are tidied away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.checks.endpoints import http
from tests.unit.fakes import AtOnce
from tracker_service.bootstrap.checks import ChecksWork, build_checks_work
from tracker_service.bootstrap.foundation import Foundation
from tracker_service.checks.lookup import CheckPages
from tracker_service.engine.duties import Held
from tracker_service.identities.rotation import rotate_keys
from tracker_service.metrics import Metrics
from tracker_service.settings import Settings

NOBODY = Held(worker="w", leases={})
READY_MADE = [
    f"cluster:{name}" for name in ("jobhistory", "knox", "oozie", "resourcemanager", "webhdfs")
]


@pytest.fixture
def build(tmp_path, store, now):
    def work(**settings: Any) -> ChecksWork:
        base = Foundation(
            settings=Settings.model_validate({"state_dir": tmp_path, **settings}),
            metrics=Metrics(),
            store=store,
            identities=None,  # type: ignore[arg-type]
            secrets=None,
            clock=now,
        )
        return build_checks_work(base, AtOnce())

    return work


@pytest.fixture
def password(tmp_path):
    file = tmp_path / "password"
    file.write_text("tracker-password\n")
    return str(file)


def do(work: ChecksWork, name: str) -> None:
    [duty] = [duty for duty in work.duties if duty.name == name]
    duty.run(NOBODY)


def names(store) -> list[str]:
    found, _ = CheckPages(store).page("", 100)
    return [check.name for check in found]


def test_the_cluster_is_checked_as_the_account_of_its_own(build, store, password):
    checks = {"cluster": True, "cluster_user": "tracker", "cluster_password_file": password}

    do(build(gateway={"url": "https://knox:8443/gateway/x"}, checks=checks), "enrol_checks")

    assert names(store) == READY_MADE


def test_the_cluster_is_checked_as_the_polling_user_where_no_other_is_named(build, store, password):
    gateway = {
        "url": "https://knox:8443/gateway/x",
        "polling_user": "tracker",
        "polling_password_file": password,
    }

    do(build(gateway=gateway, checks="cluster"), "enrol_checks")

    assert names(store) == READY_MADE


def test_a_worker_without_checks_removes_those_of_earlier_settings(build, store, password):
    gateway = {"url": "https://knox:8443/gateway/x"}
    checks = {"cluster": True, "cluster_user": "tracker", "cluster_password_file": password}
    do(build(gateway=gateway, checks=checks), "enrol_checks")

    work = build(gateway=gateway)
    do(work, "enrol_checks")

    assert (names(store), list(work.kinds)) == ([], [])


def test_runs_that_are_too_old_are_tidied_away(site, endpoint):
    server = endpoint(http())
    name = f"{server.authority}/"
    site.write(f"{name}:\n  cron_schedule: '* * * * *'\n  jitter: 0s\n")
    worker = site.worker()
    site.advance(60)
    worker.turn()
    assert len(site.runs(name)) == 1

    worker.do("tidy_checks")  # by the database's clock, the run of the test's clock is old

    assert site.runs(name) == []


def test_checks_outlive_a_new_key(site, endpoint):
    server = endpoint(http())
    site.write(f"{server.authority}/:\n  cron_schedule: '* * * * *'\n  jitter: 0s\n")
    worker = site.worker()

    rotate_keys(site.store, site.key_file, forget_old=True)
    worker.do("enrol_checks")
    again = site.worker()
    site.advance(60)
    worker.leases.give_back()
    again.tend()
    again.turn()

    assert len(site.runs(f"{server.authority}/")) == 1
