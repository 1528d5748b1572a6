from __future__ import annotations

import dataclasses
import io
from unittest import mock

import pytest

from tests.unit.calls import GUEST, SAM, TRACK, assert_problem, get, post
from tests.unit.fakes import job
from tracker_service.api.rate_limit import RateLimit
from tracker_service.app import create_app
from tracker_service.rooms import ALL_ROOMS
from tracker_service.store import rate_limits

MIB = 1024 * 1024


@pytest.fixture
def slow(service, store, now):
    """The API where a user may make five requests a minute."""
    return create_app(
        dataclasses.replace(service, rate_limit=RateLimit(store, 5, now)), ALL_ROOMS
    ).test_client()


def test_a_body_that_is_too_long_is_refused_before_anybody_asks_who_sends_it(client, fake_cluster):
    too_long = {"CONTENT_LENGTH": str(MIB + 1)}  # the body itself is never looked at
    answer = client.post(TRACK, content_type="text/plain", auth=GUEST, environ_overrides=too_long)

    assert "1 MiB" in assert_problem(answer, 413)
    assert fake_cluster.verified == []


def test_a_body_of_the_full_length_is_read(client, oozie):
    ids = f"{job(1)}\n"

    answer = post(client, ids + "\n" * (MIB - len(ids)))

    assert answer.status_code == 200


def test_who_asks_too_often_is_told_when_to_ask_again(slow, oozie):
    for _ in range(5):
        assert get(slow, "/api/jobs/tracking").status_code == 200

    answer = get(slow, "/api/jobs/tracking")

    told = assert_problem(answer, 429)
    assert "5 requests" in told
    assert answer.headers["Retry-After"] == "12"


def test_after_that_time_the_user_is_served_again(slow, oozie, now):
    for _ in range(6):
        get(slow, "/api/jobs/tracking")
    now.advance(seconds=12)

    assert get(slow, "/api/jobs/tracking").status_code == 200
    assert_problem(get(slow, "/api/jobs/tracking"), 429)


def test_other_users_are_not_held_up(slow, oozie):
    for _ in range(6):
        get(slow, "/api/jobs/tracking")

    assert get(slow, "/api/jobs/tracking", SAM).status_code == 200


def test_what_is_refused_for_its_number_is_not_carried_out(slow, oozie, store):
    for _ in range(5):
        get(slow, "/api/jobs/tracking")

    assert_problem(post(slow, job(1)), 429)

    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM tasks").scalar() == 0


def test_the_requests_of_all_processes_are_counted_together(store, now, service):
    one, other = RateLimit(store, 120, now), RateLimit(store, 120, now)
    processes = [
        create_app(dataclasses.replace(service, rate_limit=each), ALL_ROOMS).test_client()
        for each in (one, other)
    ]

    answers = [get(processes[n % 2], "/api/jobs/tracking").status_code for n in range(130)]

    assert answers[:120] == [200] * 120
    assert answers[120:] == [429] * 10


def test_a_process_seldom_asks_the_database_for_more(store, now, monkeypatch):
    take = mock.Mock(side_effect=rate_limits.take)
    monkeypatch.setattr(rate_limits, "take", take)
    allowance = RateLimit(store, 600, now)

    for _ in range(50):
        allowance.spend("guest")

    assert take.call_count == 5


def test_users_who_are_quiet_are_forgotten(store, now):
    RateLimit(store, 60, now).spend("guest")

    def kept() -> int:
        with store.begin() as connection:
            rate_limits.forget(connection, now())
            return connection.exec_driver_sql("SELECT count(*) FROM allowances").scalar()

    assert kept() == 1
    now.advance(minutes=1)
    assert kept() == 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", TRACK, {"POST", "OPTIONS"}),
        ("POST", f"{TRACK}{job(1)}", {"DELETE", "OPTIONS"}),
        ("POST", "/api/jobs/tracking", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", f"/api/job/{job(1)}/logs", {"DELETE", "GET", "HEAD", "OPTIONS"}),
        ("POST", "/metrics", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_told_which_ones_are_right(client, method, path, allowed):
    answer = client.open(path, method=method, auth=GUEST)

    assert_problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/", "/api", "/api/task/x", "/api/job/", "/docs/../x", "/x/y"])
def test_an_unknown_path_is_a_problem_too(client, path):
    assert "/docs" in assert_problem(get(client, path), 404)


@pytest.mark.parametrize(("size", "status"), [(MIB - 100, 200), (MIB, 413), (MIB + 1, 413)])
def test_a_body_in_chunks_is_taken_whole_or_refused(client, oozie, size, status):
    answer = client.post(
        TRACK,
        auth=GUEST,
        content_type="text/plain",
        headers={"Transfer-Encoding": "chunked"},
        input_stream=io.BytesIO(job(1).encode().ljust(size)),
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == status, answer.text
