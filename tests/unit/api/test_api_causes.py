"""Why jobs failed: `/api/job/<id>/cause`, `/api/failures`, and the key `cause` of a job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.unit.calls import ADMIN, GUEST, SAM, assert_problem, get, post
from tests.unit.fakes import APP_1, NOW, a_cause, action, details, job
from tracker_service.domain.causes import Category, Quote, Source
from tracker_service.domain.jobs import JobStatus, Observation
from tracker_service.store import causes, jobs, track_tasks
from tracker_service.store.tables import tasks as task_table

QUOTE = Quote(
    source=Source.LOG,
    text="ValueError:\t'\x1b[31mabc'",
    action="work",
    application=APP_1,
    container="container_1795323341942_0002_01_000002",
    file="stderr",
    line=31,
    offset=4711,
)
FAILED_IN_OOZIE = action(job(3), "work", APP_1, status="ERROR", error_message="exit code [1]")


@pytest.fixture
def oozie(oozie):
    """One job that runs, one that succeeded, one that failed."""
    oozie.has(details(job(3), "KILLED", FAILED_IN_OOZIE))
    return oozie


@pytest.fixture
def fail(store, client, oozie):
    """Lets a user's job fail, some minutes after the hour, and keeps why."""

    def failed(number: int, minute: int = 0, auth=GUEST, **more) -> None:
        oozie.has(details(job(number), "KILLED", ended_at=NOW + timedelta(minutes=minute)))
        post(client, job(number), auth=auth)
        with store.begin() as connection:
            kept = jobs.latest(connection, [job(number)])[job(number)]
            mine = select(task_table.c.id).where(task_table.c.job_id == kept.key)
            task_id = connection.execute(mine.where(task_table.c.owner == auth[0])).scalar_one()
            cause = a_cause(**{"evidence": (QUOTE,), "exit_code": 1, **more})
            causes.keep(connection, task_id, kept.key, cause, NOW)

    return failed


def cause(client, number: int, auth=GUEST, **more):
    return get(client, f"/api/job/{job(number)}/cause", auth, **more)


def failures(client, query: str = "", auth=GUEST) -> list[dict[str, Any]]:
    answer = get(client, f"/api/failures{query}", auth)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_the_cause_of_a_failure_is_told_with_the_line_that_proves_it(client, fail):
    fail(1)

    answer = cause(client, 1)

    assert answer.status_code == 200
    assert answer.json == {
        "id": job(1),
        "run": 0,
        "category": "application-error",
        "summary": "load.py failed with a ValueError",
        "hint": "look at the data",
        "retryable": "no",
        "confidence": 0.9,
        "rule": "python-traceback",
        "fingerprint": "f1",
        "action": "work",
        "error": None,
        "exit-code": 1,
        "evidence": [
            {
                "source": "log",
                "text": QUOTE.text,
                "action": "work",
                "application": "1795323341942_0002",
                "container": "container_1795323341942_0002_01_000002",
                "file": "stderr",
                "line": 31,
                "offset": 4711,
            }
        ],
        "complete": True,
        "failed-at": "2026-11-22T05:00:00.000+00:00",
        "decided-at": "2026-11-22T05:00:00.000+00:00",
        "also-hit": None,
    }
    assert get(client, f"/api/job/{job(1)}").json["cause"] == answer.json


def test_the_cause_is_told_as_text_to_who_likes_text_better(client, fail):
    fail(1, 10)
    fail(2, 2)

    answer = cause(client, 1, headers={"Accept": "text/plain"})

    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"
    place = (
        "action work, application 1795323341942_0002, container_1795323341942_0002_01_000002,"
        " stderr:31"
    )
    assert answer.text.splitlines() == [
        f"{job(1)}: load.py failed with a ValueError",
        "",
        "what       application-error (90 % sure); to run it again will not help",
        f"where      {place}",
        "exit code  1",
        "",
        "proved by",
        f"  {place}",
        "    ValueError: '?[31mabc'",
        "",
        "hint       look at the data",
        "also hit   1 other job since 05:02 UTC",
    ]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "text/plain;q=0.5,*/*"])
