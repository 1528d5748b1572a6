from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.unit.calls import (
    GUEST,
    SAM,
    TRACK,
    assert_problem,
    end_the_task,
    get,
    post,
    posted_states,
    save_copies,
    tracked,
)
from tests.unit.fakes import APP_1, APP_2, NOW, action, details, job
from tracker_service.domain.copies import CopyStatus
from tracker_service.errors import AccessDenied, RequestRefused
from tracker_service.store import credentials, workers
from tracker_service.store.workers import Presence


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (f"{job(1)}\n{job(2)}\n", "text/plain"),
        (f"\r\n  {job(1)} \r\n\r\n{job(2)}", "text/plain; charset=utf-8"),
        (json.dumps([job(1), job(2)]), "application/json"),
        (json.dumps({"id": [job(1), job(2)]}), "application/json; charset=UTF-8"),
    ],
)
def test_ids_may_be_posted_in_each_form(client, oozie, body, kind):
    answer = post(client, body, kind)

    assert posted_states(answer) == {job(1): "RUNNING", job(2): "SUCCEEDED"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [(job(1), "text/plain"), (json.dumps({"id": job(1)}), "application/json")],
)
def test_a_single_id_is_answered_with_its_applications(client, oozie, body, kind):
    answer = post(client, body, kind)

    assert answer.json == [{"id": job(1), "status": "RUNNING", "applications-ids": [APP_1[12:]]}]


def test_what_was_posted_is_tracked(client, oozie, store):
    post(client, f"{job(1)}\n{job(2)}")

    assert tracked(store) == {job(1), job(2)}


def test_the_answers_stand_in_the_order_posted_once_each(client, oozie):
    answer = post(client, "\n".join([job(3), job(1), job(3), job(2), job(1)]))

    assert [each["id"] for each in answer.json] == [job(3), job(1), job(2)]


def test_posting_twice_tracks_once(client, oozie, store):
    post(client, job(1))
    post(client, job(1))

    with store.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM tasks")) == 1


def test_what_oozie_does_not_know_is_told_and_not_tracked(client, oozie, store):
    answer = post(client, f"{job(9)}\n{job(1)}")

    assert posted_states(answer) == {job(9): "NOT_FOUND", job(1): "RUNNING"}
    assert tracked(store) == {job(1)}


@pytest.mark.parametrize("body", [job(9), f"{job(8)}\n{job(9)}"])
def test_only_unknown_ids_are_not_found(client, oozie, store, body):
    told = assert_problem(post(client, body), 404)

    assert job(9) in told
    assert tracked(store) == set()


@pytest.mark.parametrize("body", [job(1), f"{job(1)}\n{job(2)}"])
def test_while_oozie_is_away_jobs_are_tracked_all_the_same(client, oozie, store, body):
    oozie.is_down = True

    answer = post(client, body)

    assert set(posted_states(answer).values()) == {"UNKNOWN"}
    assert tracked(store) == set(body.split())


def test_while_oozie_is_away_what_is_known_is_told(client, oozie):
    post(client, job(1))
    oozie.is_down = True

    assert posted_states(post(client, job(1))) == {job(1): "RUNNING"}


def test_a_job_that_was_run_again_and_lost_may_be_posted_while_oozie_is_away(client, oozie, store):
    for status, run in (("KILLED", 0), ("RUNNING", 1)):
        oozie.has(details(job(1), status, run=run))
        post(client, job(1))
    with store.begin() as connection:
        connection.execute(text("UPDATE jobs SET status = 'NOT_FOUND' WHERE run = 1"))
    oozie.is_down = True

    assert post(client, job(1)).status_code == 200


def test_a_lost_job_that_is_posted_while_oozie_is_away_is_tracked(client, oozie, store):
    post(client, job(1))
    with store.begin() as connection:
        connection.execute(text("UPDATE jobs SET status = 'NOT_FOUND'"))
        connection.execute(text("UPDATE tasks SET state = 'ended', jobset_id = NULL, ended_at = 0"))
    oozie.is_down = True

    post(client, job(1))

    assert tracked(store) == {job(1)}


