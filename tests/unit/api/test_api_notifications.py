"""Tokens for Oozie's notifications, and what a notification leads to."""

from __future__ import annotations

import dataclasses
import logging as standard
from typing import Any

import pytest
from gunicorn.config import Config
from sqlalchemy import text

from tests.unit.calls import GUEST, SAM, assert_problem, end_the_task, get, post
from tests.unit.fakes import NOW, details, job
from tests.unit.logged import logged
from tracker_service.api import notifications
from tracker_service.app import create_app
from tracker_service.identities.keys import KeyRing
from tracker_service.rooms import ALL_ROOMS
from tracker_service.serve import _Logger
from tracker_service.tracking.notifications import TOKENS_PER_USER, Notifications

TOKENS = "/api/notify-tokens"


@pytest.fixture(autouse=True)
def known(oozie):
    """The jobs of the fake Oozie."""


def make(client, auth=GUEST) -> dict[str, Any]:
    answer = client.post(TOKENS, auth=auth)
    assert answer.status_code == 201, answer.text
    return answer.json


def notify(client, token: str, job_id: str, status: str = "SUCCEEDED", **more):
    query = {"id": job_id, "status": status}
    return client.get(f"/api/notify/{token}", query_string=query, buffered=True, **more)


def hinted(store) -> list[str]:
    """Return the jobs that somebody hinted at, each with the user who tracks it."""
    with store.read() as connection:
        rows = connection.execute(
            text(
                "SELECT tasks.owner, jobs.external_id FROM hints JOIN tasks ON tasks.id = task_id"
                " JOIN jobs ON jobs.id = tasks.job_id ORDER BY 1, 2"
            )
        )
        return [f"{owner} {job_id}" for owner, job_id in rows]


def test_a_notification_hints_at_a_job_that_the_owner_of_the_token_tracks(client, store):
    token = make(client)["token"]
    post(client, job(1))

    answer = notify(client, token, job(1))

    assert answer.status_code == 200
    assert answer.json == {"id": job(1), "hinted": True, "message": "It is looked at soon."}
    assert hinted(store) == [f"guest {job(1)}"]


def test_what_a_notification_says_of_the_state_is_not_believed(client):
    token = make(client)["token"]
    post(client, job(1))

    notify(client, token, job(1), "KILLED")

    assert get(client, f"/api/job/{job(1)}/status").json["status"] == "RUNNING"


def test_a_repeated_notification_is_answered_alike_and_leaves_one_hint(client, store):
    token = make(client)["token"]
    post(client, job(1))

    answers = [notify(client, token, job(1)) for _ in range(3)]

    assert [answer.json["hinted"] for answer in answers] == [True] * 3
    assert hinted(store) == [f"guest {job(1)}"]


def test_a_job_that_the_owner_of_the_token_does_not_track_is_left_alone_and_that_is_told(
    client, store
):
    token = make(client, SAM)["token"]
    post(client, job(1))  # guest does

    answer = notify(client, token, job(1))

    assert answer.status_code == 200
    assert answer.json["hinted"] is False
    assert "not tracked" in answer.json["message"]
    assert hinted(store) == []


def test_a_job_that_its_user_has_stopped_to_track_is_left_alone(client, store):
    token = make(client)["token"]
    post(client, job(1))
    client.delete(f"/api/task/track/{job(1)}", auth=GUEST)

    assert notify(client, token, job(1)).json["hinted"] is False
    assert hinted(store) == []


def test_a_job_that_has_ended_may_have_been_run_again(client, store):
    token = make(client)["token"]
    post(client, job(1))
    end_the_task(store)

    assert notify(client, token, job(1)).json["hinted"] is True
    assert hinted(store) == [f"guest {job(1)}"]


