"""Tracking with the wish that logs are saved however the job ends."""

from __future__ import annotations

import json

import pytest

from tests.unit.calls import GUEST, assert_problem, end_the_task, get, post, save_copies, tracked
from tests.unit.fakes import APP_1, APP_2, action, details, job
from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.tasks import TaskState
from tracker_service.store import copies, tracked_jobs

ALWAYS = "/api/task/track/?copy=always"


def post_always(client, *numbers: int):
    body = json.dumps([job(number) for number in numbers])
    return client.post(ALWAYS, data=body, content_type="application/json", auth=GUEST)


def task(store, number: int) -> tracked_jobs.TrackedJob:
    with store.read() as connection:
        return tracked_jobs.of_job(connection, "guest", job(number))[0]


def kept(store, number: int) -> dict[str, str]:
    with store.read() as connection:
        found = copies.of_tasks(connection, [task(store, number).id])
        return {copy.application: copy.status for each in found.values() for copy in each}


def test_the_answer_is_that_of_tracking(client, oozie, store):
    answer = post_always(client, 1)

    assert answer.json == [{"id": job(1), "status": "RUNNING", "applications-ids": [APP_1[12:]]}]
    assert task(store, 1).copies_always


def test_logs_of_a_job_that_has_succeeded_are_saved_too(client, oozie, store):
    oozie.has(details(job(2), "SUCCEEDED", action(job(2), "work", APP_1)))

    post_always(client, 2)

    assert kept(store, 2) == {APP_1: "WAITING"}
    assert get(client, f"/api/job/{job(2)}").json["logs"].startswith("at risk until ")


def test_a_job_whose_task_had_ended_without_copies_gets_them(client, oozie, store):
    oozie.has(details(job(2), "SUCCEEDED", action(job(2), "work", APP_1)))
    post(client, job(2))
    end_the_task(store)

    post_always(client, 2)

    assert task(store, 2).state == TaskState.WATCHING
    assert kept(store, 2) == {APP_1: "WAITING"}


def test_posting_twice_is_as_good_as_once(client, oozie, store):
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1, child_ids=APP_2)))
    post_always(client, 1)
    save_copies(store, CopyStatus.SUCCEEDED, CopyStatus.FAILED)
    end_the_task(store)

    post_always(client, 1)

    assert kept(store, 1) == {APP_1: "SUCCEEDED", APP_2: "FAILED"}
    assert task(store, 1).state == TaskState.ENDED


def test_tracking_without_the_wish_takes_it_not_back(client, oozie, store):
    post_always(client, 1)
    post(client, job(1))

    assert task(store, 1).copies_always


@pytest.mark.parametrize("query", ["copy=never", "copy=", "copy=Always", "copies=always", "x=1"])
def test_any_other_value_is_refused_and_nothing_is_tracked(client, oozie, store, query):
    answer = client.post(
        f"/api/task/track/?{query}", data=job(1), content_type="text/plain", auth=GUEST
    )

    assert query.partition("=")[0] in assert_problem(answer, 400)
    assert tracked(store) == set()
