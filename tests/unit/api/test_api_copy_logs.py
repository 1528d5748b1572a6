from __future__ import annotations

import json

import pytest

from tests.unit.calls import (
    GUEST,
    SAM,
    assert_problem,
    end_the_task,
    get,
    post,
    save_copies,
    tracked,
)
from tests.unit.fakes import APP_1, APP_2, action, details, job
from tracker_service.domain.copies import CopyStatus
from tracker_service.store import copies, credentials, tracked_jobs

COPY = "/api/task/copy-logs/"


def copy_logs(client, body: str, query: str = "", kind: str = "text/plain", auth=GUEST):
    return client.post(COPY + query, data=body, content_type=kind, auth=auth)


def kept_copies(store, number: int) -> dict[str, str]:
    with store.read() as connection:
        [task] = tracked_jobs.of_job(connection, "guest", job(number))
        return {c.application: c.status for c in copies.of_tasks(connection, [task.id])[task.id]}


@pytest.mark.parametrize(
    ("number", "status"), [(1, "RUNNING"), (2, "SUCCEEDED"), (3, "KILLED"), (4, "SUSPENDED")]
)
def test_logs_may_be_wanted_in_any_state_of_the_job(client, oozie, store, number, status):
    oozie.has(details(job(number), status, action(job(number), "work", APP_1)))

    answer = copy_logs(client, job(number))

    assert answer.status_code == 200
    assert answer.json == {
        "finished": False,
        "succeeded": False,
        "jobs": [
            {
                "id": job(number),
                "application": APP_1[12:],
                "job": None,
                "status": "WAITING",
                "path": f"/user/guest/WORK/logs/{job(number)}/{APP_1}.log",
                "bytes": None,
                "reason": answer.json["jobs"][0]["reason"],
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
        ],
        "not-found": [],
    }
    assert tracked(store) == {job(number)}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (f"{job(1)}\n{job(3)}", "text/plain"),
        (json.dumps([job(1), job(3)]), "application/json"),
        (json.dumps({"id": [job(1), job(3)]}), "application/json"),
    ],
)
def test_the_bodies_are_those_of_track(client, oozie, store, body, kind):
    assert copy_logs(client, body, kind=kind).status_code == 200
    assert tracked(store) == {job(1), job(3)}


def test_unknown_ids_are_told_beside_the_known_ones(client, oozie):
    answer = copy_logs(client, f"{job(1)}\n{job(8)}")

    assert answer.json["not-found"] == [job(8)]
    assert_problem(copy_logs(client, job(8)), 404)


@pytest.mark.parametrize("body", ["", "x", '{"id": 1}'])
def test_bad_bodies_are_refused(client, oozie, store, body):
    assert_problem(copy_logs(client, body), 400)
    assert tracked(store) == set()


def test_copies_without_success_are_started_again(client, oozie, store):
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1, child_ids=APP_2)))
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED, CopyStatus.FAILED)
    end_the_task(store)

    answer = copy_logs(client, job(1))

    assert kept_copies(store, 1) == {APP_1: "SUCCEEDED", APP_2: "WAITING"}
    assert not answer.json["finished"]


def test_saved_logs_are_copied_again_with_refresh_and_stay_readable(
    client, oozie, store, fake_cluster
):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    fake_cluster.homes["guest"].files[f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"] = b"one\n"

    copy_logs(client, job(1), "?refresh=true")

    assert kept_copies(store, 1) == {APP_1: "WAITING"}
    assert get(client, f"/api/job/{job(1)}/logs").text == "one\n"


def test_a_wish_that_is_fulfilled_is_told_as_finished(client, oozie, store):
    copy_logs(client, job(1))
    oozie.has(details(job(1), "SUCCEEDED", action(job(1), "work", APP_1)))
    save_copies(store, CopyStatus.SUCCEEDED)
    end_the_task(store)

    told = copy_logs(client, job(1)).json

    assert (told["finished"], told["succeeded"]) == (True, True)


def test_refresh_is_true_or_false(client, oozie, store):
    assert "refresh" in assert_problem(copy_logs(client, job(1), "?refresh=yes"), 400)
    assert tracked(store) == set()


def test_wanted_logs_of_a_job_without_applications_are_waited_for(client, oozie):
    oozie.has(details(job(4), "RUNNING"))
    copy_logs(client, job(4))

    assert get(client, f"/api/job/{job(4)}/logs/status").json["finished"] is False


def test_while_oozie_is_away_the_wish_is_kept(client, oozie, store):
    oozie.is_down = True

    answer = copy_logs(client, job(1))

    assert (answer.status_code, answer.json["finished"]) == (200, False)
    with store.read() as connection:
        assert tracked_jobs.of_job(connection, "guest", job(1))[0].copies_always


def test_a_copy_workflow_of_the_tracker_itself_is_not_copied(client, oozie, store):
    oozie.has(details(job(9), "RUNNING", name="tracker-copy-0123456789abcdef-1"))

    answer = copy_logs(client, job(9))

    assert answer.json["jobs"] == []
    assert tracked(store) == set()


def test_who_stops_tracking_no_longer_sees_the_job_in_the_list(client, oozie, store):
    post(client, job(1))

    answer = client.delete(f"/api/task/track/{job(1)}", auth=GUEST)

    assert (answer.status_code, answer.data) == (204, b"")
    assert get(client, "/api/jobs/tracking").json == []
    assert get(client, f"/api/job/{job(1)}").json["tracked"] is False


def test_what_is_saved_stays_after_the_tracking_was_stopped(client, oozie, store, fake_cluster):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    fake_cluster.homes["guest"].files[f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"] = b"one\n"

    client.delete(f"/api/task/track/{job(1)}", auth=GUEST)

    assert get(client, f"/api/job/{job(1)}/logs").text == "one\n"
    assert get(client, f"/api/job/{job(1)}/logs/status").json["succeeded"]
    assert list(get(client, f"/api/job/{job(1)}").json["log-jobs"]) == [APP_1[12:]]


def test_without_any_task_left_the_credential_is_erased(client, oozie, store):
    post(client, f"{job(1)}\n{job(2)}")

    def is_kept() -> bool:
        with store.read() as connection:
            return bool(credentials.find(connection, ["guest"]))

    client.delete(f"/api/task/track/{job(1)}", auth=GUEST)
    assert is_kept()
    client.delete(f"/api/task/track/{job(2)}", auth=GUEST)
    assert not is_kept()


def test_only_what_is_tracked_can_be_stopped(client, oozie):
    post(client, job(1), auth=SAM)

    told = assert_problem(client.delete(f"/api/task/track/{job(1)}", auth=GUEST), 404)

    assert job(1) in told
    assert [each["id"] for each in get(client, "/api/jobs/tracking", SAM).json] == [job(1)]
    assert_problem(client.delete("/api/task/track/x", auth=GUEST), 400)


def test_the_state_of_a_stopped_job_is_asked_for_anew(client, oozie):
    post(client, job(1))
    client.delete(f"/api/task/track/{job(1)}", auth=GUEST)
    oozie.has(details(job(1), "KILLED"))

    assert get(client, f"/api/job/{job(1)}/status").json["status"] == "KILLED"
    assert get(client, f"/api/job/{job(1)}").json["status"] == "KILLED"


def test_a_stopped_job_may_be_tracked_again(client, oozie, store):
    post(client, job(1))
    client.delete(f"/api/task/track/{job(1)}", auth=GUEST)

    post(client, job(1))

    assert tracked(store) == {job(1)}