def test_a_copy_workflow_of_the_tracker_itself_is_not_tracked(client, oozie, store):
    oozie.has(details(job(7), "RUNNING", name="tracker-copy-0123456789abcdef-1"))

    assert posted_states(post(client, job(7))) == {job(7): "RUNNING"}
    assert tracked(store) == set()


def test_the_credential_is_kept_sealed(client, oozie, store, key_ring):
    post(client, job(1))

    with store.read() as connection:
        kept = credentials.find(connection, ["guest"])["guest"]
    assert key_ring.decrypt(kept.sealed) == GUEST
    assert b"guest-password" not in kept.sealed


@pytest.mark.parametrize(
    "kind", ["text/html", "application/xml", "multipart/form-data; boundary=x", "x"]
)
def test_another_content_type_is_refused(client, oozie, kind):
    told = assert_problem(post(client, job(1), kind), 415)

    assert "text/plain" in told


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", "text/plain"),
        ("\n \n", "text/plain"),
        ("[]", "application/json"),
        ("{}", "application/json"),
        ("[1]", "application/json"),
        ('{"id": null}', "application/json"),
        ('{"id": {"a": 1}}', "application/json"),
        ('"x"', "application/json"),
        ("null", "application/json"),
        ("[", "application/json"),
        ("[" * 100_000, "application/json"),
        ('["\\ud800"]', "application/json"),
        ("9" * 5000, "application/json"),
        (b"\xff\xfe", "text/plain"),
        (b"\xff\xfe", "application/json"),
    ],
)
def test_a_body_without_ids_is_refused(client, oozie, body, kind):
    assert assert_problem(post(client, body, kind), 400)


def test_one_malformed_id_refuses_the_whole_request_and_all_are_named(client, oozie, store):
    told = assert_problem(post(client, f"{job(1)}\nfirst; drop\n{job(2)}\nsecond"), 400)

    assert "first; drop" in told
    assert "second" in told
    assert job(1) not in told
    assert tracked(store) == set()
    assert oozie.bulks == oozie.asked == []


def test_too_many_ids_are_refused(client, oozie):
    body = "\n".join(job(n) for n in range(10_001))

    assert "10001" in assert_problem(post(client, body), 413)


def test_a_body_that_is_too_long_is_refused(client, oozie):
    assert "1 MiB" in assert_problem(post(client, "x" * (1024 * 1024 + 1)), 413)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic Z3Vlc3Q="},
        {"Authorization": "Basic Z3Vlc3Q6"},
        {"Authorization": "Basic OnBhc3N3b3Jk"},
    ],
)
def test_without_credentials_nobody_gets_in(client, fake_cluster, headers):
    answer = client.get("/api/jobs/tracking", headers=headers)

    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="KNOX Credentials"'
    assert fake_cluster.verified == []


def test_with_a_wrong_password_nobody_gets_in(client, oozie, store):
    answer = post(client, job(1), auth=("guest", "wrong"))

    assert_problem(answer, 401)
    assert "WWW-Authenticate" in answer.headers
    assert tracked(store) == set()


def test_while_the_gateway_is_away_nobody_gets_in(client, fake_cluster):
    fake_cluster.is_away = True

    answer = get(client, "/api/jobs/tracking")

    assert_problem(answer, 503)
    assert answer.headers["Retry-After"] == "10"


def test_a_verdict_holds_for_a_minute(client, fake_cluster, now):
    for seconds in (0, 30, 29):
        now.advance(seconds=seconds)
        assert get(client, "/api/jobs/tracking").status_code == 200
    assert fake_cluster.verified == ["guest"]

    now.advance(seconds=1)
    get(client, "/api/jobs/tracking")
    assert fake_cluster.verified == ["guest", "guest"]


def test_a_password_that_was_changed_lets_nobody_in_after_a_minute(client, fake_cluster, now):
    get(client, "/api/jobs/tracking")
    fake_cluster.passwords["guest"] = "new"
    now.advance(seconds=60)

    assert_problem(get(client, "/api/jobs/tracking"), 401)


def test_a_user_is_called_as_the_gateway_says(client, oozie, store):
    post(client, job(1), auth=("GUEST", "guest-password"))

    assert tracked(store, "guest") == {job(1)}


