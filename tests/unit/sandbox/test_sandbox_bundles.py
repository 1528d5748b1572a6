from __future__ import annotations

import pytest


@pytest.fixture
def bundle(cluster) -> str:
    [job_id] = [job_id for job_id, _ in cluster.listing() if job_id.endswith("-B")]
    return job_id


def full(guest, bundle):
    return guest.ask(f"oozie/v2/job/{bundle}").json


def test_a_bundle_has_its_coordinators_a_moment_after_its_start(guest, bundle, clock):
    before = full(guest, bundle)
    clock.advance(1)

    told = full(guest, bundle)

    assert (before["status"], before["bundleCoordJobs"]) == ("RUNNING", [])
    assert [job["coordJobName"] for job in told["bundleCoordJobs"]] == ["first", "second"]
    for job in told["bundleCoordJobs"]:
        assert (job["bundleId"], job["status"], job["actions"]) == (bundle, "RUNNING", [])
        alone = guest.ask(f"oozie/v2/job/{job['coordJobId']}?len=10").json
        assert len(alone["actions"]) == 3


def test_a_bundle_begins_when_it_is_asked_about(guest, bundle, clock):
    clock.advance(3600)
    listed = guest.ask("oozie/v2/jobs?jobtype=bundle").json["bundlejobs"]
    assert [job["status"] for job in listed] == ["PREP"]

    assert guest.ask(f"oozie/v2/job/{bundle}?show=status").json == {"status": "RUNNING"}


def test_a_bundle_ends_after_its_coordinators(guest, bundle, clock):
    full(guest, bundle)
    clock.advance(60)

    told = full(guest, bundle)

    assert (told["status"], told["endTime"]) == ("DONEWITHERROR", None)
    assert {job["status"] for job in told["bundleCoordJobs"]} == {"DONEWITHERROR"}


def test_killing_a_bundle_kills_all_below_it(guest, cluster, clock):
    bundle = cluster.start_bundle()
    clock.advance(1)

    assert guest.ask(f"oozie/v2/job/{bundle}?action=kill", "PUT").status_code == 200

    told = full(guest, bundle)
    below = [job["coordJobId"] for job in told["bundleCoordJobs"]]
    actions = guest.ask(f"oozie/v2/job/{below[0]}?len=10").json["actions"]
    states = {job["status"] for job in (told, *told["bundleCoordJobs"], *actions)}
    assert states == {"KILLED"}


def test_a_bundle_that_is_killed_at_once_starts_nothing(guest, cluster, clock):
    bundle = cluster.start_bundle()

    cluster.kill(bundle)
    clock.advance(5)

    assert full(guest, bundle)["bundleCoordJobs"] == []


@pytest.mark.parametrize(("wanted", "count"), [("id={}", 1), ("id=x", 0), ("status=RUNNING", 1)])
def test_bundles_are_filtered(guest, bundle, wanted, count):
    full(guest, bundle)

    told = guest.ask(
        "oozie/v2/jobs", query_string={"jobtype": "bundle", "filter": wanted.format(bundle)}
    ).json

    assert told["total"] == len(told["bundlejobs"]) == count