def test_who_does_not_ask_for_text_gets_json(client, fail, accept):
    fail(1)

    assert cause(client, 1, headers={"Accept": accept}).json["fingerprint"] == "f1"


def test_before_the_logs_are_saved_that_is_told_which_is_known_so_far(client, oozie, engine):
    engine.says = a_cause()
    post(client, job(3))

    answer = cause(client, 3)
    text = cause(client, 3, headers={"Accept": "text/plain"}).text

    assert (answer.json["complete"], answer.json["decided-at"]) == (False, None)
    assert "from what is known so far" in text
    failure = engine.asked[0]
    assert (failure.status, failure.is_complete) == ("KILLED", False)
    assert failure.actions == [FAILED_IN_OOZIE]
    assert [(each.application, each.action) for each in failure.witnesses] == [(APP_1, "work")]
    assert get(client, f"/api/job/{job(3)}").json["cause"] == answer.json


def test_why_a_job_failed_that_nobody_tracks_is_told_from_what_oozie_says(client, oozie, engine):
    engine.says = a_cause()

    assert cause(client, 3).json["complete"] is False
    assert [each.application for each in engine.asked[0].witnesses] == [APP_1]


def test_a_failed_rerun_is_not_explained_by_the_run_before_it(client, oozie, fail, engine):
    fail(3)
    engine.says = a_cause(fingerprint="f2")
    oozie.has(details(job(3), "KILLED", FAILED_IN_OOZIE, run=1))

    get(client, f"/api/job/{job(3)}?refresh=true")
    answer = cause(client, 3)

    assert (answer.json["run"], answer.json["fingerprint"]) == (1, "f2")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (1, "is RUNNING: ask again when it has ended"),
        (2, "SUCCEEDED: there is nothing to explain"),
        (3, "is KILLED, and nothing that is known so far tells why: read its logs at /api/job/"),
        (9, "Oozie has no job"),
    ],
)
def test_where_there_is_no_cause_it_is_said_why(client, oozie, number, told):
    assert told in assert_problem(cause(client, number), 404)


def test_a_job_without_a_failure_has_no_cause(client, oozie, engine):
    engine.says = a_cause()
    post(client, f"{job(1)}\n{job(2)}")

    assert [get(client, f"/api/job/{job(number)}").json["cause"] for number in (1, 2)] == [None] * 2
    assert engine.asked == []


def test_a_rule_that_breaks_breaks_no_answer(client, oozie, engine):
    engine.says = ValueError("nobody thought of this")
    post(client, job(3))

    assert get(client, f"/api/job/{job(3)}").json["cause"] is None
    assert_problem(cause(client, 3), 404)


def test_the_cause_of_a_coordinators_failure_lies_in_its_workflows(client, oozie, store):
    daily = job(8, "C")
    oozie.has(details(daily, "DONEWITHERROR"))
    post(client, f"{daily}\n{job(2)}")
    with store.begin() as connection:
        failed = [
            Observation(
                id=job(n), status=JobStatus.KILLED, parent_id=f"{daily}@{n}", observed_at=NOW
            )
            for n in range(20, 27)
        ]
        kept = list(jobs.record(connection, failed).values())
        track_tasks.add_ended(connection, GUEST[0], kept, NOW)

    told = assert_problem(get(client, f"/api/job/{daily}/cause"), 404)

    assert f"Ask about {job(26)}, {job(25)}" in told
    assert told.endswith("and 2 more.")


# Who sees what.


def test_others_of_the_family_count_as_far_as_the_caller_may_see_them(client, fail):
    fail(1, 30)
    fail(2, 10)
    fail(4, 20)
    fail(5, 15, SAM)
    fail(6, 15, fingerprint="f2")

    mine, all_of_them = (cause(client, 1, auth).json["also-hit"] for auth in (GUEST, ADMIN))

    assert mine == {
        "jobs": 2,
        "since": "2026-11-22T05:10:00.000+00:00",
        "until": "2026-11-22T05:20:00.000+00:00",
    }
    assert all_of_them["jobs"] == 3


