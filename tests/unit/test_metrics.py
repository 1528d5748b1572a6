from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.calls import SAM, get, post, save_copies
from tests.unit.fakes import NOW, job
from tests.unit.loopback_server import Reply
from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.leases import Lease
from tracker_service.errors import GatewayUnavailable, LeaseLost
from tracker_service.metrics import Metrics
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import Gateway
from tracker_service.store import jobsets, workers
from tracker_service.store.database import Store
from tracker_service.store.workers import Presence


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return each sample under its name and its labels, which are in the order of their names."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(client) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return samples(answer.text)


def test_jobs_and_tasks_are_counted_by_their_state(client, oozie):
    post(client, "\n".join(map(job, (1, 2, 3))))
    post(client, job(1), auth=SAM)

    told = scrape(client)

    assert told["tracker_jobs", "RUNNING"] == told["tracker_jobs", "KILLED"] == 1
    assert told["tracker_jobs", "PREP"] == 0
    assert told["tracker_tasks", "watching"] == 4


def test_copies_are_counted_by_their_status_and_their_bytes(client, oozie, store):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED, CopyStatus.FAILED)

    told = scrape(client)

    assert told["tracker_copies", "SUCCEEDED"] == told["tracker_copies", "FAILED"] == 1
    assert told["tracker_saved_log_bytes",] == 4


def test_logs_are_saved_at_risk_or_lost_and_the_first_deletion_is_told(client, oozie, store):
    post(client, job(1))
    assert ("tracker_first_deletion_timestamp_seconds",) not in scrape(client)

    save_copies(store, CopyStatus.SUCCEEDED, CopyStatus.FAILED, CopyStatus.WAITING)

    told = scrape(client)
    states = [told["tracker_logs", state] for state in ("saved", "at_risk", "lost")]
    assert states == [1, 1, 1]
    week = 7 * 24 * 3600
    assert told["tracker_first_deletion_timestamp_seconds",] == NOW.timestamp() + week


def test_the_lag_is_the_age_of_the_oldest_look(client, oozie, store, now):
    assert scrape(client)["tracker_lag_seconds",] == 0
    post(client, job(1))
    now.advance(seconds=90)
    assert scrape(client)["tracker_lag_seconds",] == 90

    with store.begin() as connection:
        jobsets.claim(connection, "worker", ["track"], 30, 10)
        [held] = jobsets.held(connection, "worker")
        jobsets.note_polled(connection, {held.lease: now()})
    now.advance(seconds=3)

    assert scrape(client)["tracker_lag_seconds",] == 3


def test_what_waits_for_a_worker_is_a_queue(client, oozie, store):
    post(client, job(1))
    assert scrape(client)["tracker_queue_length", "jobsets"] == 1

    with store.begin() as connection:
        workers.note(
            connection, Presence(id="worker", started_at=NOW, release="1", kinds=("track",))
        )
        jobsets.claim(connection, "worker", ["track"], 30, 10)

    told = scrape(client)
    assert told["tracker_queue_length", "jobsets"] == 0
    assert told["tracker_workers",] == 1


def test_requests_to_the_api_are_counted_by_rule_and_never_by_id(client, oozie):
    for number in (1, 2, 3):
        get(client, f"/api/job/{job(number)}/status")
    client.get(f"/nothing/{job(1)}")
    get(client, "/api/job/x/status")

    answer = client.get("/metrics").text

    count = "tracker_http_request_duration_seconds_count"
    told = samples(answer)
    assert told[count, "GET", "/api/job/<job_id>/status", "200"] == 3
    assert told[count, "GET", "/api/job/<job_id>/status", "400"] == 1
    assert told[count, "GET", "none", "404"] == 1
    assert job(1) not in answer


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (403, "denied"), (404, "not_found"), (400, "refused")],
)
def test_requests_to_the_gateway_are_counted_by_service_and_outcome(
    loopback, open_session, status, outcome
):
    metrics = Metrics()
    loopback.replies = [Reply(status, b"{}")]
    gateway = Gateway(url=f"{loopback.origin}/gateway/sandbox", on_request=metrics.gateway_request)

    open_session(gateway, BasicCredential("guest", "pw")).ask("GET", "oozie/v2/jobs")

    told = samples(metrics.exposition([]).decode())
    assert told["tracker_gateway_request_duration_seconds_count", outcome, "oozie"] == 1


def test_a_gateway_that_is_away_is_counted_too(open_session):
    metrics = Metrics()
    nowhere = Gateway(url="http://127.0.0.1:1/gateway/x", on_request=metrics.gateway_request)

    with pytest.raises(GatewayUnavailable):
        open_session(nowhere, BasicCredential("guest", "pw")).ask("GET", "secret/path")

    told = samples(metrics.exposition([]).decode())
    assert told["tracker_gateway_request_duration_seconds_count", "no_answer", "other"] == 1


@pytest.mark.parametrize(("is_taken", "losses"), [(True, 1), (False, 0)])
def test_a_lease_is_lost_if_another_worker_has_taken_it_not_if_it_was_given_back(
    store, is_taken, losses
):
    metrics = Metrics()
    watched = Store(store.url, metrics.lease_lost)
    with store.begin() as connection:
        [jobset] = jobsets.place(connection, "track", "guest", 1)
        jobsets.claim(connection, "worker", ["track"], 3600, 1)
        jobsets.release(connection, "worker")
        if is_taken:
            jobsets.claim(connection, "another", ["track"], 3600, 1)

    with pytest.raises(LeaseLost), watched.begin() as connection:
        jobsets.guard(connection, Lease(jobset_id=jobset, epoch=1))
    watched.close()

    counted = samples(metrics.exposition([]).decode())
    assert counted["tracker_lease_losses_total",] == losses


def test_the_counts_of_all_processes_are_added_up(tmp_path):
    program = (
        "from tracker_service.metrics import Metrics\n"
        "metrics = Metrics()\n"
        "metrics.http_request('GET', '/x', 200, 0.1)\n"
        "metrics.lease_lost()\n"
        "print(metrics.exposition([]).decode())\n"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=180,
        )

    told = samples(done.stdout)
    assert told["tracker_http_request_duration_seconds_count", "GET", "/x", "200"] == 3
    assert told["tracker_lease_losses_total",] == 3


def test_names_and_units_follow_the_rules_of_prometheus(client, oozie):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    post(client, job(1))
    metrics = client.get("/metrics").data

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=metrics, capture_output=True, check=False, timeout=180
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
