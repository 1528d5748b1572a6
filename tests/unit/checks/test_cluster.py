"""Ready-made checks of the cluster, against the sandbox's gateway."""

from __future__ import annotations

import pytest

from tests.unit.checks.endpoints import http
from tracker_service.checks.cluster import Gateway, cluster_checks
from tracker_service.checks.files import raw_check
from tracker_service.checks.grammar import Secrets
from tracker_service.checks.probe import Probe, Prober
from tracker_service.checks.reach import Reach

SERVICES = ("knox", "oozie", "webhdfs", "resourcemanager", "jobhistory")
ANSWERS = {
    "oozie": b'{"systemMode": "NORMAL"}',
    "webhdfs": b'{"Path": "/user/guest"}',
    "resourcemanager": b'{"clusterInfo": {"state": "STARTED"}}',
    "jobhistory": b'{"historyInfo": {"startedOn": 1}}',
}


@pytest.fixture
def password(tmp_path):
    file = tmp_path / "password"
    file.write_text("guest-password\n")
    return file


def probed(base: str, password) -> dict[str, Probe]:
    sources = cluster_checks(
        Gateway(base=base, user="guest", password_file=password, ca_file=None, verify=True)
    )
    found = {}
    for name, source in sources.items():
        check = raw_check(source.key, source.raw, Secrets())
        assert check
        found[name.removeprefix("cluster:")] = Prober(Reach()).probe(check)
    return found


def test_the_services_of_a_cluster_that_works_are_up(endpoint, password):
    def answer(connected, request):
        path = request.split()[1].decode().removeprefix("/gateway/x").strip("/").partition("/")[0]
        http(ANSWERS.get(path, b""), 200 if path else 404)(connected, request)

    server = endpoint(answer)
    found = probed(f"http://{server.authority}/gateway/x", password)

    assert {name: probe.error for name, probe in found.items()} == dict.fromkeys(SERVICES)
    assert all(b"Authorization: Basic " in request for request in server.requests)


def test_each_service_that_does_not_work_is_named(endpoint, password):
    def answer(connected, request):
        http(b'{"systemMode": "SAFEMODE"}', 200 if b"oozie" in request else 503)(connected, request)

    found = probed(f"http://{endpoint(answer).authority}/gateway/x", password)

    assert found["oozie"].error == "systemMode is 'SAFEMODE', not eq 'NORMAL'"
    for name in ("knox", "webhdfs", "resourcemanager", "jobhistory"):
        assert found[name].error == "it answered 503"
