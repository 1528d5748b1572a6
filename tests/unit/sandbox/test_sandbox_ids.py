"""Ids of the random generator, and actions of coordinators that have started nothing."""

from __future__ import annotations

import re

import pytest

from tests.unit.sandbox.conftest import Caller
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.gateway import SandboxGateway


@pytest.fixture
def random_cluster(clock) -> Cluster:
    return Cluster(clock=clock, random_ids=True)


def test_the_random_generator_makes_ids_of_forty_characters(random_cluster):
    ids = [job_id for job_id, _ in random_cluster.listing()]

    assert len(set(ids)) == len(ids)
    for job_id in ids:
        assert re.fullmatch(r"[0-9a-f-]{30}-sandbox-[WCB]", job_id)


def test_a_job_with_a_random_id_is_answered_like_any_other(random_cluster):
    guest = Caller(SandboxGateway(random_cluster), "guest")
    job_id = random_cluster.start("succeeds")

    listed = guest.ask(f"oozie/v2/jobs?filter=id%3D{job_id}").get_json()["workflows"]

    assert [job["id"] for job in listed] == [job_id]
    assert guest.info(job_id)["status"] == "RUNNING"


def test_an_action_waits_until_it_has_its_input(guest, cluster, clock):
    action = f"{cluster.start_coordinator(waits_s=60)}@2"
    waiting = guest.info(action)

    clock.advance(60)

    assert (waiting["id"], waiting["status"], waiting["externalId"]) == (action, "WAITING", None)
    assert guest.info(action)["status"] == "RUNNING"
    assert guest.info(guest.info(action)["externalId"])["parentId"] == action


def test_an_action_that_waits_is_killed_with_its_coordinator(guest, cluster, clock):
    coordinator = cluster.start_coordinator(waits_s=60)
    cluster.kill(coordinator)

    clock.advance(60)

    assert guest.info(f"{coordinator}@1")["status"] == "KILLED"
    assert guest.info(f"{coordinator}@1")["externalId"] is None