def test_an_action_of_a_coordinator_hints_at_the_coordinator(client, store, oozie):
    coordinator = job(7, "C")
    oozie.has(details(coordinator))
    token = make(client)["token"]
    post(client, coordinator)

    answer = notify(client, token, f"{coordinator}@12")

    assert answer.json["id"] == coordinator
    assert hinted(store) == [f"guest {coordinator}"]


@pytest.mark.parametrize(
    "wrong", ["", "x", "$jobId", f"{job(1)}@12", f"{job(7, 'C')}@", f"{job(7, 'C')}@a", "0" * 300]
)
def test_an_id_that_is_none_is_refused(client, store, wrong):
    token = make(client)["token"]

    assert "not shaped like" in assert_problem(notify(client, token, wrong), 400)


def test_a_notification_without_an_id_is_refused(client):
    assert_problem(client.get(f"/api/notify/{make(client)['token']}"), 400)


def test_a_parameter_that_a_user_has_added_does_no_harm(client):
    post(client, job(1))
    path = f"/api/notify/{make(client)['token']}?id={job(1)}&status=RUNNING&parent="

    assert client.get(path).json["hinted"] is True


def test_an_unknown_token_is_refused(client, store):
    post(client, job(1))

    assert "no such notification token" in assert_problem(notify(client, "x" * 32, job(1)), 404)
    assert hinted(store) == []


def test_credentials_take_the_place_of_no_token(client):
    assert_problem(notify(client, "x" * 32, job(1), auth=GUEST), 404)


def test_who_notifies_too_often_is_refused_and_others_are_not(service, monkeypatch):
    monkeypatch.setattr(notifications, "PER_MINUTE", 5)
    client = create_app(service, ALL_ROOMS).test_client()
    guests, sams = make(client)["token"], make(client, SAM)["token"]
    for _ in range(5):
        assert notify(client, guests, job(1)).status_code == 200

    refused = notify(client, make(client)["token"], job(1))

    assert "notifications in a minute" in assert_problem(refused, 429)
    assert refused.headers["Retry-After"] == "12"
    assert notify(client, sams, job(1)).status_code == 200
    assert get(client, "/api/jobs/tracking").status_code == 200  # guest's own calls are others


def test_a_new_token_is_told_with_what_is_to_be_set_in_a_job(client):
    new = make(client)

    url = f"http://localhost/api/notify/{new['token']}?id=$jobId&status=$status"
    assert new["url"] == url
    assert new["properties"] == {
        "oozie.wf.workflow.notification.url": url,
        "oozie.coord.action.notification.url": url.replace("$jobId", "$actionId"),
    }
    assert len(new["token"]) >= 32


def test_the_url_is_as_oozie_sees_the_service_through_a_proxy(client):
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "tracker.example.com",
        "X-Forwarded-Prefix": "/tracker",
    }
    new = client.post(
        TOKENS, auth=GUEST, headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"}
    ).json

    assert new["url"].startswith(f"https://tracker.example.com/tracker/api/notify/{new['token']}?")


def test_tokens_are_listed_without_what_is_secret_of_them(client, now):
    new = make(client)
    make(client, SAM)
    now.advance(minutes=5)
    notify(client, new["token"], job(1))

    listed = get(client, TOKENS)

    assert listed.json == [
        {
            "id": new["id"],
            "created": "2026-11-22T05:00:00.000+00:00",
            "used": "2026-11-22T05:05:00.000+00:00",
        }
    ]
    assert new["token"] not in listed.text


def test_a_token_is_nowhere_in_the_database(client, store, tmp_path):
    token = make(client)["token"]
    notify(client, token, job(1))
    store.close()

    kept = b"".join(file.read_bytes() for file in tmp_path.glob("tracker.db*"))
    assert b"notify_tokens" in kept
    assert token.encode() not in kept


def test_a_revoked_token_is_refused(client):
    kept, revoked = make(client), make(client)

    assert client.delete(f"{TOKENS}/{revoked['id']}", auth=GUEST).status_code == 204

    assert_problem(notify(client, revoked["token"], job(1)), 404)
    assert notify(client, kept["token"], job(1)).status_code == 200
    assert [token["id"] for token in get(client, TOKENS).json] == [kept["id"]]


