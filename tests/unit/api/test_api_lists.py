from __future__ import annotations

import pytest

from tests.unit.calls import ADMIN, GUEST, SAM, assert_problem, get, post
from tests.unit.fakes import APP_1, NOW, details, job
from tracker_service.domain.applications import Application, short
from tracker_service.domain.copies import CopyStatus
from tracker_service.errors import BadInput
from tracker_service.store import copies, jobs, tracked_jobs

TRACKING = "/api/jobs/tracking"


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3]),
        ("?status=RUNNING", [1]),
        ("?status=RUNNING&status=KILLED", [1, 3]),
        ("?status=PREP", []),
    ],
)
def test_tracked_jobs_are_chosen_by_their_state(client, oozie, query, numbers):
    post(client, "\n".join(map(job, (1, 2, 3))))

    assert ids(get(client, TRACKING + query)) == [job(number) for number in numbers]


@pytest.mark.parametrize(
    "query",
    [
        "?status=BROKEN",
        "?limit=0",
        "?limit=x",
        "?limit=10001",
        "?cursor=-1",
        "?limit=1&limit=2",
        "?stauts=KILLED",
    ],
)
def test_wrong_parameters_are_refused_by_name(client, oozie, query):
    told = assert_problem(get(client, TRACKING + query), 400)

    assert query[1:].partition("=")[0] in told


def test_pages_lead_from_one_to_the_next_until_all_is_told(client, oozie):
    post(client, "\n".join(map(job, (1, 2, 3))))

    path: str | None = f"{TRACKING}?limit=2&status=RUNNING&status=KILLED&status=SUCCEEDED"
    seen, pages = [], 0
    while path:
        answer = get(client, path)
        seen += ids(answer)
        path, pages = _next(answer), pages + 1

    assert (seen, pages) == ([job(1), job(2), job(3)], 2)


def _next(answer) -> str | None:
    link = answer.headers.get("Link")
    if link is None:
        return None
    url, _, rel = link.partition("; ")
    assert rel == 'rel="next"'
    assert url.startswith("<http://localhost/api/jobs/tracking?")
    return url.strip("<>")