def test_a_page_of_another_site_may_not_post(client, oozie, fake_cluster):
    answer = post(client, job(1), headers={"Sec-Fetch-Site": "cross-site"})

    assert_problem(answer, 403)
    assert fake_cluster.verified == []


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_page_of_this_site_may_post(client, oozie, site):
    assert post(client, job(1), headers={"Sec-Fetch-Site": site}).status_code == 200


def test_at_other_paths_there_is_nothing(client):
    assert "/docs" in assert_problem(get(client, "/api/nothing"), 404)


def test_another_method_is_refused_with_those_that_are_taken(client):
    answer = client.delete(f"/api/job/{job(1)}", auth=GUEST)

    assert_problem(answer, 405)
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", [TRACK, "/api/task/track"])
def test_a_slash_at_the_end_of_a_post_does_not_matter(client, oozie, path):
    answer = client.post(path, data=job(1), content_type="text/plain", auth=GUEST)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [f"/api/job/{job(1)}", f"/api/job/{job(1)}/status", "/api/jobs/tracking"],
)
def test_a_slash_at_the_end_of_a_get_does_not_matter(client, oozie, path):
    post(client, job(1))

    assert get(client, path).json == get(client, f"{path}/").json


@pytest.mark.parametrize("rest", ["", "/status", "/logs", "/logs/status", "/logs/1_0001"])
def test_a_malformed_id_in_a_path_is_refused(client, oozie, rest):
    assert "nonsense" in assert_problem(get(client, f"/api/job/nonsense{rest}"), 400)
    assert oozie.asked == []


@pytest.mark.parametrize("rest", ["", "/status", "/logs", "/logs/status"])
def test_a_job_that_oozie_does_not_know_is_not_found(client, oozie, rest):
    assert_problem(get(client, f"/api/job/{job(9)}{rest}"), 404)


@pytest.mark.parametrize("rest", ["", "/status"])
def test_a_job_that_is_not_tracked_needs_oozie(client, oozie, rest):
    oozie.is_down = True

    assert get(client, f"/api/job/{job(1)}{rest}").headers["Retry-After"] == "10"


@pytest.mark.parametrize(("trouble", "status"), [(AccessDenied(), 403), (RequestRefused(), 502)])
def test_what_the_cluster_refuses_is_told_by_its_meaning(client, oozie, trouble, status):
    oozie.troubles[job(1)] = trouble

    assert_problem(get(client, f"/api/job/{job(1)}"), status)


def test_something_unexpected_tells_no_secret(client, oozie):
    oozie.troubles[job(1)] = RuntimeError("secret")

    told = assert_problem(get(client, f"/api/job/{job(1)}"), 500)

    assert "secret" not in told


def test_trouble_with_the_database_tells_no_statement(client, store):
    with store.begin() as connection:
        connection.execute(text("DROP TABLE verdicts"))

    told = assert_problem(get(client, "/api/jobs/tracking"), 503)

    assert "SELECT" not in told


@pytest.mark.parametrize("number", [1, 2])
def test_the_state_of_a_job_has_three_fields(client, oozie, number):
    post(client, job(1))

    assert get(client, f"/api/job/{job(number)}/status").json == {
        "id": job(number),
        "status": {1: "RUNNING", 2: "SUCCEEDED"}[number],
        "status_code": 200,
    }


def test_the_state_is_from_the_store_unless_a_fresh_one_is_wanted(client, oozie):
    post(client, job(1))
    oozie.has(details(job(1), "KILLED"))

    known = get(client, f"/api/job/{job(1)}/status").json["status"]
    fresh = get(client, f"/api/job/{job(1)}/status?refresh=true").json["status"]

    assert (known, fresh) == ("RUNNING", "KILLED")