def test_nobody_revokes_the_token_of_another(client):
    new = make(client)

    answer = client.delete(f"{TOKENS}/{new['id']}", auth=SAM)

    assert "sam has no notification token" in assert_problem(answer, 404)
    assert notify(client, new["token"], job(1)).status_code == 200


def test_a_user_has_so_many_tokens_and_no_more(client):
    ids = [make(client)["id"] for _ in range(TOKENS_PER_USER)]

    assert "revoke one first" in assert_problem(client.post(TOKENS, auth=GUEST), 403)
    make(client, SAM)
    client.delete(f"{TOKENS}/{ids[0]}", auth=GUEST)
    make(client)


def test_a_page_of_another_site_makes_no_token(client):
    headers = {"Sec-Fetch-Site": "cross-site"}

    assert_problem(client.post(TOKENS, auth=GUEST, headers=headers), 403)


def test_tokens_outlive_the_change_of_the_first_key(client, service, tmp_path, now):
    token = make(client)["token"]
    file = tmp_path / "credentials.key"
    another = tmp_path / "another.key"
    KeyRing(another)
    file.write_bytes(another.read_bytes() + file.read_bytes())

    later = dataclasses.replace(
        service, notifications=Notifications(service.store, KeyRing(file), now)
    )

    assert notify(create_app(later, ALL_ROOMS).test_client(), token, job(1)).status_code == 200


def test_the_use_of_a_token_is_written_down_once_a_minute(client, store, now):
    token = make(client)["token"]

    def used() -> object:
        with store.read() as connection:
            return connection.scalar(text("SELECT used_at FROM notify_tokens"))

    notify(client, token, job(1))
    first = used()
    now.advance(seconds=59)
    notify(client, token, job(1))
    assert used() == first == NOW.timestamp() * 1000
    now.advance(seconds=1)
    notify(client, token, job(1))
    assert used() == first + 60_000


@pytest.mark.parametrize("path", ["{}", "{}/", "{}/more", "/{}", "{}%20"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_line_about_a_request_has_the_token(client, monkeypatch, path, method):
    token = make(client)["token"]
    with logged() as log:
        path = f"/api/notify/{path.format(token)}?id={job(1)}"
        client.open(path, method=method, buffered=True)

        def breaks(*_):
            raise ValueError(f"GET /api/notify/{token}?id=1 came to nothing")

        monkeypatch.setattr(Notifications, "hint", breaks)
        assert notify(client, token, job(1)).status_code == 500

    assert len(log.of("request")) == 2
    assert log.of("request_broke")
    assert token not in log.text


def test_the_line_about_a_notification_tells_its_job(client):
    token = make(client)["token"]
    with logged() as log:
        notify(client, token, job(1))

    [line] = log.of("request")
    assert (line["path"], line["job"]) == ("/api/notify/<token>", job(1))


def test_an_access_log_of_gunicorn_has_no_token(tmp_path):
    file = tmp_path / "access.log"
    config = Config()
    config.set("accesslog", str(file))
    config.set("access_log_format", '"%(r)s" %(U)s %({raw_uri}e)s %(s)s')
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/api/notify/s3cr3t?id=1",
        "PATH_INFO": "/api/notify/s3cr3t",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    logger = _Logger(config)
    answer = type("Answer", (), {"status": "200 OK", "headers": [], "sent": 0})()
    asked = type("Request", (), {"headers": []})()

    logger.access(answer, asked, environ, NOW - NOW)
    for handler in logger.access_log.handlers:
        handler.close()
    standard.getLogger("gunicorn.access").handlers.clear()

    assert file.read_text().strip() == (
        '"GET /api/notify/***?id=1 HTTP/1.1" /api/notify/*** /api/notify/***?id=1 200'
    )