def test_a_list_without_news_is_not_sent_again(client, oozie, store):
    post(client, job(1))
    first = get(client, TRACKING)

    again = get(client, TRACKING, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["ETag"].startswith('W/"')
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in again.headers["Vary"]


def test_a_list_with_news_is_sent_again(client, oozie, store):
    post(client, job(1))
    first = get(client, TRACKING)
    post(client, job(2))

    again = get(client, TRACKING, headers={"If-None-Match": first.headers["ETag"]})

    assert ids(again) == [job(1), job(2)]


def test_that_a_job_was_looked_at_once_more_is_no_news(client, oozie, store, now):
    post(client, job(1))
    first = get(client, TRACKING)
    now.advance(seconds=5)
    with store.begin() as connection:
        connection.exec_driver_sql("UPDATE jobsets SET polled_at = 1795323605000")

    again = get(client, TRACKING, headers={"If-None-Match": first.headers["ETag"]})

    assert get(client, TRACKING).json != first.json
    assert again.status_code == 304


def test_that_a_log_is_saved_is_news(client, oozie, store):
    post(client, job(3))
    with store.begin() as connection:
        [task] = tracked_jobs.of_job(connection, "guest", job(3))
        copies.decide(connection, task, [APP_1], NOW)
    first = get(client, TRACKING)
    with store.begin() as connection:
        [copy] = copies.of_tasks(connection, [task.id])[task.id]
        copies.change(connection, copy, status=CopyStatus.SUCCEEDED, saved_at=NOW)

    again = get(client, TRACKING, headers={"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 200


def test_that_an_application_was_found_is_news(client, oozie, store):
    post(client, job(3))
    first = get(client, TRACKING)
    with store.begin() as connection:
        [task] = tracked_jobs.of_job(connection, "guest", job(3))
        found = Application(id=APP_1, action="work", workflow_id=job(3), role="launcher")
        jobs.record_applications(connection, task.job.key, NOW, [found])

    again = get(client, TRACKING, headers={"If-None-Match": first.headers["ETag"]})

    [told] = again.json
    assert told["application-ids"] == [short(APP_1)]


def test_a_long_list_has_each_job_once(client, oozie):
    oozie.has(*(details(job(number)) for number in range(1203)))
    post(client, "\n".join(job(number) for number in range(1203)))

    assert ids(get(client, TRACKING)) == [job(number) for number in range(1203)]


def test_admins_see_the_jobs_of_others(client, oozie):
    post(client, job(1))
    post(client, job(2), auth=SAM)
    post(client, job(3), auth=ADMIN)

    assert ids(get(client, TRACKING, ADMIN)) == [job(3)]
    assert ids(get(client, f"{TRACKING}?user=sam", ADMIN)) == [job(2)]
    everybodys = get(client, f"{TRACKING}?user=*", ADMIN)
    assert [(each["owner"], each["id"]) for each in everybodys.json] == [
        ("guest", job(1)),
        ("sam", job(2)),
        ("admin", job(3)),
    ]


@pytest.mark.parametrize("user", ["sam", "*", "admin"])
def test_nobody_else_does(client, oozie, user):
    post(client, job(2), auth=SAM)

    assert "admin" in assert_problem(get(client, f"{TRACKING}?user={user}"), 403)
    assert get(client, f"{TRACKING}?user=guest").json == []


@pytest.mark.parametrize("path", ["/api/jobs/", "/api/jobs"])
def test_oozies_own_list_is_given_as_it_is(client, oozie, path):
    answer = get(client, f"{path}?offset=2&len=3&filter=status%3DKILLED%3Buser%3Dguest&jobtype=wf")

    assert oozie.listings == [
        {"offset": "2", "len": "3", "filter": "status=KILLED;user=guest", "jobtype": "wf"}
    ]
    assert answer.json == {
        "total": 3,
        "workflows": [
            {"id": job(1), "status": "RUNNING"},
            {"id": job(2), "status": "SUCCEEDED"},
            {"id": job(3), "status": "KILLED"},
        ],
        "offset": 1,
        "len": 50,
    }


def test_without_parameters_oozie_is_asked_without_any(client, oozie):
    get(client, "/api/jobs")

    assert oozie.listings == [{}]


@pytest.mark.parametrize("query", ["offset=0", "len=x", "jobtype=pig", "len=100000"])
def test_parameters_that_make_no_sense_are_not_passed_on(client, oozie, query):
    assert query.partition("=")[0] in assert_problem(get(client, f"/api/jobs?{query}"), 400)
    assert oozie.listings == []


def test_what_oozie_does_not_understand_is_told(client, oozie):
    oozie.refusal = BadInput("Oozie does not understand this: E0420")

    assert "E0420" in assert_problem(get(client, "/api/jobs?filter=status%3DX"), 400)


def test_oozies_list_needs_oozie(client, oozie):
    oozie.is_down = True

    assert_problem(get(client, "/api/jobs"), 503)


def test_tracked_jobs_are_told_without_the_cluster(client, oozie, fake_cluster):
    post(client, job(1))
    oozie.asked.clear()
    oozie.is_down = True

    assert ids(get(client, TRACKING)) == [job(1)]
    assert get(client, f"/api/job/{job(1)}/status").json["status"] == "RUNNING"
    assert (oozie.asked, fake_cluster.verified) == ([], ["guest"])


def test_many_jobs_are_told_page_by_page(client, oozie, store):
    oozie.has(*(details(job(number), "RUNNING") for number in range(20, 40)))
    post(client, "\n".join(job(number) for number in range(20, 40)))

    with store.read() as connection:
        assert len(tracked_jobs.of_jobs(connection, "guest", list(range(1, 41)))) == 20
    assert len(ids(get(client, f"{TRACKING}?limit=20", GUEST))) == 20
    assert "Link" not in get(client, f"{TRACKING}?limit=20").headers