def test_all_about_a_job_has_these_fields(client, oozie):
    post(client, job(1))

    told = get(client, f"/api/job/{job(1)}").json

    instant = "2026-11-22T05:00:00.000+00:00"
    assert list(told) == [
        *("id", "status", "run", "name", "user", "parent-id", "created", "started", "ended"),
        *("last-checked", "tracked", "reason", "applications-ids", "application-ids"),
        *("log-jobs", "logs", "cause", "actions", "history", "children"),
    ]
    assert told["created"] == told["last-checked"] == instant
    assert told["application-ids"] == told["applications-ids"] == [APP_1[12:]]
    assert told["tracked"] is True
    assert told["log-jobs"] == {}
    [change] = told["history"]
    assert change == {
        "sequence": change["sequence"],
        "from": None,
        "to": "RUNNING",
        "at": instant,
    }
    assert told["actions"] == [
        {
            "name": "work",
            "type": "shell",
            "status": "OK",
            "external-id": APP_1,
            "external-child-ids": None,
            "external-status": None,
            "error-code": None,
            "error-message": None,
            "started": None,
            "ended": None,
        }
    ]


def test_a_job_that_is_not_tracked_is_told_with_the_same_fields(client, oozie):
    untracked = get(client, f"/api/job/{job(1)}").json
    post(client, job(1))
    known = get(client, f"/api/job/{job(1)}").json

    assert untracked.keys() == known.keys()
    assert untracked["tracked"] is False
    assert untracked["actions"] == known["actions"]


def test_the_times_of_an_action_are_the_same_whether_its_job_is_tracked_or_not(client, oozie):
    began = datetime(2026, 11, 22, 5, 0, 0, tzinfo=UTC)
    ended = datetime(2026, 11, 22, 5, 0, 7, 250_000, tzinfo=UTC)
    oozie.has(details(job(1), "RUNNING", action(job(1), "work", started_at=began, ended_at=ended)))
    [untracked] = get(client, f"/api/job/{job(1)}").json["actions"]
    post(client, job(1))
    [kept] = get(client, f"/api/job/{job(1)}").json["actions"]

    assert untracked == kept
    assert kept["started"] == "2026-11-22T05:00:00+00:00"
    assert kept["ended"] == "2026-11-22T05:00:07.250000+00:00"


def test_looking_at_a_job_does_not_track_it(client, oozie, store):
    get(client, f"/api/job/{job(1)}")

    assert tracked(store) == set()


def test_while_oozie_is_away_a_tracked_job_is_told_as_it_is_known(client, oozie):
    post(client, job(1))
    oozie.is_down = True

    assert get(client, f"/api/job/{job(1)}").json["status"] == "RUNNING"


def test_a_tracked_job_in_the_list_has_these_fields(client, oozie, store):
    post(client, job(1))
    save_copies(store, CopyStatus.RUNNING)

    [told] = get(client, "/api/jobs/tracking").json

    path = f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"
    assert told == {
        "id": job(1),
        "status": "RUNNING",
        "name": "a job",
        "application-ids": [APP_1[12:]],
        f"action-copy-job-{APP_1[12:]}": job(70),
        "applications": {
            APP_1[12:]: {
                "id": job(1),
                "application": APP_1[12:],
                "job": job(70),
                "status": "RUNNING",
                "path": path,
                "bytes": None,
                "reason": "because",
                "run": 0,
                "strategy": None,
                "strategy-reason": None,
                "completeness": None,
                "gaps": [],
                "sha256": None,
                "containers": None,
                "attempts": 0,
                "saved-at": None,
                "deleted-at": "2026-11-29T05:00:00.000+00:00",
            }
        },
        "logs": "at risk until 2026-11-29T05:00:00.000+00:00",
        "owner": "guest",
        "last-checked": "2026-11-22T05:00:00.000+00:00",
        "reason": None,
    }


@pytest.mark.parametrize(
    ("ends", "finished", "succeeded"),
    [
        ((CopyStatus.SUCCEEDED, CopyStatus.SUCCEEDED), True, True),
        ((CopyStatus.SUCCEEDED, CopyStatus.FAILED), True, False),
        ((CopyStatus.SUCCEEDED, CopyStatus.RUNNING), False, False),
    ],
)
def test_the_state_of_copying_sums_up_all_copies(client, oozie, store, ends, finished, succeeded):
    post(client, job(1))
    save_copies(store, *ends)
    end_the_task(store)

    told = get(client, f"/api/job/{job(1)}/logs/status").json

    assert (told["finished"], told["succeeded"]) == (finished, succeeded)
    assert told["jobs"][APP_1[12:]]["bytes"] == 4
    assert told["jobs"][APP_1[12:]]["reason"] is None