def test_what_failed_long_before_is_another_story(client, fail):
    fail(1)
    fail(2, -24 * 60 - 1)

    assert cause(client, 1).json["also-hit"] is None
    assert cause(client, 2).json["also-hit"]["jobs"] == 1


def test_two_failures_that_nobody_understands_are_not_called_the_same(client, fail):
    fail(1, category=Category.UNKNOWN)
    fail(2, category=Category.UNKNOWN)

    assert cause(client, 1).json["also-hit"] is None


def test_a_cause_that_was_concluded_for_another_user_is_told_to_admins_only(client, fail):
    fail(1, 0, SAM)

    assert cause(client, 1, ADMIN).json["fingerprint"] == "f1"
    assert_problem(cause(client, 1, GUEST), 404)


def test_an_admin_is_told_of_a_job_that_oozie_no_longer_has(client, fail, oozie):
    fail(1, 0, SAM)
    del oozie.known[job(1)]

    assert cause(client, 1, ADMIN).json["fingerprint"] == "f1"
    assert_problem(cause(client, 1, GUEST), 404)


# Families.


def test_failures_are_grouped_and_the_family_that_failed_last_stands_first(client, fail):
    fail(1, 1)
    fail(2, 2, fingerprint="f2", category=Category.MEMORY, summary="out of memory")
    fail(4, 4, fingerprint="f2", category=Category.MEMORY, summary="out of heap")

    memory, error = failures(client)

    assert memory == {
        "fingerprint": "f2",
        "category": "memory",
        "summary": "out of heap",
        "count": 2,
        "first-seen": "2026-11-22T05:02:00.000+00:00",
        "last-seen": "2026-11-22T05:04:00.000+00:00",
        "jobs": [job(4), job(2)],
        "users": ["guest"],
    }
    assert (error["fingerprint"], error["count"]) == ("f1", 1)


def test_only_admins_see_the_failures_of_others(client, fail):
    fail(1, 1)
    fail(2, 2, SAM)

    assert [each["jobs"] for each in failures(client)] == [[job(1)]]
    assert [each["jobs"] for each in failures(client, auth=SAM)] == [[job(2)]]
    assert [each["jobs"] for each in failures(client, auth=ADMIN)] == [[job(2), job(1)]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?category=memory", ["f2"]),
        ("?category=network", []),
        ("?since=2026-11-22T05:02:00Z", ["f3", "f2"]),
        ("?since=2026-11-22T07:03:00%2B02:00", ["f3"]),
        ("?since=2026-11-22T07:03:00+02:00", ["f3"]),
        ("?since=2026-11-22T05:04:00.5Z", []),
    ],
)
def test_families_are_chosen_by_category_and_time(client, fail, query, found):
    fail(1, 1)
    fail(2, 2, fingerprint="f2", category=Category.MEMORY)
    fail(4, 4, fingerprint="f3")

    assert [each["fingerprint"] for each in failures(client, query)] == found


def test_without_a_wish_the_families_of_the_last_week_are_listed(client, fail, now):
    fail(1)
    now.advance(days=7)
    assert len(failures(client)) == 1

    now.advance(seconds=1)
    assert failures(client) == []


def test_pages_of_families_lead_from_one_to_the_next(client, fail):
    for number in range(1, 6):
        fail(number, number // 2, fingerprint=f"f{number}")

    seen, path, pages = [], "/api/failures?limit=2&since=2026-11-01T00:00:00Z", 0
    while path:
        answer = get(client, path)
        seen += [each["fingerprint"] for each in answer.json]
        link = answer.headers.get("Link", "")
        path, pages = link.partition(">")[0].removeprefix("<http://localhost"), pages + 1

    assert (seen, pages) == (["f4", "f5", "f2", "f3", "f1"], 3)


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2026-11-22T05:00:00",
        "since=",
        "category=bad-luck",
        "limit=0",
        "limit=501",
        "cursor=7",
        "cursor=1234567890123456-f1",
        "sine=2026-11-22T05:00:00Z",
    ],
)
def test_wrong_parameters_are_refused_by_name(client, query):
    assert query.partition("=")[0] in assert_problem(get(client, f"/api/failures?{query}"), 400)