def copying_of(client: FlaskClient, number: int) -> tuple[bool, bool]:
    told = get(client, f"/api/job/{job(number)}/logs/status").json
    return told["finished"], told["succeeded"]


@pytest.mark.parametrize("ends", [(), (CopyStatus.SUCCEEDED, CopyStatus.SUCCEEDED)])
def test_copying_is_not_finished_before_the_applications_were_listed_again(
    client, oozie, store, ends
):
    post(client, job(1))
    save_copies(store, *ends)

    assert copying_of(client, 1) == (False, False)

    end_the_task(store)
    assert copying_of(client, 1) == (True, True)


def test_of_a_job_that_has_started_nothing_nothing_is_left_to_copy(client, oozie):
    oozie.has(details(job(4), "RUNNING"))
    post(client, job(4))

    assert copying_of(client, 4) == (True, True)


def test_of_a_job_that_just_failed_applications_are_looked_for_first(client, oozie):
    post(client, job(3))

    assert copying_of(client, 3) == (False, False)


def test_saved_logs_are_given_back_as_text(client, oozie, store, fake_cluster):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED, CopyStatus.FAILED)
    log = f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"
    fake_cluster.homes["guest"].files[log] = b"one\n"

    answer = get(client, f"/api/job/{job(1)}/logs")

    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text == f"one\nNo log of application {APP_2[12:]}: FAILED: because\n"
    assert get(client, f"/api/job/{job(1)}/logs/{APP_1[12:]}").text == "one\n"
    assert get(client, f"/api/job/{job(1)}/logs?id={APP_1}").text == "one\n"
    assert_problem(get(client, f"/api/job/{job(1)}/logs/{APP_2}"), 404)
    assert_problem(get(client, f"/api/job/{job(1)}/logs/1_0001"), 404)
    assert_problem(get(client, f"/api/job/{job(1)}/logs/x"), 400)


@pytest.mark.parametrize(
    ("number", "is_posted", "why"),
    [
        (1, False, "you do not track this job"),
        (1, True, "the job is RUNNING"),
        (2, True, "the job SUCCEEDED"),
        (3, True, "its applications are being looked for"),
    ],
)
def test_without_a_saved_log_the_reason_is_told(client, oozie, number, is_posted, why):
    if is_posted:
        post(client, job(number))

    assert why in assert_problem(get(client, f"/api/job/{job(number)}/logs"), 404)


def test_of_a_failed_job_without_applications_that_is_told(client, oozie, store):
    post(client, job(3))
    end_the_task(store)

    told = assert_problem(get(client, f"/api/job/{job(3)}/logs"), 404)

    assert "no application of it is known" in told


def test_nobody_sees_the_task_of_another_user(client, oozie, store, fake_cluster):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    fake_cluster.homes["guest"].files[f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"] = b"one\n"

    assert get(client, "/api/jobs/tracking", SAM).json == []
    assert get(client, f"/api/job/{job(1)}", SAM).json["tracked"] is False
    assert get(client, f"/api/job/{job(1)}", SAM).json["log-jobs"] == {}
    assert get(client, f"/api/job/{job(1)}/logs/status", SAM).json["jobs"] == {}
    assert_problem(get(client, f"/api/job/{job(1)}/logs", SAM), 404)


def test_anybody_may_ask_whether_the_process_is_alive(client, fake_cluster):
    assert client.get("/healthz").json == {"status": "alive"}
    assert fake_cluster.verified == []


def test_without_a_worker_the_service_is_not_ready(client):
    answer = client.get("/readyz")

    assert "worker" in assert_problem(answer, 503)
    assert "Retry-After" in answer.headers


def test_with_a_worker_the_service_is_ready(client, store):
    with store.begin() as connection:
        workers.note(
            connection, Presence(id="worker-1", started_at=NOW, release="1", kinds=("track",))
        )

    assert client.get("/readyz").json["status"] == "ready"


def test_no_answer_may_be_kept_or_guessed_at(client):
    answer = client.get("/healthz")

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
